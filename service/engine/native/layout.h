// How a convolution finds its input for one number of lanes: where it lies, or in a copy that its loads suit better.
//
// With many lanes every load is aligned as it is. With pixels in the lanes a load at another column straddles two cache
// lines, which halves the speed of the first level, and short rows waste what a vector holds; so the input is copied
// first, once for each column of the window (`kShifted`), or once for each tap (`kColumns`, which is im2col).
#pragma once

#include <vector>

#include "tiles.h"
#include "window.h"

namespace csrve {

struct Layout {
    enum class Way { kDirect, kShifted, kColumns };

    Way way = Way::kDirect;
    int64_t lanes = 1;
    int64_t width = 1;    // floats of a vector
    int64_t row = 0;      // floats from where an output row begins to where the next one does
    int64_t pitch = 0;    // kShifted: floats of a row of a copy
    int64_t plane = 0;    // floats of a copy
    int64_t channel = 0;  // floats of a channel's copies; 0 where nothing is copied

    bool aligned() const { return way != Way::kDirect || lanes % width == 0; }
    int64_t copied_floats(const Window& window) const { return channel * window.input.channels; }
    // Floats of one input channel that a tile reads.
    int64_t footprint(const Window& window, const Frame& frame, const TileKind& tile) const;
    // Cycles that the copying takes, about.
    double copy_cycles(const Window& window) const;
    // The place of each column of the weight matrix from an output's place: in pixels, or in floats of the copies.
    std::vector<int32_t> places(const Window& window, const Frame& frame) const;
    // How to fill the columns of one channel; empty where rows are copied one by one.
    std::vector<Pick> picks(const Window& window, const Frame& frame) const;
    // Copies one channel, from its plane in the frame to its place among the copies.
    void copy(const Window& window, const Frame& frame, const Kernels& kernels, const std::vector<Pick>& picks,
              const float* source, float* target) const;

  private:
    void copy_shifted(const Window& window, const Frame& frame, const Kernels& kernels, const float* source, int64_t x,
                      float* target) const;
};

// All that can be chosen from: with one lane all three ways, unless the copies would be too large for 16 bits.
std::vector<Layout> layouts_for(const Window& window, const Frame& frame, int64_t lanes, int64_t width);

}  // namespace csrve
