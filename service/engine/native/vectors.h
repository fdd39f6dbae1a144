// The vector type of the instruction set that this translation unit is compiled for.
//
// Only the GCC and Clang vector extensions: no intrinsics. Everything here and in the kernels has internal linkage, and
// no standard library template is used: the linker would be free to keep the copy that needs the newest processor.
#pragma once

#include <cstdint>

#include "kernels.h"

#if defined(CSRVE_AVX512)
#define CSRVE_WIDTH 16
#define CSRVE_KERNELS avx512_kernels
#define CSRVE_NAME "avx512"
#elif defined(CSRVE_AVX2)
#define CSRVE_WIDTH 8
#define CSRVE_KERNELS avx2_kernels
#define CSRVE_NAME "avx2"
#else
#define CSRVE_WIDTH 4
#define CSRVE_KERNELS plain_kernels
#if defined(__aarch64__)
#define CSRVE_NAME "neon"
#else
#define CSRVE_NAME "plain"
#endif
#endif

namespace {

constexpr int kWidth = CSRVE_WIDTH;
// Accumulators that the registers hold beside a weight and a load: 32 registers, or 16.
constexpr int kTileVectors = CSRVE_WIDTH == 16 ? 24 : 12;
// Pictures side by side. With AVX2 one vector of them: two, whose values pass the second-level cache twice as soon, take
// 5 to 30% longer where few weights are left (Zen 3).
constexpr int kLanes = CSRVE_WIDTH == 8 ? 8 : 16;
// Measured on Zen 3 for AVX2, whose vectors are half a cache line, and on Zen 4 for AVX-512; others are not measured.
constexpr csrve::Costs kCosts = CSRVE_WIDTH == 8 ? csrve::Costs{0.5, 0.75, 1.25, 5.0, 20.0, 2.0}
                                                 : csrve::Costs{1.0, 2.0, 2.5, 3.5, 20.0, 4.0};
constexpr int kQuadVectors = CSRVE_WIDTH == 16 ? 6 : 3;  // for each of four output channels

typedef float Vector __attribute__((vector_size(4 * CSRVE_WIDTH)));
typedef float Unaligned __attribute__((vector_size(4 * CSRVE_WIDTH), aligned(4), may_alias));

inline Vector load(const float* place) { return *reinterpret_cast<const Unaligned*>(place); }
inline void store(float* place, Vector value) { *reinterpret_cast<Unaligned*>(place) = value; }
inline Vector splat(float value) { return value - Vector{}; }

typedef int32_t Indices __attribute__((vector_size(4 * CSRVE_WIDTH)));
typedef int32_t UnalignedIndices __attribute__((vector_size(4 * CSRVE_WIDTH), aligned(4), may_alias));

// Elements of two vectors, by their numbers 0 .. 2 * kWidth - 1.
inline Vector shuffle(Vector first, Vector second, Indices index) {
#if defined(__clang__)
    Vector made;
    for (int lane = 0; lane < kWidth; ++lane)
        made[lane] = index[lane] < kWidth ? first[index[lane]] : second[index[lane] - kWidth];
    return made;
#else
    return __builtin_shuffle(first, second, index);
#endif
}

// Both let NaN through, so that an overflow shows in the logits.
inline Vector clamp(Vector value, Vector low, Vector high) {
    value = low > value ? low : value;
    return high < value ? high : value;
}
inline float clamp(float value, float low, float high) {
    value = low > value ? low : value;
    return high < value ? high : value;
}

}  // namespace
