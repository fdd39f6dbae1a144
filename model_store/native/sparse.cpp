#include "sparse.h"

#include <algorithm>
#include <vector>

namespace csrve {

namespace {

constexpr int64_t kSummed = 1 << 15;  // symbols of 16 bits whose sum fits 32, so that four are added at a time

// Divides by what is not known before, without dividing: exact for numerators below 2**32 (Granlund and Montgomery 1994).
class Divisor {
  public:
    explicit Divisor(uint32_t by) : by_(by), inverse_(by > 1 ? ~uint64_t{0} / by + 1 : 0) {}

    uint32_t quotient(uint32_t number) const {
        return by_ > 1 ? static_cast<uint32_t>(static_cast<unsigned __int128>(inverse_) * number >> 64) : number;
    }

  private:
    uint32_t by_;
    uint64_t inverse_;
};

// The positions of a scan, in its order. Escapes are unforeseeable, so there is no branch for them.
template <typename Position>
void scan_positions(const uint16_t* gaps, int64_t symbols, uint16_t limit, Position* positions) {
    int64_t found = 0;
    Position position = 0;
    for (int64_t at = 0; at < symbols; ++at) {
        const bool literal = gaps[at] != limit;
        position += gaps[at];
        positions[found] = position;  // an escape's is written over: a literal follows
        found += literal;
        position += literal;
    }
}

// A counting sort by row: within a row the columns rise already.
void place_columns(const uint16_t* gaps, int64_t symbols, const uint16_t* values, int64_t count, const Scan& scan,
                   int64_t* positions, uint16_t* codes) {
    const uint32_t rows = static_cast<uint32_t>(scan.rows), columns = static_cast<uint32_t>(scan.columns);
    const Divisor by_rows(rows);
    std::vector<uint32_t> scanned(count), next(rows + 1);  // next: of each row, the place of its next non-zero
    scan_positions(gaps, symbols, scan.limit, scanned.data());
    for (const uint32_t position : scanned) {
        const uint32_t column = by_rows.quotient(position), row = position - column * rows;
        ++next[row + 1];
    }
    for (uint32_t row = 0; row < rows; ++row) next[row + 1] += next[row];
    for (int64_t at = 0; at < count; ++at) {
        const uint32_t column = by_rows.quotient(scanned[at]), row = scanned[at] - column * rows;
        const uint32_t target = next[row]++;
        positions[target] = int64_t{row} * columns + column;
        codes[target] = values[at] - 1;
    }
}

}  // namespace

int64_t count_positions(const uint16_t* gaps, int64_t symbols, const Scan& scan) {
    if (!symbols) return 0;
    if (gaps[symbols - 1] == scan.limit) return -1;
    uint16_t largest = 0;
    int64_t literals = 0, skipped = 0;
    for (int64_t first = 0; first < symbols; first += kSummed) {
        const int64_t last = std::min(symbols, first + kSummed);
        uint32_t literals_here = 0, skipped_here = 0;
        for (int64_t at = first; at < last; ++at) {
            largest = std::max(largest, gaps[at]);
            literals_here += gaps[at] != scan.limit;
            skipped_here += gaps[at];
        }
        literals += literals_here;
        skipped += skipped_here;
    }
    const bool inside = skipped + literals <= scan.rows * scan.columns;
    return largest <= scan.limit && inside ? literals : -1;
}

void place_nonzeros(const uint16_t* gaps, int64_t symbols, const uint16_t* values, int64_t count, const Scan& scan,
                    int64_t* positions, uint16_t* codes) {
    if (scan.by_columns) {
        place_columns(gaps, symbols, values, count, scan, positions, codes);
        return;
    }
    scan_positions(gaps, symbols, scan.limit, positions);
    for (int64_t at = 0; at < count; ++at) codes[at] = values[at] - 1;
}

}  // namespace csrve
