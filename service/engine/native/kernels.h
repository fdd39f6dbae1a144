// What is compiled once for every instruction set: plain structures and a table of functions.
#pragma once

#include <cstdint>

namespace csrve {

// A non-zero weight and the pixel it meets, counted from the output's place in the input's buffer. (While a layer is
// prepared it is the column of the weight matrix instead: input channel, window row, window column.)
struct Entry {
    float value;
    int32_t pixel;
};

// A weight of four output channels at once: zeros among them are multiplied, the input is loaded once.
struct QuadEntry {
    float values[4];
    int32_t pixel;
};

// How many non-zeros a row of a group (or a quad of rows) has in a block.
struct RowRun {
    uint16_t row, count;
};

// A block of input channels in a group of rows: its first entry, and its runs, of which `busy` have entries.
struct Slice {
    int64_t entry;
    int32_t run, runs, busy;
};

constexpr int kQuad = 4;         // output channels of a QuadEntry
constexpr int kAhead = 3;        // entries behind the last one that a tile may read
constexpr int kMaxWidth = 16;    // floats of the widest vector
constexpr int64_t kSlack = 512;  // floats that a tile may read behind a buffer's end

// A vector that is picked out of two that lie side by side in the source.
struct Pick {
    int32_t source, target;     // in floats
    int32_t index[kMaxWidth];   // 0 .. 2 * width - 1
};

// A run of finished sums and where it goes. Counts and places are in floats.
struct Segment {
    int32_t source;    // in the tile
    int32_t step;      // between neighbours in the tile and in the residual; 1 in the output
    int64_t count;
    int64_t target;    // in the output's channel
    int64_t residual;  // in the residual's channel
};

// Where a vector of sums goes that is wholly wanted, in floats within a channel.
struct VectorPlace {
    int64_t target, residual;
};

// Sums of one tile of output positions for one group of output channels.
struct TileJob {
    const float* input;        // at the tile's first position
    int64_t lanes;
    const Entry* entries;
    const QuadEntry* quads;    // instead of entries: then a row is four channels
    const uint16_t* copied;    // null, or the entries' places among the input's copies, in kMaxWidth floats
    const RowRun* runs;
    const Slice* slices;       // of each block
    int64_t blocks, rows;
    int64_t first_channel;     // the output channel of the group's first row
    int64_t channels;          // of the layer
    int tile_rows, vectors;    // of a tile row
    int64_t input_row;         // floats from a tile row to the next
    const VectorPlace* places;  // of each vector; null where not all are wholly wanted: then segments say
    const Segment* segments;
    int64_t segment_count;
    const float* bias;      // or null
    const float* residual;  // or null
    int64_t residual_channel, output_channel;  // floats from a channel to the next
    float low, high;
    float* output;
    float* sums;  // scratch: [rows][tile_rows * vectors * width], four of them for quads
};

enum class Map { kClamp, kSigmoid };
enum class Combine { kAdd, kMultiply };

// Cycles of one core, about: by them the plan compares layouts, tiles and blocks.
struct Costs {
    double load;             // of a vector from the first level
    double straddling_load;  // of one that lies in two cache lines, as it may where it is not aligned
    double far_load;         // from the second level
    double entry;            // a weight, its place, the loop
    double row;              // of a block: the run, its loop
    double sum;              // a vector of sums, read and written
};

struct Kernels {
    const char* name;
    int width;         // floats of a vector
    int tile_vectors;  // most accumulators of a tile
    int quad_vectors;  // the same where four output channels share their loads
    int lanes;         // most pictures side by side
    Costs costs;
    void (*tile)(const TileJob& job);
    // Rows of `count` floats; what lies behind a row's end is copied or overwritten, up to a vector's width.
    void (*copy_rows)(const float* source, int64_t source_step, int64_t rows, int64_t count, float* target,
                      int64_t target_step);
    void (*pick)(const float* source, const Pick* picks, int64_t count, float* target);
    // output = clamp(scale * input + bias + residual), residual may be null
    void (*affine)(const float* input, int64_t count, float scale, float bias, const float* residual, float low,
                   float high, float* output);
    void (*map)(Map operation, const float* input, int64_t count, float low, float high, float* output);
    // The second operand's pixel is the same for all of them where `step` is 0.
    void (*combine)(Combine operation, const float* first, int64_t first_step, const float* second, int64_t second_step,
                    int64_t pixels, int64_t lanes, float* output);
    // Joins pixels of the input, `stride` pixels apart, to those of the output: by maximum or by sum.
    void (*pool)(bool maximum, const float* input, int64_t stride, int64_t pixels, int64_t lanes, float* output);
    // Adds up the pixels of rows into [lanes].
    void (*total)(const float* rows, int64_t count, int64_t step, int64_t pixels, int64_t lanes, float* sums);
};

const Kernels* plain_kernels();
const Kernels* avx2_kernels();    // null where not compiled in
const Kernels* avx512_kernels();  // null where not compiled in

}  // namespace csrve
