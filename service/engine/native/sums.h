// The sparse product: a tile of output positions in registers, one broadcast and T multiply-adds a non-zero.
//
// Escoin and XNNPACK's SpMM are the models: weights carry the offset of the input they meet. Where a tile has few
// vectors, two or four non-zeros are summed apart (U sets of accumulators), because a multiply-add waits four cycles for
// the one before it and two can start each cycle.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace {

using csrve::Entry;
using csrve::QuadEntry;
using csrve::RowRun;
using csrve::Slice;
using csrve::TileJob;

// The accumulators stay in registers only where every loop over them is unrolled.
#define CSRVE_UNROLL _Pragma("GCC unroll 24")

// Finished sums of one output channel; they need not leave the registers in between.
template <int T>
inline void finish(const TileJob& job, int64_t channel, const Vector (&total)[T]) {
    const Vector bias = splat(job.bias ? job.bias[channel] : 0.0f), low = splat(job.low), high = splat(job.high);
    float* output = job.output + channel * job.output_channel;
    if (!job.residual) {
        CSRVE_UNROLL
        for (int t = 0; t < T; ++t) store(output + job.places[t].target, clamp(total[t] + bias, low, high));
        return;
    }
    const float* residual = job.residual + channel * job.residual_channel;
    CSRVE_UNROLL
    for (int t = 0; t < T; ++t)
        store(output + job.places[t].target,
              clamp(total[t] + bias + load(residual + job.places[t].residual), low, high));
}

// Adds one non-zero to a set of accumulators: R tile rows of C vectors each, `row` floats apart in the input.
template <int R, int C>
inline void add_product(const float* place, int64_t row, float value, Vector (&total)[R * C]) {
    const Vector weight = splat(value);
    CSRVE_UNROLL
    for (int r = 0; r < R; ++r) {
        CSRVE_UNROLL
        for (int c = 0; c < C; ++c) total[r * C + c] += weight * load(place + c * kWidth);
        place += row;
    }
}

// One block of input channels for all rows of a group.
template <int R, int C, int U>
void add_block(const TileJob& job, const Slice& slice, bool first, bool last) {
    constexpr int T = R * C;
    const Entry* entry = job.entries + slice.entry;
    const RowRun* run = job.runs + slice.run;
    const RowRun* const end = run + (first || last ? slice.runs : slice.busy);
    const float* const input = job.input;
    const int32_t* const offsets = job.offsets;
    const int64_t row = job.input_row;
    for (; run < end; ++run) {
        float* sums = job.sums + run->row * (T * kWidth);
        const Entry* const stop = entry + run->count;
        Vector total[U][T];
        CSRVE_UNROLL
        for (int t = 0; t < T; ++t) total[0][t] = Vector{};
        if (!first) {
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) total[0][t] = load(sums + t * kWidth);
        }
        if (U > 1) {
            CSRVE_UNROLL
            for (int u = 1; u < U; ++u) {
                CSRVE_UNROLL
                for (int t = 0; t < T; ++t) total[u][t] = Vector{};
            }
            for (; stop - entry >= U; entry += U) {
                CSRVE_UNROLL
                for (int u = 0; u < U; ++u)
                    add_product<R, C>(input + offsets[entry[u].column], row, entry[u].value, total[u]);
            }
        }
        for (; entry < stop; ++entry) add_product<R, C>(input + offsets[entry->column], row, entry->value, total[0]);
        CSRVE_UNROLL
        for (int u = 1; u < U; ++u) {
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) total[0][t] += total[u][t];
        }
        if (last && job.places) {
            finish<T>(job, job.first_channel + run->row, total[0]);
        } else {
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) store(sums + t * kWidth, total[0][t]);
        }
    }
}

// The same for four output channels at a time.
template <int T>
void add_quad_block(const TileJob& job, const Slice& slice, bool first, bool last) {
    constexpr int kRows = csrve::kQuad;
    const QuadEntry* entry = job.quads + slice.entry;
    const RowRun* run = job.runs + slice.run;
    const RowRun* const end = run + (first || last ? slice.runs : slice.busy);
    for (; run < end; ++run) {
        float* sums = job.sums + run->row * (kRows * T * kWidth);
        Vector total[kRows][T];
        CSRVE_UNROLL
        for (int r = 0; r < kRows; ++r) {
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) total[r][t] = first ? Vector{} : load(sums + (r * T + t) * kWidth);
        }
        for (const QuadEntry* const stop = entry + run->count; entry < stop; ++entry) {
            const float* place = job.input + job.offsets[entry->column];
            Vector pixels[T];
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) pixels[t] = load(place + t * kWidth);
            CSRVE_UNROLL
            for (int r = 0; r < kRows; ++r) {
                const Vector weight = splat(entry->values[r]);
                CSRVE_UNROLL
                for (int t = 0; t < T; ++t) total[r][t] += weight * pixels[t];
            }
        }
        const int64_t channel = job.first_channel + run->row * kRows;
        CSRVE_UNROLL
        for (int r = 0; r < kRows; ++r) {
            if (last && job.places) {
                if (channel + r < job.channels) finish<T>(job, channel + r, total[r]);
                continue;
            }
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) store(sums + (r * T + t) * kWidth, total[r][t]);
        }
    }
}

using AddBlock = void (*)(const TileJob&, const Slice&, bool, bool);

// Eight multiply-adds are in flight at a time; the next row's overlap with this one's, so that fewer sets will do.
constexpr int sets_of(int vectors) { return vectors <= 2 ? 4 : vectors <= 4 ? 2 : 1; }

template <int R, int C>
constexpr AddBlock add_block_of() {
    if constexpr (R * C <= kTileVectors)
        return add_block<R, C, sets_of(R * C)>;
    else
        return nullptr;
}

// By half the tile rows, and by vectors of a tile row.
constexpr AddBlock kAddBlock[3][17] = {
    {nullptr, add_block_of<1, 1>(), add_block_of<1, 2>(), add_block_of<1, 3>(), add_block_of<1, 4>(),
     add_block_of<1, 5>(), add_block_of<1, 6>(), add_block_of<1, 7>(), add_block_of<1, 8>(), add_block_of<1, 9>(),
     add_block_of<1, 10>(), add_block_of<1, 11>(), add_block_of<1, 12>(), add_block_of<1, 13>(),
     add_block_of<1, 14>(), add_block_of<1, 15>(), add_block_of<1, 16>()},
    {nullptr, add_block_of<2, 1>(), add_block_of<2, 2>(), add_block_of<2, 3>(), add_block_of<2, 4>(),
     add_block_of<2, 5>(), add_block_of<2, 6>(), add_block_of<2, 7>(), add_block_of<2, 8>()},
    {nullptr, add_block_of<4, 1>(), add_block_of<4, 2>(), add_block_of<4, 3>(), add_block_of<4, 4>(),
     add_block_of<4, 5>(), add_block_of<4, 6>()},
};

template <int T>
constexpr AddBlock add_quad_block_of() {
    if constexpr (T <= kQuadVectors)
        return add_quad_block<T>;
    else
        return nullptr;
}

constexpr AddBlock kAddQuadBlock[7] = {nullptr,
                                       add_quad_block_of<1>(),
                                       add_quad_block_of<2>(),
                                       add_quad_block_of<3>(),
                                       add_quad_block_of<4>(),
                                       add_quad_block_of<5>(),
                                       add_quad_block_of<6>()};

}  // namespace
