// How the output of one convolution is cut into tiles, for one number of lanes.
#pragma once

#include <cstdint>
#include <vector>

#include "frame.h"
#include "kernels.h"

namespace csrve {

struct Tile {
    int64_t position;  // in floats, of its first output position in a phase of the input
    int vectors;
    int64_t first_segment, last_segment;
};

struct Schedule {
    std::vector<Tile> tiles;
    std::vector<Segment> segments;
    std::vector<int64_t> rows;  // bounds of the groups of output channels that are one task with each tile
    int64_t merge = 1;          // blocks of input channels done together
    int64_t scratch = 0;        // floats that each worker needs
};

// What a convolution's output looks like from its input.
struct Walk {
    int64_t height, width;  // of the output
    int64_t pitch;          // pixels from one row of the input's phase to the next
    int64_t lanes;
    const Frame* output;
    const Frame* residual;  // or null
    int vector_width;
    int max_vectors;
};

// Tiles and segments of the cheaper of two walks: along each row; or along the whole plane as one run of floats, where
// what is computed for the border between two rows is thrown away, but rows shorter than a vector waste nothing.
Schedule cut_into_tiles(const Walk& walk);

}  // namespace csrve
