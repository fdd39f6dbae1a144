#include "decode.h"

#include <cstring>

namespace csrve {

namespace {

constexpr int kLanes = 4;      // side by side: a symbol waits for a load that waits for the symbol before
constexpr int kPerRefill = 4;  // looks of 12 bits or fewer in the 57 bits that a refill leaves at least
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

// A lane that is being decoded.
struct Slot {
    const Lane* lane;
    const uint32_t* pairs;
    int64_t bit;
    uint16_t *out, *last_out;  // the next symbol's place, and the last from which a refill's pairs have room
};

class Decoding {
  public:
    Decoding(const uint8_t* payload, int64_t size_bytes, const Tables& tables, uint16_t* symbols, int64_t* ends)
        : payload_(payload),
          size_bytes_(size_bytes),
          last_bit_(8 * (size_bytes - kWindowBytes)),
          tables_(tables),
          symbols_(symbols),
          ends_(ends) {}

    Slot begin(const Lane& lane) const {
        uint16_t* const out = symbols_ + lane.output;
        const bool room = lane.count >= 2 * kPerRefill;
        return {&lane, tables_.pairs.data() + lane.table * kTableEntries, lane.start, out,
                room ? out + lane.count - 2 * kPerRefill : nullptr};
    }

    // Whether eight bytes can be read, and the symbols of a refill written.
    bool goes_on(const Slot& slot) const { return slot.last_out && slot.out <= slot.last_out && slot.bit <= last_bit_; }

    // What is left of a lane that cannot go on.
    void end(const Slot& slot) const {
        const int64_t left = symbols_ + slot.lane->output + slot.lane->count - slot.out;
        const uint16_t* const singles = tables_.singles.data() + slot.lane->table * kTableEntries;
        ends_[slot.lane->index] = finish(payload_, size_bytes_, singles, slot.bit, left, slot.out);
    }

    // So many lanes that go on, pairs of symbols at a time, until one of them does not.
    template <int kSlots>
    void together(Slot* slots) const {
        int64_t bit[kSlots];
        uint16_t* out[kSlots];
        const uint32_t* pairs[kSlots];
        for (int slot = 0; slot < kSlots; ++slot) {
            bit[slot] = slots[slot].bit;
            out[slot] = slots[slot].out;
            pairs[slot] = slots[slot].pairs;
        }
        bool all = true;
        while (all) {
            uint64_t window[kSlots];
            for (int slot = 0; slot < kSlots; ++slot)
                window[slot] = big_endian(payload_ + (bit[slot] >> 3)) << (bit[slot] & 7);
#pragma GCC unroll 4
            for (int step = 0; step < kPerRefill; ++step) {
#pragma GCC unroll 4
                for (int slot = 0; slot < kSlots; ++slot) {
                    const Pair pair{pairs[slot][window[slot] >> (64 - kCodeBits)]};
                    store(out[slot], pair);
                    out[slot] += pair.symbols();
                    window[slot] <<= pair.bits();
                    bit[slot] += pair.bits();
                }
            }
            for (int slot = 0; slot < kSlots; ++slot) all &= out[slot] <= slots[slot].last_out && bit[slot] <= last_bit_;
        }
        for (int slot = 0; slot < kSlots; ++slot) {
            slots[slot].bit = bit[slot];
            slots[slot].out = out[slot];
        }
    }

  private:
    const uint8_t* payload_;
    int64_t size_bytes_, last_bit_;
    const Tables& tables_;
    uint16_t* symbols_;
    int64_t* ends_;
};

}  // namespace

void decode_lanes(const uint8_t* payload, int64_t size_bytes, const Tables& tables, const Lane* lanes, int64_t count,
                  uint16_t* symbols, int64_t* ends) {
    const Decoding decoding(payload, size_bytes, tables, symbols, ends);
    Slot slots[kLanes];
    int busy = 0;
    const Lane *next = lanes, *const last = lanes + count;
    for (;;) {
        for (int slot = 0; slot < busy; ++slot)
            while (slot < busy && !decoding.goes_on(slots[slot])) {
                decoding.end(slots[slot]);
                slots[slot] = slots[--busy];
            }
        while (busy < kLanes && next < last) {
            const Slot slot = decoding.begin(*next++);
            if (decoding.goes_on(slot))
                slots[busy++] = slot;
            else
                decoding.end(slot);
        }
        switch (busy) {
            case 0: return;
            case 1: decoding.together<1>(slots); break;
            case 2: decoding.together<2>(slots); break;
            case 3: decoding.together<3>(slots); break;
            default: decoding.together<kLanes>(slots);
        }
    }
}

}  // namespace csrve
