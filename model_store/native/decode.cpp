#include "decode.h"

#include <cstring>

namespace csrve {

namespace {

constexpr int kLanes = 4;            // side by side: a symbol waits for a load that waits for the symbol before
constexpr int kPerRefill = 4;        // looks of 12 bits or fewer in the 57 bits that a refill leaves at least
constexpr int64_t kWindowBytes = 8;

uint64_t big_endian(const uint8_t* place) {
    uint64_t word;
    std::memcpy(&word, place, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// Reads eight bytes from anywhere in the payload, zeros behind its end.
uint64_t careful_window(const uint8_t* payload, int64_t size_bytes, int64_t byte) {
    uint8_t bytes[kWindowBytes] = {};
    if (byte < size_bytes) {
        const int64_t left = size_bytes - byte;
        std::memcpy(bytes, payload + byte, static_cast<size_t>(left < kWindowBytes ? left : kWindowBytes));
    }
    return big_endian(bytes);
}

// The rest of a lane, with every read checked.
int64_t finish(const uint8_t* payload, int64_t size_bytes, const uint16_t* table, int64_t bit, int64_t count,
               uint16_t* symbols) {
    for (int64_t at = 0; at < count; ++at) {
        const int64_t byte = bit >> 3;
        const bool inside = byte + kWindowBytes <= size_bytes;
        const uint64_t word = inside ? big_endian(payload + byte) : careful_window(payload, size_bytes, byte);
        const uint64_t window = word << (bit & 7);
        const uint16_t entry = table[window >> (64 - kCodeBits)];
        symbols[at] = entry >> 4;
        bit += entry & 15;
    }
    return bit;
}

// Both halves of a pair, the second to be written over where there is none.
void store(uint16_t* place, Pair pair) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint32_t both = pair.entry & 0x0fff0fff;
    std::memcpy(place, &both, sizeof both);
#else
    place[0] = static_cast<uint16_t>(pair.first());
    place[1] = static_cast<uint16_t>(pair.second());
#endif
}

// kLanes lanes as far as they go together: pairs of symbols while all have room for them and eight bytes to read.
void decode_together(const uint8_t* payload, int64_t size_bytes, const Tables& tables, const Lane* lanes,
                     uint16_t* symbols, int64_t* ends) {
    const int64_t last_bit = 8 * (size_bytes - kWindowBytes);  // the last that a window of eight bytes can start at
    int64_t bit[kLanes], furthest = 0;
    const uint32_t* pairs[kLanes];
    uint16_t *out[kLanes], *last_out[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
        bit[lane] = lanes[lane].start;
        pairs[lane] = tables.pairs.data() + lanes[lane].table * kTableEntries;
        out[lane] = symbols + lanes[lane].output;
        last_out[lane] = out[lane] + lanes[lane].count - 2 * kPerRefill;
        furthest = bit[lane] > furthest ? bit[lane] : furthest;
    }
    bool room = true;
    for (int lane = 0; lane < kLanes; ++lane) room &= lanes[lane].count >= 2 * kPerRefill;
    while (room && furthest <= last_bit) {
        uint64_t window[kLanes];
        for (int lane = 0; lane < kLanes; ++lane)
            window[lane] = big_endian(payload + (bit[lane] >> 3)) << (bit[lane] & 7);
#pragma GCC unroll 4
        for (int step = 0; step < kPerRefill; ++step) {
#pragma GCC unroll 4
            for (int lane = 0; lane < kLanes; ++lane) {
                const Pair pair{pairs[lane][window[lane] >> (64 - kCodeBits)]};
                store(out[lane], pair);
                out[lane] += pair.symbols();
                window[lane] <<= pair.bits();
                bit[lane] += pair.bits();
            }
        }
        for (int lane = 0; lane < kLanes; ++lane) {
            room &= out[lane] <= last_out[lane];
            furthest = bit[lane] > furthest ? bit[lane] : furthest;
        }
    }
    for (int lane = 0; lane < kLanes; ++lane) {
        const int64_t left = symbols + lanes[lane].output + lanes[lane].count - out[lane];
        const uint16_t* const singles = tables.singles.data() + lanes[lane].table * kTableEntries;
        ends[lanes[lane].index] = finish(payload, size_bytes, singles, bit[lane], left, out[lane]);
    }
}

}  // namespace

void decode_lanes(const uint8_t* payload, int64_t size_bytes, const Tables& tables, const Lane* lanes, int64_t count,
                  uint16_t* symbols, int64_t* ends) {
    int64_t first = 0;
    for (; first + kLanes <= count; first += kLanes)
        decode_together(payload, size_bytes, tables, lanes + first, symbols, ends);
    for (; first < count; ++first) {
        const Lane& lane = lanes[first];
        const uint16_t* const singles = tables.singles.data() + lane.table * kTableEntries;
        ends[lane.index] = finish(payload, size_bytes, singles, lane.start, lane.count, symbols + lane.output);
    }
}

}  // namespace csrve
