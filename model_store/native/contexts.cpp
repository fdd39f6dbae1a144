#include "contexts.h"

#include <algorithm>

namespace csrve {

namespace {

constexpr int kProbabilityBits = 16, kFrequencyBits = 12;
constexpr int32_t kFrequencies = 1 << kFrequencyBits, kMinFrequency = 32;
constexpr int64_t kStateBytes = 3;
constexpr uint32_t kLowState = 1u << 16;
constexpr uint32_t kTop = (1u << kProbabilityBits) - 1;
constexpr int kLargeness[kClasses] = {0, 1, 2, 1, 2};

struct Rates {
    uint32_t of[kMaxCount + 1];
    constexpr Rates() : of{} {
        for (uint32_t count = 0; count <= kMaxCount; ++count) of[count] = 2 * (kTop + 1) / (2 * count + 3);
    }
};
constexpr Rates kRates;

class BitDecoder {
  public:
    explicit BitDecoder(const BitStream& stream) : data_(stream.data), size_(stream.size_bytes) {
        for (int64_t at = 0; at < std::min(kStateBytes, size_); ++at) state_ = state_ << 8 | data_[at];
    }

    int take(const AdaptiveBits& bits, int64_t context) {
        const int32_t learnt = bits.probabilities[context] >> (kProbabilityBits - kFrequencyBits);
        const uint32_t one = static_cast<uint32_t>(std::clamp(learnt, kMinFrequency, kFrequencies - kMinFrequency));
        const uint32_t slot = state_ & (kFrequencies - 1), high = state_ >> kFrequencyBits;
        const int bit = slot < one;
        state_ = bit ? one * high + slot : (kFrequencies - one) * high + slot - one;
        while (state_ < kLowState) {
            if (at_ >= size_) {
                ended_ = true;
                return 0;
            }
            state_ = state_ << 8 | data_[at_++];
        }
        learn(bits, context, bit);
        return bit;
    }

    bool ended() const { return ended_; }  // before what its bits stand for
    bool finished() const { return !size_ || (at_ == size_ && state_ == kLowState); }

  private:
    static void learn(const AdaptiveBits& bits, int64_t context, int bit) {
        const uint32_t probability = bits.probabilities[context], rate = kRates.of[bits.counts[context]];
        const uint32_t moved = bit ? probability + ((kTop - probability) * rate >> kProbabilityBits)
                                   : probability - (probability * rate >> kProbabilityBits);
        bits.probabilities[context] = static_cast<uint16_t>(moved);
        if (bits.counts[context] < kMaxCount) ++bits.counts[context];
    }

    const uint8_t* data_;
    int64_t size_, at_ = kStateBytes;
    uint32_t state_ = 0;
    bool ended_ = false;
};

int density_level(int64_t nonzeros, int64_t elements) {
    if (!elements) return kDensityLevels - 1;
    const uint64_t density = static_cast<uint64_t>(256 * nonzeros / elements), square = density * density;
    return square ? 64 - __builtin_clzll(square) : 0;
}

struct Tap {
    int64_t left, above;  // of the taps before it, or the one that is never written
    int edges;
};

std::vector<Tap> taps_of(const KernelShape& kernels) {
    std::vector<Tap> taps;
    for (int64_t tap = 0; tap < kernels.taps; ++tap) {
        const bool left = tap % kernels.width > 0, above = tap >= kernels.width;
        taps.push_back({left ? tap - 1 : kernels.taps, above ? tap - kernels.width : kernels.taps, left + 2 * above});
    }
    return taps;
}

class Reader {
  public:
    Reader(const KernelShape& kernels, const BitStream& mask, const BitStream& values, const AdaptiveBits& mask_bits,
           const AdaptiveBits& value_bits)
        : kernels_(kernels), mask_(mask), values_(values), mask_bits_(mask_bits), value_bits_(value_bits),
          taps_(taps_of(kernels)), found_(kernels.taps + 1) {}

    // The non-zeros of one kernel, whose first element is number `first`; -1 where decoding cannot go on.
    int64_t kernel(int level, int64_t first, Decoded& made) {
        int64_t nonzeros = 0;
        for (int64_t tap = 0; tap < kernels_.taps; ++tap) {
            const int left = found_[taps_[tap].left], above = found_[taps_[tap].above];
            const int largeness = kLargeness[left] + kLargeness[above];
            const int context = (level * kLargenessSums + largeness) * kEdges + taps_[tap].edges;
            found_[tap] = 0;
            const int present = mask_.take(mask_bits_, context);
            if (mask_.ended()) return stop(made, Outcome::kEndsEarly);
            if (!present) continue;
            const int64_t symbol = value(left * kClasses + above) + 1;
            if (values_.ended()) return stop(made, Outcome::kEndsEarly);
            if (symbol >= kernels_.symbols) {
                made.symbol = symbol;
                return stop(made, Outcome::kPastCodebook);
            }
            found_[tap] = kernels_.classes[symbol];
            made.positions.push_back(static_cast<int32_t>(first + tap));
            made.codes.push_back(static_cast<uint16_t>(symbol - 1));
            ++nonzeros;
        }
        return nonzeros;
    }

    Outcome finish() const { return mask_.finished() && values_.finished() ? Outcome::kDone : Outcome::kGoesOn; }

  private:
    static int64_t stop(Decoded& made, Outcome outcome) {
        made.outcome = outcome;
        return -1;
    }

    int64_t value(int64_t context) {
        const int64_t base = context << kernels_.depth;
        int64_t node = 1;
        for (int place = 0; place < kernels_.depth && !values_.ended(); ++place)
            node = node << 1 | values_.take(value_bits_, base + node);
        return node - (int64_t{1} << kernels_.depth);
    }

    const KernelShape& kernels_;
    BitDecoder mask_, values_;
    const AdaptiveBits mask_bits_, value_bits_;
    const std::vector<Tap> taps_;
    std::vector<uint8_t> found_;  // the classes of the kernel's taps so far, the last of none
};

}  // namespace

Decoded decode_contexts(const KernelShape& kernels, const BitStream& mask, const BitStream& values,
                        const AdaptiveBits& mask_bits, const AdaptiveBits& value_bits) {
    Decoded made;
    Reader reader(kernels, mask, values, mask_bits, value_bits);
    std::vector<uint32_t> of_channel;
    int64_t first = 0;
    for (int64_t filter = 0; filter < kernels.filters; ++filter) {
        int64_t of_filter = 0;
        for (int64_t channel = 0; channel < kernels.channels; ++channel, first += kernels.taps) {
            if (!filter) of_channel.push_back(0);
            const int level = density_level(of_filter + of_channel[channel], (filter + channel) * kernels.taps);
            const int64_t nonzeros = reader.kernel(level, first, made);
            if (nonzeros < 0) return made;
            of_filter += nonzeros;
            of_channel[channel] += static_cast<uint32_t>(nonzeros);
        }
    }
    made.outcome = reader.finish();
    return made;
}

}  // namespace csrve
