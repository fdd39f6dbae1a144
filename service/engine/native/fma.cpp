#include "fma.h"

#include "vectors.h"

#if defined(CSRVE_AVX512)
#define CSRVE_FMA_LOOP avx512_fma_loop
#elif defined(CSRVE_AVX2)
#define CSRVE_FMA_LOOP avx2_fma_loop
#else
#define CSRVE_FMA_LOOP plain_fma_loop
#endif

namespace csrve {

int64_t CSRVE_FMA_LOOP(int64_t rounds, float* sink) {
    // More chains than latency times units need (4 cycles, 2 units), and few enough for 16 registers.
    constexpr int kChains = 12;
    Vector sums[kChains];
    for (int chain = 0; chain < kChains; ++chain) sums[chain] = splat(sink[0] + static_cast<float>(chain));
    const Vector factor = splat(0.5f), addend = splat(sink[0] + 1.0f);  // sums stay near 2: no denormals, no overflow
    for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
        for (int chain = 0; chain < kChains; ++chain) sums[chain] = sums[chain] * factor + addend;
    }
    Vector total{};
    for (int chain = 0; chain < kChains; ++chain) total += sums[chain];
    for (int lane = 0; lane < kWidth; ++lane) sink[0] += total[lane];
    return rounds * kChains * kWidth;
}

}  // namespace csrve
