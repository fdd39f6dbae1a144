// What is compiled once for every instruction set: plain structures and a table of functions.
#pragma once

#include <cstdint>

namespace csrve {

// A non-zero weight and the pixel it meets, counted from the output position's pixel in the input's buffer.
struct Entry {
    float value;
    int32_t offset;
};

// A weight of four output channels at once: zeros among them are multiplied, the input is loaded once.
struct QuadEntry {
    float values[4];
    int32_t offset;
};

constexpr int kQuad = 4;        // output channels of a QuadEntry
constexpr int kMaxVectors = 12;  // accumulators of a tile: what 16 registers leave room for
constexpr int kQuadVectors = 3;  // the same, for each of four channels
constexpr int kMaxWidth = 16;    // floats of the widest vector
constexpr int64_t kSlack = 512;  // floats that a tile may read behind a buffer's end

// A run of finished sums and where it goes. Counts and places are in floats.
struct Segment {
    int32_t source;    // in the tile
    int32_t step;      // between neighbours in the tile and in the residual; 1 in the output
    int64_t count;
    int64_t target;    // in the output's channel
    int64_t residual;  // in the residual's channel
};

// Sums of one tile of output positions for a range of output channels.
struct TileJob {
    const float* input;  // at the tile's first position
    const Entry* entries;
    const QuadEntry* quads;  // instead of entries: then rows count in fours
    const int32_t* starts;   // [rows][blocks + 1]: where each block of input channels begins in the entries
    int64_t blocks, merge;   // so many blocks are done together
    int64_t first_row, last_row;
    int64_t rows;  // of the layer
    int64_t lanes;
    int vectors;
    const Segment* segments;
    int64_t segment_count;
    const float* bias;      // or null
    const float* residual;  // or null
    int64_t residual_channel, output_channel;  // floats from a channel to the next
    float low, high;
    float* output;
    float* sums;  // scratch: [last_row - first_row][vectors * width]
};

enum class Map { kClamp, kSigmoid };
enum class Combine { kAdd, kMultiply };

struct Kernels {
    const char* name;
    int width;  // floats of a vector
    void (*tile)(const TileJob& job);
    // output = clamp(scale * input + bias + residual), residual may be null
    void (*affine)(const float* input, int64_t count, float scale, float bias, const float* residual, float low,
                   float high, float* output);
    void (*map)(Map operation, const float* input, int64_t count, float low, float high, float* output);
    // The second operand's pixel is the same for all of them where `step` is 0.
    void (*combine)(Combine operation, const float* first, int64_t first_step, const float* second, int64_t second_step,
                    int64_t pixels, int64_t lanes, float* output);
    // Joins pixels of the input, `stride` pixels apart, to those of the output: by maximum or by sum.
    void (*pool)(bool maximum, const float* input, int64_t stride, int64_t pixels, int64_t lanes, float* output);
    // Adds up the pixels of a row into [lanes].
    void (*total)(const float* row, int64_t pixels, int64_t lanes, float* sums);
};

const Kernels* plain_kernels();
const Kernels* avx2_kernels();    // null where not compiled in
const Kernels* avx512_kernels();  // null where not compiled in

}  // namespace csrve
