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

// The places of a block's entries in their order, worked out three entries ahead: loads whose address is new wait behind
// those that are older, and the processor would run dry before it knew where the next entry lies.
template <typename Item, bool kCopied>
class Places {
  public:
    Places(const TileJob& job, const Item* items, int64_t first)
        : input_(job.input), lanes_(job.lanes), copied_(job.copied + (kCopied ? first : 0)) {
        for (int ahead = 0; ahead < csrve::kAhead; ++ahead) next_[ahead] = place(items[ahead], ahead);
    }

    // The place of `item`, which is the next one.
    const float* take(const Item* item) {
        const float* mine = next_[0];
        CSRVE_UNROLL
        for (int ahead = 1; ahead < csrve::kAhead; ++ahead) next_[ahead - 1] = next_[ahead];
        next_[csrve::kAhead - 1] = place(item[csrve::kAhead], csrve::kAhead);
        ++copied_;
        return mine;
    }

  private:
    const float* place(const Item& item, int ahead) const {
        return input_ + (kCopied ? copied_[ahead] * int64_t{csrve::kMaxWidth} : item.pixel * lanes_);
    }

    const float* const input_;
    const int64_t lanes_;
    const uint16_t* copied_;
    const float* next_[csrve::kAhead];
};

// One block of input channels for all rows of a group.
template <int R, int C, int U, bool kCopied>
void add_block(const TileJob& job, const Slice& slice, bool first, bool last) {
    constexpr int T = R * C;
    const Entry* entry = job.entries + slice.entry;
    const RowRun* run = job.runs + slice.run;
    const RowRun* const end = run + (first || last ? slice.runs : slice.busy);
    const int64_t row = job.input_row;
    Places<Entry, kCopied> places(job, entry, slice.entry);
    for (; run < end; ++run) {
        float* sums = job.sums + run->row * (T * kWidth);
        const Entry* const stop = entry + run->count;
        __builtin_prefetch(stop + 64);
        __builtin_prefetch(stop + 72);
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
            while (stop - entry >= U) {
                CSRVE_UNROLL
                for (int u = 0; u < U; ++u, ++entry) add_product<R, C>(places.take(entry), row, entry->value, total[u]);
            }
        }
        for (; entry < stop; ++entry) add_product<R, C>(places.take(entry), row, entry->value, total[0]);
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
template <int T, bool kCopied>
void add_quad_block(const TileJob& job, const Slice& slice, bool first, bool last) {
    constexpr int kRows = csrve::kQuad;
    const QuadEntry* entry = job.quads + slice.entry;
    const RowRun* run = job.runs + slice.run;
    const RowRun* const end = run + (first || last ? slice.runs : slice.busy);
    Places<QuadEntry, kCopied> places(job, entry, slice.entry);
    for (; run < end; ++run) {
        float* sums = job.sums + run->row * (kRows * T * kWidth);
        Vector total[kRows][T];
        CSRVE_UNROLL
        for (int r = 0; r < kRows; ++r) {
            CSRVE_UNROLL
            for (int t = 0; t < T; ++t) total[r][t] = first ? Vector{} : load(sums + (r * T + t) * kWidth);
        }
        for (const QuadEntry* const stop = entry + run->count; entry < stop; ++entry) {
            const float* place = places.take(entry);
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

// Eight multiply-adds are in flight at a time. Only long rows need sets of their own for that: short ones overlap.
constexpr int sets_of(int vectors) { return vectors <= 2 ? 4 : vectors <= 4 ? 2 : 1; }

template <int R, int C, bool kCopied, bool kLong>
constexpr AddBlock add_block_of() {
    if constexpr (R * C <= kTileVectors)
        return add_block<R, C, kLong ? sets_of(R * C) : 1, kCopied>;
    else
        return nullptr;
}

template <int T, bool kCopied>
constexpr AddBlock add_quad_block_of() {
    if constexpr (T <= kQuadVectors)
        return add_quad_block<T, kCopied>;
    else
        return nullptr;
}

// By tile rows, less one, and by vectors of a tile row; there are no more of either than `tiles.h` says.
template <bool kCopied, bool kLong>
struct Blocks {
    template <int R>
    static constexpr AddBlock kWide[16] = {
        add_block_of<R, 1, kCopied, kLong>(),  add_block_of<R, 2, kCopied, kLong>(),  add_block_of<R, 3, kCopied, kLong>(),
        add_block_of<R, 4, kCopied, kLong>(),  add_block_of<R, 5, kCopied, kLong>(),  add_block_of<R, 6, kCopied, kLong>(),
        add_block_of<R, 7, kCopied, kLong>(),  add_block_of<R, 8, kCopied, kLong>(),  add_block_of<R, 9, kCopied, kLong>(),
        add_block_of<R, 10, kCopied, kLong>(), add_block_of<R, 11, kCopied, kLong>(), add_block_of<R, 12, kCopied, kLong>(),
        add_block_of<R, 13, kCopied, kLong>(), add_block_of<R, 14, kCopied, kLong>(), add_block_of<R, 15, kCopied, kLong>(),
        add_block_of<R, 16, kCopied, kLong>()};
    static constexpr const AddBlock* kTall[4] = {kWide<1>, kWide<2>, kWide<3>, kWide<4>};
    static constexpr AddBlock kQuads[6] = {add_quad_block_of<1, kCopied>(), add_quad_block_of<2, kCopied>(),
                                           add_quad_block_of<3, kCopied>(), add_quad_block_of<4, kCopied>(),
                                           add_quad_block_of<5, kCopied>(), add_quad_block_of<6, kCopied>()};

    static AddBlock find(const TileJob& job) {
        return job.quads ? kQuads[job.vectors - 1] : kTall[job.tile_rows - 1][job.vectors - 1];
    }
};

}  // namespace
