// From the two coded streams of a sparse tensor to the positions and codes of its non-zeros, in one thread's own memory.
#pragma once

#include <cstdint>
#include <vector>

#include "decode.h"
#include "sparse.h"
#include "tables.h"

namespace csrve {

// A stream as it stands in a bundle: lanes of equal symbol count, the last perhaps of fewer, without a gap from the
// payload's first bit on, and zero bits up to the next byte.
struct Stream {
    const uint8_t* payload;
    int64_t size_bytes;
    int64_t table;
    int64_t count;                   // of symbols
    std::vector<int64_t> lane_bits;  // of each lane
};

struct SparseTensor {
    Stream gaps, values;
    Scan scan;
    int64_t largest;     // value symbol
    int32_t* positions;  // [values.count], as are the codes
    uint16_t* codes;
};

// Tensor after tensor, of one thread.
class SparseDecoder {
  public:
    SparseDecoder(const Tables& tables, int lane_log2) : tables_(tables), lane_log2_(lane_log2) {}

    // Fills in positions, row-major and strictly rising, and codes, value symbols less one. False, and something or
    // nothing written, where a stream or its lanes are not as a bundle's must be; Python says then what is wrong.
    bool decode(const SparseTensor& tensor);

  private:
    bool take_in(const Stream& stream, int64_t output);
    bool fits(const SparseTensor& tensor) const;

    const Tables& tables_;
    int lane_log2_;
    std::vector<uint8_t> payload_;
    std::vector<uint16_t> symbols_;
    std::vector<Lane> lanes_;
    std::vector<int64_t> expected_ends_, ends_;
    Scratch scratch_;
};

}  // namespace csrve
