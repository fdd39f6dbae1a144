// Huffman decoding of the lanes of a bundle, four at a time.
#pragma once

#include <cstdint>

#include "tables.h"

namespace csrve {

// One lane: `count` symbols from bit `start` of the payload on, to `output` on, coded with a table.
struct Lane {
    int64_t start;
    int64_t count;
    int64_t output;
    int64_t table;
    int64_t index;  // where its end goes
};

// Decodes every lane, whatever bits the payload has: behind its last byte it reads as zeros, and a lane that runs past
// it ends where the caller does not expect it.
//
// ends: the bit behind the last symbol of each lane.
void decode_lanes(const uint8_t* payload, int64_t size_bytes, const Tables& tables, const Lane* lanes, int64_t count,
                  uint16_t* symbols, int64_t* ends);

}  // namespace csrve
