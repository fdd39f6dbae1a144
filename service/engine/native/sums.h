// The sparse product: a tile of output positions in registers, one broadcast and T multiply-adds a non-zero.
//
// Escoin and XNNPACK's SpMM are the models: weights carry the offset of the input they meet. Where a tile has few
// vectors, several non-zeros are summed apart (U sets of accumulators), because a multiply-add waits four cycles for
// the one before it and two can start each cycle.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace {

using csrve::Entry;
using csrve::QuadEntry;

// Where finished sums go that make one whole run of the output: they need not leave the registers in between.
struct Finish {
    float bias, low, high;
    const float* residual;  // or null
    float* target;
};

template <int T, int U>
void add_products(const float* input, const Entry* entry, const Entry* end, int64_t lanes, float* sums, bool first,
                  const Finish* finish) {
    Vector total[U][T];
    for (int t = 0; t < T; ++t) total[0][t] = first ? Vector{} : load(sums + t * kWidth);
    for (int u = 1; u < U; ++u)
        for (int t = 0; t < T; ++t) total[u][t] = Vector{};
    for (; end - entry >= U; entry += U) {
#pragma GCC unroll 8
        for (int u = 0; u < U; ++u) {
            const float* place = input + entry[u].offset * lanes;
            const Vector weight = splat(entry[u].value);
#pragma GCC unroll 12
            for (int t = 0; t < T; ++t) total[u][t] += weight * load(place + t * kWidth);
        }
    }
    if (U > 1) {
        for (; entry < end; ++entry) {
            const float* place = input + entry->offset * lanes;
            const Vector weight = splat(entry->value);
#pragma GCC unroll 12
            for (int t = 0; t < T; ++t) total[0][t] += weight * load(place + t * kWidth);
        }
    }
    for (int u = 1; u < U; ++u)
        for (int t = 0; t < T; ++t) total[0][t] += total[u][t];
    if (!finish) {
        for (int t = 0; t < T; ++t) store(sums + t * kWidth, total[0][t]);
        return;
    }
    const Vector bias = splat(finish->bias), low = splat(finish->low), high = splat(finish->high);
    for (int t = 0; t < T; ++t) total[0][t] += bias;
    if (finish->residual)
        for (int t = 0; t < T; ++t) total[0][t] += load(finish->residual + t * kWidth);
    for (int t = 0; t < T; ++t) store(finish->target + t * kWidth, clamp(total[0][t], low, high));
}

// Four output channels: their sums lie `stride` floats apart.
template <int T>
void add_quad_products(const float* input, const QuadEntry* entry, const QuadEntry* end, int64_t lanes, float* sums,
                       int64_t stride, bool first) {
    constexpr int kRows = csrve::kQuad;
    Vector total[kRows][T];
    for (int r = 0; r < kRows; ++r)
        for (int t = 0; t < T; ++t) total[r][t] = first ? Vector{} : load(sums + r * stride + t * kWidth);
    for (; entry < end; ++entry) {
        const float* place = input + entry->offset * lanes;
        Vector pixels[T];
#pragma GCC unroll 3
        for (int t = 0; t < T; ++t) pixels[t] = load(place + t * kWidth);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
            const Vector weight = splat(entry->values[r]);
#pragma GCC unroll 3
            for (int t = 0; t < T; ++t) total[r][t] += weight * pixels[t];
        }
    }
    for (int r = 0; r < kRows; ++r)
        for (int t = 0; t < T; ++t) store(sums + r * stride + t * kWidth, total[r][t]);
}

using AddProducts = void (*)(const float*, const Entry*, const Entry*, int64_t, float*, bool, const Finish*);
using AddQuadProducts = void (*)(const float*, const QuadEntry*, const QuadEntry*, int64_t, float*, int64_t, bool);

constexpr AddProducts kAddProducts[csrve::kMaxVectors + 1] = {
    nullptr,            add_products<1, 8>, add_products<2, 4>, add_products<3, 4>, add_products<4, 3>,
    add_products<5, 2>, add_products<6, 2>, add_products<7, 1>, add_products<8, 1>, add_products<9, 1>,
    add_products<10, 1>, add_products<11, 1>, add_products<12, 1>,
};
constexpr AddQuadProducts kAddQuadProducts[csrve::kQuadVectors + 1] = {
    nullptr, add_quad_products<1>, add_quad_products<2>, add_quad_products<3>};

}  // namespace
