// How the output of one convolution is cut into tiles, and where their sums go.
#pragma once

#include <cstdint>
#include <vector>

#include "frame.h"
#include "kernels.h"

namespace csrve {

struct Tile {
    int64_t position;  // in floats, of its first output position in the input's layout
    int rows, vectors;  // up to 4 rows of so many vectors
    int64_t floats;     // of a row that are wanted: the last vector may reach beyond
    int64_t first_segment, last_segment;
    int64_t first_place;  // -1 where some vector is not wholly wanted
};

// What a convolution's output looks like from its input.
struct Walk {
    int64_t height, width;  // of the output
    int64_t row;            // floats of the input from an output row to the next
    int64_t lanes;
    int vector_width;
    int max_vectors, max_rows;  // of a tile
};

// A tiling: along the rows, so many at a time, or along the plane as one run; no tile row has more than so many vectors.
struct Cut {
    bool along_plane;
    int rows;
    int64_t vectors;
};

// Tiles that are alike, and how many there are.
struct TileKind {
    int64_t rows, vectors, count;
};

// The tilings to choose from: along the rows, up to four at a time, the widest tiles and narrower ones; and along
// the plane.
std::vector<Cut> cuts_for(const Walk& walk);

// What tiles a tiling has, without making them.
std::vector<TileKind> kinds_of(const Walk& walk, const Cut& cut);
std::vector<Tile> tiles_of(const Walk& walk, const Cut& cut);

// Where the sums of each tile go.
struct Destinations {
    std::vector<Segment> segments;
    std::vector<VectorPlace> places;
};

// Fills in the tiles' indices as well. The residual's frame may be null.
Destinations destinations_of(const Walk& walk, const Frame& output, const Frame* residual, std::vector<Tile>& tiles);

}  // namespace csrve
