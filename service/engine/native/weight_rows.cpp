#include "weight_rows.h"

#include <stdexcept>

namespace csrve {

namespace {

constexpr int64_t kStride = 8;

void require(bool condition) {
    if (!condition) throw std::invalid_argument("convolution: positions");
}

// Without a branch for each, so that several are compared at a time.
bool rise(const int32_t* positions, int64_t count) {
    int falls = 0;
    for (int64_t at = 1; at < count; ++at) falls |= positions[at - 1] >= positions[at];
    return !falls && (!count || positions[0] >= 0);
}

}  // namespace

WeightRows::WeightRows(const Window& window, const NonZeros& nonzeros, std::vector<float> scale)
    : nonzeros_(nonzeros),
      scale_(std::move(scale)),
      columns_(window.input.channels / window.group * window.taps()),
      group_rows_(window.output.channels / window.group) {
    const int32_t* const positions = nonzeros.positions;
    const int64_t count = nonzeros.count, rows = window.output.channels;
    require(rise(positions, count));
    starts_.reserve(rows + 1);
    starts_.push_back(0);
    int64_t at = 0;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t end = (row + 1) * columns_;
        while (at + kStride < count && positions[at + kStride] < end) at += kStride;
        while (at < count && positions[at] < end) ++at;
        starts_.push_back(at);
    }
    require(at == count);
}

}  // namespace csrve
