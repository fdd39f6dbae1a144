#include "layout.h"

namespace csrve {

namespace {

// Row and column of a tap, counted from the corner of the frame's border.
int64_t tap_row(const Window& window, const Frame& frame, int64_t y) {
    return y * window.dilation_y - window.pad_top + frame.border.top;
}
int64_t tap_column(const Window& window, const Frame& frame, int64_t x) {
    return x * window.dilation_x - window.pad_left + frame.border.left;
}

}  // namespace

std::vector<Layout> layouts_for(const Window& window, const Frame& frame, int64_t lanes, int64_t width) {
    std::vector<Layout> ways(1);
    ways[0].lanes = lanes;
    ways[0].width = width;
    ways[0].row = frame.pitch * lanes;
    if (lanes > 1) return ways;

    Layout shifted = ways[0];
    shifted.way = Layout::Way::kShifted;
    shifted.pitch = Frame::ceiling(window.output.width, width) * width;
    shifted.row = window.stride_y * shifted.pitch;
    shifted.plane = window.rows_under(window.output.height) * shifted.pitch;
    shifted.channel = window.kernel_x * shifted.plane;

    Layout columns = ways[0];
    columns.way = Layout::Way::kColumns;
    columns.row = window.output.width;
    columns.plane = Frame::ceiling(window.output.height * window.output.width, width) * width;
    columns.channel = window.taps() * columns.plane + width;  // a copied row may reach beyond

    for (const Layout& layout : {shifted, columns})
        if (layout.copied_floats(window) < INT32_MAX / 4) ways.push_back(layout);
    return ways;
}

int64_t Layout::footprint(const Window& window, const Frame& frame, const Tile& tile) const {
    const int64_t floats = tile.vectors * width;
    if (way == Way::kColumns) return window.taps() * tile.rows * floats;
    const int64_t steps_y = std::min(window.kernel_y, window.stride_y);
    const int64_t steps_x = std::min(window.kernel_x, window.stride_x);
    // A tile along the plane covers as many rows as its floats reach over.
    const int64_t lines = tile.rows > 1 ? tile.rows : Frame::ceiling(floats, row);
    const int64_t apart = lines * steps_y + (window.kernel_y - steps_y) * window.dilation_y;
    const int64_t rows = std::min(window.kernel_y * lines, apart);
    const int64_t in_row = std::min(floats, row);
    if (way == Way::kShifted) return std::min(channel, window.kernel_x * rows * in_row);
    const int64_t reach = (window.kernel_x - steps_x) * window.dilation_x * lanes;
    return std::min(frame.plane * lanes, rows * (steps_x * in_row + reach));
}

double Layout::copy_cycles(const Window& window) const {
    if (!channel) return 0;
    const int64_t copies = way == Way::kShifted ? window.kernel_x : window.taps();
    const int64_t rows = way == Way::kShifted ? plane / pitch : window.output.height;
    const double vectors = static_cast<double>(copies * rows * Frame::ceiling(window.output.width, width));
    return static_cast<double>(window.input.channels) * 2.5 * vectors;
}

std::vector<int32_t> Layout::offsets(const Window& window, const Frame& frame) const {
    std::vector<int32_t> places;
    for (int64_t in = 0; in < window.input.channels; ++in)
        for (int64_t y = 0; y < window.kernel_y; ++y)
            for (int64_t x = 0; x < window.kernel_x; ++x) {
                int64_t place = in * channel;
                if (way == Way::kShifted)
                    place += x * plane + y * window.dilation_y * pitch;
                else if (way == Way::kColumns)
                    place += (y * window.kernel_x + x) * plane;
                else
                    place = (in * frame.plane + frame.corner(tap_row(window, frame, y), tap_column(window, frame, x))) *
                            lanes;
                places.push_back(static_cast<int32_t>(place));
            }
    return places;
}

void Layout::copy(const Window& window, const Frame& frame, const Kernels& kernels, const float* source,
                  float* target) const {
    const int64_t count = window.output.width;
    if (way == Way::kColumns) {
        for (int64_t y = 0; y < window.kernel_y; ++y)
            for (int64_t x = 0; x < window.kernel_x; ++x, target += plane)
                kernels.copy_rows(source + frame.corner(tap_row(window, frame, y), tap_column(window, frame, x)),
                                  frame.pitch, window.output.height, count, target, count);
        return;
    }
    const int64_t rows = plane / pitch;
    for (int64_t x = 0; x < window.kernel_x; ++x, target += plane)
        for (int64_t phase = 0; phase < std::min(frame.stride_y, rows); ++phase) {
            const int64_t first = frame.corner(tap_row(window, frame, 0) + phase, tap_column(window, frame, x));
            kernels.copy_rows(source + first, frame.pitch, Frame::ceiling(rows - phase, frame.stride_y), count,
                              target + phase * pitch, frame.stride_y * pitch);
        }
}

}  // namespace csrve
