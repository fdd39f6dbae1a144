#include "tables.h"

#include <algorithm>

namespace csrve {

namespace {

// Canonical codes: shorter ones first, equal lengths by symbol (RFC 1951, section 3.2.2).
void fill_singles(const uint8_t* lengths, int64_t alphabet, uint16_t* singles) {
    require(alphabet <= kNoSymbol, "tables: alphabet");
    int64_t counts[kCodeBits + 1] = {};
    for (int64_t symbol = 0; symbol < alphabet; ++symbol) {
        require(lengths[symbol] <= kCodeBits, "tables: code length");
        ++counts[lengths[symbol]];
    }
    int64_t next[kCodeBits + 1] = {}, end = 0;  // of each length, the entries of its next code
    for (int length = 1; length <= kCodeBits; ++length) {
        next[length] = end;
        end += counts[length] << (kCodeBits - length);
    }
    require(end <= kTableEntries, "tables: code lengths");
    for (int64_t symbol = 0; symbol < alphabet; ++symbol) {
        const int length = lengths[symbol];
        if (!length) continue;
        const int64_t entries = kTableEntries >> length;
        std::fill_n(singles + next[length], entries, static_cast<uint16_t>(symbol << 4 | length));
        next[length] += entries;
    }
    std::fill(singles + end, singles + kTableEntries, static_cast<uint16_t>(kNoSymbol << 4 | 1));
}

void fill_pairs(const uint16_t* singles, uint32_t* pairs) {
    for (uint32_t bits = 0; bits < kTableEntries; ++bits) {
        const uint16_t first = singles[bits], second = singles[bits << (first & 15) & (kTableEntries - 1)];
        const int length = first & 15, both = length + (second & 15);
        const Pair pair = both <= kCodeBits ? Pair::of(first >> 4, second >> 4, both) : Pair::of(first >> 4, length);
        pairs[bits] = pair.entry;
    }
}

}  // namespace

Tables tables_of(const uint8_t* lengths, const std::vector<int64_t>& alphabets) {
    const size_t entries = alphabets.size() * kTableEntries;
    Tables tables{std::vector<uint16_t>(entries), std::vector<uint32_t>(entries)};
    for (size_t table = 0; table < alphabets.size(); ++table) {
        const size_t first = table * kTableEntries;
        fill_singles(lengths, alphabets[table], tables.singles.data() + first);
        fill_pairs(tables.singles.data() + first, tables.pairs.data() + first);
        lengths += alphabets[table];
    }
    return tables;
}

}  // namespace csrve
