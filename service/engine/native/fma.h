// The most multiply-adds a core can do: registers only, no loads. Compiled once for every instruction set.
#pragma once

#include <cstdint>

namespace csrve {

// A loop of `rounds` passes over the registers. Returns how many multiply-adds that were; `sink` gets what they add up
// to, so that none is optimised away.
using FmaLoop = int64_t (*)(int64_t rounds, float* sink);

int64_t plain_fma_loop(int64_t rounds, float* sink);
int64_t avx2_fma_loop(int64_t rounds, float* sink);
int64_t avx512_fma_loop(int64_t rounds, float* sink);

}  // namespace csrve
