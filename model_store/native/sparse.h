// From the gap and value symbols of a sparse tensor to the row-major positions and codes of its non-zeros.
#pragma once

#include <cstdint>
#include <memory>

namespace csrve {

// A scan of a matrix of fewer than 2**31 elements: row by row, or column by column.
struct Scan {
    int64_t rows, columns;
    bool by_columns;
    uint16_t limit;  // the escape
};

// The non-zeros that gaps stand for, or -1 where a symbol passes the limit, the last one is an escape, or the scan
// leaves the matrix: model_store/gaps.py says what is wrong then.
int64_t count_positions(const uint16_t* gaps, int64_t symbols, const Scan& scan);

// What one thread works in, tensor after tensor: memory that has been used is soon had again.
class Scratch {
  public:
    // Room for `size` numbers, whose contents are undefined.
    uint32_t* demand(int64_t size) {
        if (size > size_) {
            numbers_.reset(new uint32_t[static_cast<size_t>(size)]);
            size_ = size;
        }
        return numbers_.get();
    }

  private:
    std::unique_ptr<uint32_t[]> numbers_;
    int64_t size_ = 0;
};

// Positions [n] and codes [n], value symbols less one, of gaps for which `count_positions` gave n.
void place_nonzeros(const uint16_t* gaps, int64_t symbols, const uint16_t* values, int64_t count, const Scan& scan,
                    Scratch& scratch, int32_t* positions, uint16_t* codes);

}  // namespace csrve
