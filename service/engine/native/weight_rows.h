// A weight matrix row by row, read where the non-zeros of a bundle lie.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels.h"
#include "window.h"

namespace csrve {

// Positions in [outputs, inputs / group, kernel_y, kernel_x], row-major, strictly rising. Values are one a position where
// `codes` is null, and what the codes of the positions index otherwise.
struct NonZeros {
    const int32_t* positions;
    const uint16_t* codes;
    const float* values;
    int64_t count;
};

// Where positions that rise reach the limit, from `at` on, or `end`. Several are compared at a time.
inline int64_t first_from(const int32_t* positions, int64_t at, int64_t end, int32_t limit) {
    constexpr int64_t kCompared = 16;
    while (at + kCompared <= end) {
        int32_t before = 0;
        for (int64_t ahead = 0; ahead < kCompared; ++ahead) before += positions[at + ahead] < limit;
        at += before;
        if (before < kCompared) return at;
    }
    while (at < end && positions[at] < limit) ++at;
    return at;
}

class WeightRows {
  public:
    // What stands in one row. Its items are counted through the whole matrix; their pixels are columns, counted through
    // all groups of the input.
    class Row {
      public:
        Row(const NonZeros& nonzeros, float factor, uint32_t before)
            : positions_(nonzeros.positions),
              codes_(nonzeros.codes),
              values_(nonzeros.values),
              factor_(factor),
              before_(before) {}
        int32_t column(int64_t at) const { return static_cast<int32_t>(static_cast<uint32_t>(positions_[at]) - before_); }
        // The first item from `at` on, or `end`, whose column is that one or behind it.
        int64_t find(int64_t at, int64_t end, int32_t column) const {
            return first_from(positions_, at, end, static_cast<int32_t>(static_cast<uint32_t>(column) + before_));
        }
        Entry operator[](int64_t at) const {
            return {(codes_ ? values_[codes_[at]] : values_[at]) * factor_, column(at)};
        }

      private:
        const int32_t* positions_;
        const uint16_t* codes_;
        const float* values_;
        float factor_;
        uint32_t before_;  // positions before the row, less the columns of the groups before its own
    };

    WeightRows() = default;
    // The arrays of the non-zeros must outlive this; `scale` is empty or one an output channel. Throws
    // std::invalid_argument where the positions do not rise within the window's weights.
    WeightRows(const Window& window, const NonZeros& nonzeros, std::vector<float> scale);

    // Of each row the first item, and the end of the last row. They are given away: once.
    std::vector<int64_t> take_starts() { return std::move(starts_); }
    Row row(int64_t number) const {
        const int64_t before = number * columns_ - number / group_rows_ * columns_;
        return {nonzeros_, scale_.empty() ? 1.0f : scale_[number], static_cast<uint32_t>(before)};
    }
    void fetch(int64_t at) const {
        __builtin_prefetch(nonzeros_.positions + at);
        if (nonzeros_.codes) __builtin_prefetch(nonzeros_.codes + at);
    }

  private:
    NonZeros nonzeros_{};
    std::vector<float> scale_;
    int64_t columns_ = 1, group_rows_ = 1;
    std::vector<int64_t> starts_;
};

}  // namespace csrve
