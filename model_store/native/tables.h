// Huffman code lengths to tables in which the next bits are looked up.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

namespace csrve {

constexpr int kCodeBits = 12;  // the longest code
constexpr int kTableEntries = 1 << kCodeBits;
constexpr int kNoSymbol = 1023;  // what bits that no code begins with decode to, one at a time

inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Both by table and by the next 12 bits.
struct Tables {
    std::vector<uint16_t> singles;  // symbol << 4 | length: the next code
    std::vector<uint32_t> pairs;    // the next two, where both are complete: see Pair

    int64_t count() const { return static_cast<int64_t>(singles.size()) / kTableEntries; }
};

// The next code, and the one behind it if the bits hold all of it.
struct Pair {
    uint32_t entry;

    static Pair of(uint32_t first, int length) { return {first | static_cast<uint32_t>(length) << 12}; }
    static Pair of(uint32_t first, uint32_t second, int length) {
        return {of(first, length).entry | second << 16 | 1u << 28};
    }
    uint32_t first() const { return entry & 0xfff; }
    uint32_t second() const { return entry >> 16 & 0xfff; }
    int bits() const { return entry >> 12 & 15; }
    int64_t symbols() const { return 1 + (entry >> 28); }
};

// lengths: of every table's symbols, table after table, 0 where a symbol has no code.
// alphabets: how many symbols each table has.
// Throws std::invalid_argument where there are more symbols than 1,023, or lengths are too long or leave no room for each
// other.
Tables tables_of(const uint8_t* lengths, const std::vector<int64_t>& alphabets);

}  // namespace csrve
