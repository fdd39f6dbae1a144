// From the gap and value symbols of a sparse tensor to the row-major positions and codes of its non-zeros.
#pragma once

#include <cstdint>

namespace csrve {

// A scan of a matrix of fewer than 2**32 elements: row by row, or column by column.
struct Scan {
    int64_t rows, columns;
    bool by_columns;
    uint16_t limit;  // the escape
};

// The non-zeros that gaps stand for, or -1 where a symbol passes the limit, the last one is an escape, or the scan
// leaves the matrix: model_store/gaps.py says what is wrong then.
int64_t count_positions(const uint16_t* gaps, int64_t symbols, const Scan& scan);

// Positions [n] and codes [n], value symbols less one, of gaps for which `count_positions` gave n.
void place_nonzeros(const uint16_t* gaps, int64_t symbols, const uint16_t* values, int64_t count, const Scan& scan,
                    int64_t* positions, uint16_t* codes);

}  // namespace csrve
