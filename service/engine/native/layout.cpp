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
    shifted.pitch = Frame::ceiling(window.output.width, kMaxWidth) * kMaxWidth;
    shifted.row = window.stride_y * shifted.pitch;
    shifted.plane = window.rows_under(window.output.height) * shifted.pitch;
    shifted.channel = window.kernel_x * shifted.plane;

    Layout columns = ways[0];
    columns.way = Layout::Way::kColumns;
    columns.row = window.output.width;
    columns.plane = Frame::ceiling(window.output.height * window.output.width, kMaxWidth) * kMaxWidth;
    columns.channel = window.taps() * columns.plane + kMaxWidth;  // a copied row may reach beyond

    for (const Layout& layout : {shifted, columns})
        if (layout.copied_floats(window) <= int64_t{UINT16_MAX} * kMaxWidth) ways.push_back(layout);
    return ways;
}

int64_t Layout::footprint(const Window& window, const Frame& frame, const TileKind& tile) const {
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
    return static_cast<double>(copied_floats(window)) / static_cast<double>(width) * 2.5;
}

std::vector<int32_t> Layout::places(const Window& window, const Frame& frame) const {
    std::vector<int64_t> taps;  // from the channel's first float or pixel
    for (int64_t y = 0; y < window.kernel_y; ++y)
        for (int64_t x = 0; x < window.kernel_x; ++x) {
            if (way == Way::kShifted)
                taps.push_back(x * plane + y * window.dilation_y * pitch);
            else if (way == Way::kColumns)
                taps.push_back((y * window.kernel_x + x) * plane);
            else
                taps.push_back(frame.corner(tap_row(window, frame, y), tap_column(window, frame, x)));
        }
    const int64_t apart = way == Way::kShifted || way == Way::kColumns ? channel : frame.plane;
    std::vector<int32_t> places(static_cast<size_t>(window.input.channels) * taps.size());
    int32_t* place = places.data();
    for (int64_t in = 0; in < window.input.channels; ++in)
        for (const int64_t tap : taps) *place++ = static_cast<int32_t>(in * apart + tap);
    return places;
}

std::vector<Pick> Layout::picks(const Window& window, const Frame& frame) const {
    std::vector<Pick> made;
    const int64_t pixels = window.output.height * window.output.width, columns = window.output.width;
    if (way != Way::kColumns || columns % width == 0) return made;
    for (int64_t tap = 0; tap < window.taps(); ++tap) {
        const int64_t corner = frame.corner(tap_row(window, frame, tap / window.kernel_x),
                                            tap_column(window, frame, tap % window.kernel_x));
        for (int64_t first = 0; first < pixels; first += width) {
            auto place = [&](int64_t pixel) { return corner + pixel / columns * frame.pitch + pixel % columns; };
            Pick pick{static_cast<int32_t>(place(first)), static_cast<int32_t>(tap * plane + first), {}};
            for (int64_t lane = 0; lane < width; ++lane) {
                const int64_t apart = place(std::min(first + lane, pixels - 1)) - pick.source;
                if (apart >= 2 * width) return {};  // many short rows
                pick.index[lane] = static_cast<int32_t>(apart);
            }
            made.push_back(pick);
        }
    }
    return made;
}

void Layout::copy(const Window& window, const Frame& frame, const Kernels& kernels, const std::vector<Pick>& picks,
                  const float* source, float* target) const {
    const int64_t count = window.output.width;
    if (!picks.empty()) {
        kernels.pick(source, picks.data(), static_cast<int64_t>(picks.size()), target);
    } else if (way == Way::kColumns) {
        for (int64_t y = 0; y < window.kernel_y; ++y)
            for (int64_t x = 0; x < window.kernel_x; ++x, target += plane)
                kernels.copy_rows(source + frame.corner(tap_row(window, frame, y), tap_column(window, frame, x)),
                                  frame.pitch, window.output.height, count, target, count);
    } else {
        for (int64_t x = 0; x < window.kernel_x; ++x, target += plane)
            copy_shifted(window, frame, kernels, source, x, target);
    }
}

// One copy: the rows of each phase of the frame in turn.
void Layout::copy_shifted(const Window& window, const Frame& frame, const Kernels& kernels, const float* source,
                          int64_t x, float* target) const {
    const int64_t rows = plane / pitch;
    for (int64_t phase = 0; phase < std::min(frame.stride_y, rows); ++phase) {
        const int64_t first = frame.corner(tap_row(window, frame, 0) + phase, tap_column(window, frame, x));
        kernels.copy_rows(source + first, frame.pitch, Frame::ceiling(rows - phase, frame.stride_y),
                          window.output.width, target + phase * pitch, frame.stride_y * pitch);
    }
}

}  // namespace csrve
