#include "sparse_rows.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace csrve {

namespace {

void require(bool condition) {
    if (!condition) throw std::invalid_argument("convolution: positions");
}

}  // namespace

SparseRows::SparseRows(const Window& window, const int64_t* positions, const float* values, int64_t nonzeros,
                       const std::vector<float>& scale)
    : taps_(window.taps()), group_channels_(window.input.channels / window.group) {
    read(window, positions, values, nonzeros, scale);
    join_rows();
}

void SparseRows::read(const Window& window, const int64_t* positions, const float* values, int64_t nonzeros,
                      const std::vector<float>& scale) {
    const int64_t rows = window.output.channels, columns = group_channels_ * taps_, group_rows = rows / window.group;
    entries_.reserve(nonzeros);
    starts_.assign(1, 0);
    int64_t at = 0, before = -1;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t first = row * columns, end = first + columns, group_column = row / group_rows * columns;
        const float factor = scale.empty() ? 1.0f : scale[row];
        for (; at < nonzeros && positions[at] < end; ++at) {
            require(positions[at] > before && positions[at] >= first);
            before = positions[at];
            entries_.push_back({values[at] * factor, static_cast<int32_t>(group_column + before - first)});
        }
        starts_.push_back(at);
    }
    require(at == nonzeros);
}

// Four rows share their loads where nearly all of what one reads the others read as well.
void SparseRows::join_rows() {
    const int64_t rows = this->rows(), quads = Frame::ceiling(rows, kQuad);
    const int64_t nonzeros = static_cast<int64_t>(entries_.size());
    if (rows < kQuad || nonzeros < 2 * rows) return;
    std::vector<QuadEntry> joined;
    std::vector<int64_t> starts{0};
    for (int64_t quad = 0; quad < quads; ++quad) {
        int64_t at[kQuad], end[kQuad];
        for (int64_t r = 0; r < kQuad; ++r) {
            const int64_t row = std::min(quad * kQuad + r, rows - 1);
            end[r] = starts_[row + 1];
            at[r] = quad * kQuad + r < rows ? starts_[row] : end[r];
        }
        for (;;) {
            int32_t next = INT32_MAX;
            for (int64_t r = 0; r < kQuad; ++r)
                if (at[r] < end[r]) next = std::min(next, entries_[at[r]].pixel);
            if (next == INT32_MAX) break;
            QuadEntry entry{{0, 0, 0, 0}, next};
            for (int64_t r = 0; r < kQuad; ++r)
                if (at[r] < end[r] && entries_[at[r]].pixel == next) entry.values[r] = entries_[at[r]++].value;
            joined.push_back(entry);
            if (nonzeros < 3 * static_cast<int64_t>(joined.size())) return;  // under three quarters full
        }
        starts.push_back(static_cast<int64_t>(joined.size()));
    }
    joined.shrink_to_fit();
    quads_ = std::move(joined);
    starts_ = std::move(starts);
    entries_ = {};
}

void SparseRows::arrange(int64_t block_channels, int64_t groups) {
    block_channels_ = std::min(block_channels, group_channels_);
    blocks_ = Frame::ceiling(group_channels_, block_channels_);
    divide_rows(groups);
    if (quads())
        reorder(quads_);
    else
        reorder(entries_);
    starts_ = {};
}

// The first column behind a block, in the convolution's group that `column` is in.
int64_t SparseRows::limit_of(int32_t column, int64_t block) const {
    const int64_t columns = group_channels_ * taps_;
    return column / columns * columns + std::min((block + 1) * block_channels_ * taps_, columns);
}

// Bounds at equal shares of the non-zeros, so that threads finish together.
void SparseRows::divide_rows(int64_t groups) {
    const int64_t rows = this->rows(), entries = this->entries();
    bounds_.assign(1, 0);
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t done = starts_[row + 1] + row + 1, group = static_cast<int64_t>(bounds_.size());
        if (row + 1 == rows || done * groups >= group * (entries + rows)) bounds_.push_back(row + 1);
    }
}

template <typename Item>
void SparseRows::reorder(std::vector<Item>& items) {
    std::vector<Item> ordered;
    ordered.reserve(items.size() + kAhead);
    std::vector<int64_t> at(starts_.begin(), starts_.end() - 1);
    for (int64_t group = 0; group < groups(); ++group) {
        const int64_t first = bounds_[group], rows = bounds_[group + 1] - first;
        std::vector<int64_t> counts(rows), order(rows);
        for (int64_t block = 0; block < blocks_; ++block) {
            Slice slice{static_cast<int64_t>(ordered.size()), static_cast<int32_t>(runs_.size()),
                        static_cast<int32_t>(rows), 0};
            for (int64_t row = 0; row < rows; ++row) {
                const int64_t row_end = starts_[first + row + 1];
                int64_t end = at[first + row];
                const int64_t limit = end < row_end ? limit_of(items[end].pixel, block) : 0;
                while (end < row_end && items[end].pixel < limit) ++end;
                counts[row] = end - at[first + row];
                if (counts[row] > UINT16_MAX) throw std::runtime_error("convolution: 65,536 non-zeros in a row's block");
                slice.busy += counts[row] > 0;
            }
            std::iota(order.begin(), order.end(), 0);
            std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return counts[a] > counts[b]; });
            for (int64_t row : order) {
                runs_.push_back({static_cast<uint16_t>(row), static_cast<uint16_t>(counts[row])});
                int64_t& from = at[first + row];
                ordered.insert(ordered.end(), items.begin() + from, items.begin() + from + counts[row]);
                from += counts[row];
            }
            slices_.push_back(slice);
        }
    }
    ordered.resize(ordered.size() + kAhead);
    runs_.shrink_to_fit();
    items = std::move(ordered);
}

void SparseRows::locate(const std::vector<int32_t>& pixels, const std::vector<int32_t>& copied_floats) {
    copied_.reserve(copied_floats.empty() ? 0 : entries());
    if (quads())
        locate(quads_, pixels, copied_floats);
    else
        locate(entries_, pixels, copied_floats);
}

template <typename Item>
void SparseRows::locate(std::vector<Item>& items, const std::vector<int32_t>& pixels,
                        const std::vector<int32_t>& copied_floats) {
    for (Item& item : items) {
        if (!copied_floats.empty()) copied_.push_back(static_cast<uint16_t>(copied_floats[item.pixel] / kMaxWidth));
        item.pixel = pixels[item.pixel];
    }
}

int64_t SparseRows::most_rows() const {
    int64_t most = 0;
    for (size_t group = 1; group < bounds_.size(); ++group) most = std::max(most, bounds_[group] - bounds_[group - 1]);
    return most;
}

int64_t SparseRows::size_bytes() const {
    return static_cast<int64_t>(entries_.size() * sizeof(Entry) + quads_.size() * sizeof(QuadEntry) +
                                runs_.size() * sizeof(RowRun) + slices_.size() * sizeof(Slice) +
                                copied_.size() * sizeof(uint16_t) + bounds_.size() * sizeof(int64_t));
}

void SparseRows::describe(int64_t group, bool copied, TileJob& job) const {
    job.copied = copied ? copied_.data() : nullptr;
    job.entries = entries_.data();
    job.quads = quads() ? quads_.data() : nullptr;
    job.runs = runs_.data();
    job.slices = slices_.data() + group * blocks_;
    job.blocks = blocks_;
    job.rows = bounds_[group + 1] - bounds_[group];
    job.first_channel = bounds_[group] * row_channels();
}

}  // namespace csrve
