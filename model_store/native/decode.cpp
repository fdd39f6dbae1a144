#include "decode.h"

#include <cstring>

namespace csrve {

namespace {

constexpr int kLanes = 4;            // side by side: a symbol waits for a load that waits for the symbol before
constexpr int kPerRefill = 4;        // symbols of 12 bits or fewer in the 57 bits that a refill leaves at least
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

int64_t least(const Lane* lanes) {
    int64_t count = lanes[0].count;
    for (int lane = 1; lane < kLanes; ++lane) count = lanes[lane].count < count ? lanes[lane].count : count;
    return count;
}

}  // namespace

void decode_lanes(const uint8_t* payload, int64_t size_bytes, const uint16_t* tables, const Lane* lanes, int64_t count,
                  uint16_t* symbols, int64_t* ends) {
    const int64_t last_bit = 8 * (size_bytes - kWindowBytes);  // the last that a window of eight bytes can start at
    int64_t first = 0;
    for (; first + kLanes <= count; first += kLanes) {
        const Lane* mine = lanes + first;
        int64_t bit[kLanes];
        const uint16_t* table[kLanes];
        uint16_t* out[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) {
            bit[lane] = mine[lane].start;
            table[lane] = tables + mine[lane].table * kTableEntries;
            out[lane] = symbols + mine[lane].output;
        }
        const int64_t steps = least(mine);
        int64_t done = 0;
        for (; done + kPerRefill <= steps; done += kPerRefill) {
            int64_t furthest = bit[0];
            for (int lane = 1; lane < kLanes; ++lane) furthest = bit[lane] > furthest ? bit[lane] : furthest;
            if (furthest > last_bit) break;
            uint64_t window[kLanes];
            for (int lane = 0; lane < kLanes; ++lane)
                window[lane] = big_endian(payload + (bit[lane] >> 3)) << (bit[lane] & 7);
#pragma GCC unroll 4
            for (int step = 0; step < kPerRefill; ++step) {
#pragma GCC unroll 4
                for (int lane = 0; lane < kLanes; ++lane) {
                    const uint16_t entry = table[lane][window[lane] >> (64 - kCodeBits)];
                    out[lane][done + step] = entry >> 4;
                    window[lane] <<= entry & 15;
                    bit[lane] += entry & 15;
                }
            }
        }
        for (int lane = 0; lane < kLanes; ++lane)
            ends[mine[lane].index] = finish(payload, size_bytes, table[lane], bit[lane], mine[lane].count - done,
                                            out[lane] + done);
    }
    for (; first < count; ++first)
        ends[lanes[first].index] = finish(payload, size_bytes, tables + lanes[first].table * kTableEntries,
                                          lanes[first].start, lanes[first].count, symbols + lanes[first].output);
}

}  // namespace csrve
