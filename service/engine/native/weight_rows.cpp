#include "weight_rows.h"

#include <stdexcept>

namespace csrve {

namespace {

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
    require(rows * columns_ <= INT32_MAX && rise(positions, count));
    require(!count || positions[count - 1] < rows * columns_);
    starts_.reserve(rows + 1);
    starts_.push_back(0);
    for (int64_t row = 0; row < rows; ++row)
        starts_.push_back(first_from(positions, starts_[row], count, static_cast<int32_t>((row + 1) * columns_)));
}

}  // namespace csrve
