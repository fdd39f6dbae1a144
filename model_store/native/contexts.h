// Layout CONTEXTS in C++: model_store/contexts.py and adaptive.py say what the bits mean; this is their twin.
#pragma once

#include <cstdint>
#include <vector>

namespace csrve {

constexpr int kClasses = 5;  // zero; negative small, large; positive small, large
constexpr int kDensityLevels = 19, kLargenessSums = 5, kEdges = 4;
constexpr int kMaskContexts = kDensityLevels * kLargenessSums * kEdges;
constexpr int kMaxCount = 127;  // after so many bits a context learns at a fixed rate

// Probabilities of a 1 in 16 bits, and how many bits each context has seen.
struct AdaptiveBits {
    uint16_t* probabilities;
    uint8_t* counts;
};

// A stream of bits that has been found to begin with a state, or is empty.
struct BitStream {
    const uint8_t* data;
    int64_t size_bytes;
};

struct KernelShape {
    int64_t filters, channels, taps, width;  // width: taps of a row of a kernel
    const uint8_t* classes;                  // of each symbol: 0 of a zero, then of every entry of the codebook
    int64_t symbols;
    int depth;                               // bits of a value
};

enum class Outcome { kDone, kEndsEarly, kGoesOn, kPastCodebook };

struct Decoded {
    Outcome outcome = Outcome::kDone;
    int64_t symbol = 0;  // that is past the codebook
    std::vector<int32_t> positions;
    std::vector<uint16_t> codes;
};

// Memory grows with what was decoded, never with what the shape claims. There are kMaskContexts of the mask, and
// kClasses * kClasses << depth of values.
Decoded decode_contexts(const KernelShape& kernels, const BitStream& mask, const BitStream& values,
                        const AdaptiveBits& mask_bits, const AdaptiveBits& value_bits);

}  // namespace csrve
