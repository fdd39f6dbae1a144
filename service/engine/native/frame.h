// Where the pixels of a value lie in its buffer.
//
// A value is [channel][padded row][padded column][lane], the lanes being the images of one sub-batch. It carries the
// zero border that its readers' windows need, so that a filter tap is a constant offset from an output position.
// Readers that stride find the value cut into stride_y x stride_x phases, each holding every stride-th row and column:
// inside a phase they step by one pixel, like everybody else.
#pragma once

#include <algorithm>
#include <cstdint>
#include <tuple>

namespace csrve {

struct Shape {
    int64_t channels, height, width;
};

struct Border {
    int64_t top = 0, left = 0, bottom = 0, right = 0;

    void widen(const Border& other) {
        top = std::max(top, other.top);
        left = std::max(left, other.left);
        bottom = std::max(bottom, other.bottom);
        right = std::max(right, other.right);
    }
};

struct Frame {
    int64_t channels = 0, height = 0, width = 0;
    Border border;
    int64_t stride_y = 1, stride_x = 1;
    int64_t pitch = 0;  // pixels from one row of a phase to the next
    int64_t phase = 0;  // pixels of a phase
    int64_t plane = 0;  // pixels of a channel

    Frame() = default;

    Frame(const Shape& shape, const Border& around, int64_t phases_y, int64_t phases_x)
        : channels(shape.channels), height(shape.height), width(shape.width), border(around), stride_y(phases_y),
          stride_x(phases_x) {
        const int64_t rows = border.top + height + border.bottom;
        if (split()) {
            pitch = ceiling(border.left + width + border.right, stride_x);
            phase = ceiling(rows, stride_y) * pitch;
        } else {
            // The left border of a row serves the row above as its right border.
            pitch = width + std::max(border.left, border.right);
            phase = rows * pitch + border.left;
        }
        plane = phase * stride_y * stride_x;
    }

    bool split() const { return stride_y > 1 || stride_x > 1; }

    // The pixel, within a channel, of a row and column counted from the border's corner.
    int64_t corner(int64_t row, int64_t column) const {
        const int64_t which = (row % stride_y) * stride_x + column % stride_x;
        return which * phase + (row / stride_y) * pitch + column / stride_x;
    }

    // The pixel, within a channel, of the value's row and column.
    int64_t pixel(int64_t row, int64_t column) const { return corner(row + border.top, column + border.left); }

    bool operator<(const Frame& other) const { return key() < other.key(); }

    static int64_t ceiling(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

  private:
    std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t> key() const {
        return {channels,     height,       width,    border.top, border.left, border.bottom,
                border.right, stride_y, stride_x};
    }
};

}  // namespace csrve
