// The kernels, compiled once for every instruction set. The build gives each copy its flags and its CSRVE_ name.

#include "kernels.h"

#include <math.h>

#include "sums.h"
#include "vectors.h"

namespace {

constexpr int kLongRow = 24;

using csrve::Combine;
using csrve::Map;
using csrve::Segment;
using csrve::Slice;
using csrve::TileJob;

void affine(const float* input, int64_t count, float scale, float bias, const float* residual, float low, float high,
            float* output) {
    const Vector lows = splat(low), highs = splat(high);
    int64_t at = 0;
    for (; at + kWidth <= count; at += kWidth) {
        Vector value = load(input + at) * scale + bias;
        if (residual) value += load(residual + at);
        store(output + at, clamp(value, lows, highs));
    }
    for (; at < count; ++at) {
        float value = input[at] * scale + bias;
        if (residual) value += residual[at];
        output[at] = clamp(value, low, high);
    }
}

// Whole vectors of a segment with step 2; returns how many floats that were.
int64_t write_every_other(const Segment& segment, const float* source, float bias, const float* added,
                          const TileJob& job, float* target) {
    Indices even{};
    // The second load begins one float early, so that none lies behind the last float that is wanted.
    for (int lane = 0; lane < kWidth; ++lane) even[lane] = 2 * lane + (2 * lane >= kWidth);
    const Vector low = splat(job.low), high = splat(job.high);
    int64_t at = 0;
    for (; at + kWidth <= segment.count; at += kWidth) {
        const float* from = source + 2 * at;
        Vector value = shuffle(load(from), load(from + kWidth - 1), even) + bias;
        if (added) value += shuffle(load(added + 2 * at), load(added + 2 * at + kWidth - 1), even);
        store(target + at, clamp(value, low, high));
    }
    return at;
}

void write_row(const TileJob& job, int64_t channel, const float* sums) {
    const float bias = job.bias ? job.bias[channel] : 0.0f;
    const float* residual = job.residual ? job.residual + channel * job.residual_channel : nullptr;
    float* output = job.output + channel * job.output_channel;
    for (const Segment* segment = job.segments; segment < job.segments + job.segment_count; ++segment) {
        const float* source = sums + segment->source;
        const float* added = residual ? residual + segment->residual : nullptr;
        float* target = output + segment->target;
        if (segment->step == 1) {
            affine(source, segment->count, 1.0f, bias, added, job.low, job.high, target);
            continue;
        }
        int64_t at = segment->step == 2 ? write_every_other(*segment, source, bias, added, job, target) : 0;
        for (; at < segment->count; ++at) {
            float value = source[at * segment->step] + bias;
            if (added) value += added[at * segment->step];
            target[at] = clamp(value, job.low, job.high);
        }
    }
}

// By what its middle row has.
AddBlock find_block(const TileJob& job, const Slice& slice) {
    const bool is_long = slice.busy && job.runs[slice.run + slice.busy / 2].count >= kLongRow;
    if (job.copied) return is_long ? Blocks<true, true>::find(job) : Blocks<true, false>::find(job);
    return is_long ? Blocks<false, true>::find(job) : Blocks<false, false>::find(job);
}

void tile(const TileJob& job) {
    const int row_channels = job.quads ? csrve::kQuad : 1;
    for (int64_t block = 0; block < job.blocks; ++block)
        find_block(job, job.slices[block])(job, job.slices[block], block == 0, block + 1 == job.blocks);
    if (job.places) return;
    const int64_t sum_floats = job.tile_rows * job.vectors * kWidth;
    for (int64_t at = 0; at < job.rows * row_channels && job.first_channel + at < job.channels; ++at)
        write_row(job, job.first_channel + at, job.sums + at * sum_floats);
}

void copy_rows(const float* source, int64_t source_step, int64_t rows, int64_t count, float* target,
               int64_t target_step) {
    for (int64_t row = 0; row < rows; ++row, source += source_step, target += target_step)
        for (int64_t at = 0; at < count; at += kWidth) store(target + at, load(source + at));
}

void pick(const float* source, const csrve::Pick* picks, int64_t count, float* target) {
    for (const csrve::Pick* pick = picks; pick < picks + count; ++pick) {
        const float* from = source + pick->source;
        const Indices index = *reinterpret_cast<const UnalignedIndices*>(pick->index);
        store(target + pick->target, shuffle(load(from), load(from + kWidth), index));
    }
}

void map(Map operation, const float* input, int64_t count, float low, float high, float* output) {
    if (operation == Map::kClamp) {
        affine(input, count, 1.0f, 0.0f, nullptr, low, high, output);
        return;
    }
    // Does not overflow, as exp(-value) does.
    for (int64_t at = 0; at < count; ++at) output[at] = 0.5f * tanhf(0.5f * input[at]) + 0.5f;
}

template <typename Value>
inline Value apply(Combine operation, Value first, Value second) {
    return operation == Combine::kAdd ? first + second : first * second;
}

void combine(Combine operation, const float* first, int64_t first_step, const float* second, int64_t second_step,
             int64_t pixels, int64_t lanes, float* output) {
    const bool flat = first_step == 1 && second_step == 1;
    const int64_t runs = flat ? 1 : pixels, length = flat ? pixels * lanes : lanes;
    for (int64_t run = 0; run < runs; ++run) {
        const float* a = first + run * first_step * lanes;
        const float* b = second + run * second_step * lanes;
        float* out = output + run * lanes;
        int64_t at = 0;
        for (; at + kWidth <= length; at += kWidth) store(out + at, apply(operation, load(a + at), load(b + at)));
        for (; at < length; ++at) out[at] = apply(operation, a[at], b[at]);
    }
}

template <typename Value>
inline Value larger(Value one, Value other) {
    return other > one || other != other ? other : one;
}
inline Vector larger(Vector one, Vector other) { return (other > one) | (other != other) ? other : one; }

void pool(bool maximum, const float* input, int64_t stride, int64_t pixels, int64_t lanes, float* output) {
    const int64_t runs = stride == 1 ? 1 : pixels, length = stride == 1 ? pixels * lanes : lanes;
    for (int64_t run = 0; run < runs; ++run) {
        const float* in = input + run * stride * lanes;
        float* out = output + run * lanes;
        int64_t at = 0;
        for (; at + kWidth <= length; at += kWidth) {
            const Vector value = load(in + at), before = load(out + at);
            store(out + at, maximum ? larger(before, value) : before + value);
        }
        for (; at < length; ++at) out[at] = maximum ? larger(out[at], in[at]) : out[at] + in[at];
    }
}

void total(const float* rows, int64_t count, int64_t step, int64_t pixels, int64_t lanes, float* sums) {
    if (lanes > 1) {
        for (int64_t row = 0; row < count; ++row)
            for (int64_t pixel = 0; pixel < pixels; ++pixel)
                pool(false, rows + row * step + pixel * lanes, 1, 1, lanes, sums);
        return;
    }
    Vector parts{};
    float rest = 0.0f;
    for (int64_t row = 0; row < count; ++row, rows += step) {
        int64_t at = 0;
        for (; at + kWidth <= pixels; at += kWidth) parts += load(rows + at);
        for (; at < pixels; ++at) rest += rows[at];
    }
    for (int lane = 0; lane < kWidth; ++lane) rest += parts[lane];
    sums[0] += rest;
}

constexpr csrve::Kernels kKernels = {CSRVE_NAME, kWidth, kTileVectors, kQuadVectors, kLanes, kCosts,
                                     tile, copy_rows, pick, affine, map, combine, pool, total};

}  // namespace

namespace csrve {

const Kernels* CSRVE_KERNELS() { return &kKernels; }

}  // namespace csrve
