#include "sparse.h"

#include <algorithm>
#include <vector>

namespace csrve {

namespace {

constexpr int64_t kSummed = 1 << 15;  // symbols of 16 bits whose sum fits 32, so that four are added at a time
constexpr uint32_t kPackedColumns = 1 << 16;

// By a number of 2 or more, without dividing: exact for numerators below 2**32 (Granlund and Montgomery 1994).
class Divisor {
  public:
    explicit Divisor(uint32_t by) : by_(by), inverse_(~uint64_t{0} / by + 1) {}
    uint32_t quotient(uint32_t number) const {
        return static_cast<uint32_t>(static_cast<unsigned __int128>(inverse_) * number >> 64);
    }
    uint32_t rest(uint32_t number) const { return number - quotient(number) * by_; }

  private:
    uint32_t by_;
    uint64_t inverse_;
};

// By a power of two, as most numbers of rows are.
class Shift {
  public:
    explicit Shift(uint32_t by) : bits_(__builtin_ctz(by)), mask_(by - 1) {}
    uint32_t quotient(uint32_t number) const { return number >> bits_; }
    uint32_t rest(uint32_t number) const { return number & mask_; }

  private:
    int bits_;
    uint32_t mask_;
};

// The positions of a scan, in its order, each given to `count` as well. Escapes are unforeseeable, so there is no branch
// for them.
template <typename Position, typename Count>
void scan_positions(const uint16_t* gaps, int64_t symbols, uint16_t limit, Position* positions, const Count& count) {
    int64_t found = 0;
    Position position = 0;
    for (int64_t at = 0; at < symbols; ++at) {
        const bool literal = gaps[at] != limit;
        const Position here = position + gaps[at];
        positions[found] = here;  // an escape's is written over: a literal follows
        count(here, literal);
        found += literal;
        position += static_cast<Position>(gaps[at] + literal);
    }
}

// A counting sort by row: within a row the columns rise already.
template <typename ByRows>
void place_columns(const uint16_t* gaps, int64_t symbols, const uint16_t* values, int64_t count, const Scan& scan,
                   const ByRows by_rows, Scratch& scratch, int32_t* positions, uint16_t* codes) {
    const uint32_t rows = static_cast<uint32_t>(scan.rows), columns = static_cast<uint32_t>(scan.columns);
    uint32_t* const scanned = scratch.demand(count);
    std::vector<uint32_t> next(rows + 1);  // of each row, the place of its next non-zero
    uint32_t* const counts = next.data() + 1;
    scan_positions(gaps, symbols, scan.limit, scanned,
                   [&](uint32_t position, bool literal) { counts[by_rows.rest(position)] += literal; });
    for (uint32_t row = 0; row < rows; ++row) next[row + 1] += next[row];
    if (columns > kPackedColumns) {
        for (int64_t at = 0; at < count; ++at) {
            const uint32_t row = by_rows.rest(scanned[at]), target = next[row]++;
            positions[target] = static_cast<int32_t>(row * columns + by_rows.quotient(scanned[at]));
            codes[target] = values[at] - 1;
        }
        return;
    }
    // One store a non-zero where rows lie apart: its column and its code share 32 bits until all are in order.
    uint32_t* const packed = reinterpret_cast<uint32_t*>(positions);
    for (int64_t at = 0; at < count; ++at) {
        const uint16_t code = values[at] - 1;
        packed[next[by_rows.rest(scanned[at])]++] = by_rows.quotient(scanned[at]) << 16 | code;
    }
    uint32_t at = 0;
    for (uint32_t row = 0; row < rows; ++row)
        for (; at < next[row]; ++at) {
            codes[at] = static_cast<uint16_t>(packed[at]);
            packed[at] = row * columns + (packed[at] >> 16);
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
                    Scratch& scratch, int32_t* positions, uint16_t* codes) {
    if (scan.by_columns) {
        const uint32_t rows = static_cast<uint32_t>(scan.rows);
        if (rows & (rows - 1))
            place_columns(gaps, symbols, values, count, scan, Divisor(rows), scratch, positions, codes);
        else
            place_columns(gaps, symbols, values, count, scan, Shift(rows), scratch, positions, codes);
        return;
    }
    scan_positions(gaps, symbols, scan.limit, positions, [](int32_t, bool) {});
    for (int64_t at = 0; at < count; ++at) codes[at] = values[at] - 1;
}

}  // namespace csrve
