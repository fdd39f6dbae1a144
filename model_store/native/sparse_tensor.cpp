#include "sparse_tensor.h"

#include <algorithm>

namespace csrve {

bool SparseDecoder::decode(const SparseTensor& tensor) {
    const Stream &gaps = tensor.gaps, &values = tensor.values;
    payload_.clear();
    lanes_.clear();
    expected_ends_.clear();
    if (!take_in(gaps, 0) || !take_in(values, gaps.count)) return false;
    const size_t symbols = static_cast<size_t>(gaps.count + values.count);
    if (symbols_.size() < symbols) symbols_.resize(symbols);
    ends_.resize(lanes_.size());
    const int64_t size_bytes = static_cast<int64_t>(payload_.size()), lanes = static_cast<int64_t>(lanes_.size());
    decode_lanes(payload_.data(), size_bytes, tables_, lanes_.data(), lanes, symbols_.data(), ends_.data());
    if (ends_ != expected_ends_ || !fits(tensor)) return false;
    place_nonzeros(symbols_.data(), gaps.count, symbols_.data() + gaps.count, values.count, tensor.scan, scratch_,
                   tensor.positions, tensor.codes);
    return true;
}

// The stream's bytes, behind those of the other one, and its lanes.
bool SparseDecoder::take_in(const Stream& stream, int64_t output) {
    const int64_t most = int64_t{1} << lane_log2_, lanes = static_cast<int64_t>(stream.lane_bits.size());
    if (lanes != (stream.count + most - 1) >> lane_log2_) return false;
    const int64_t first = 8 * static_cast<int64_t>(payload_.size()), last = first + 8 * stream.size_bytes;
    int64_t bit = first, left = stream.count;
    for (const int64_t bits : stream.lane_bits) {
        const int64_t count = std::min(left, most);
        lanes_.push_back({bit, count, output, stream.table, static_cast<int64_t>(lanes_.size())});
        if (bits < 0 || bits > last - bit) return false;
        bit += bits;
        expected_ends_.push_back(bit);
        output += count;
        left -= count;
    }
    const int64_t unused = last - bit;
    if (unused >= 8 || (unused && stream.payload[stream.size_bytes - 1] & ((1 << unused) - 1))) return false;
    payload_.insert(payload_.end(), stream.payload, stream.payload + stream.size_bytes);
    return true;
}

// Whether there is a value symbol for each position, and all are the codebook's. Bits that are no code have been decoded
// to a symbol larger than any gap or value.
bool SparseDecoder::fits(const SparseTensor& tensor) const {
    const uint16_t *const gaps = symbols_.data(), *const values = gaps + tensor.gaps.count;
    uint16_t least = UINT16_MAX, largest = 0;
    for (int64_t at = 0; at < tensor.values.count; ++at) {
        least = std::min(least, values[at]);
        largest = std::max(largest, values[at]);
    }
    if (least == 0 || largest > tensor.largest) return false;
    return count_positions(gaps, tensor.gaps.count, tensor.scan) == tensor.values.count;
}

}  // namespace csrve
