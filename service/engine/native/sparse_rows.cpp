#include "sparse_rows.h"

#include <algorithm>
#include <stdexcept>

namespace csrve {

namespace {

constexpr int64_t kFetched = 6;  // rows ahead: each lies somewhere else

// Rows by falling count, equal ones in their order; returns how many have any. A counting sort: counts are small.
int32_t sort_rows(const std::vector<int32_t>& counts, std::vector<int32_t>& order) {
    const int32_t most = *std::max_element(counts.begin(), counts.end());
    if (most > UINT16_MAX) throw std::runtime_error("convolution: 65,536 non-zeros in a row's block");
    std::vector<int32_t> next(most + 2);  // of each count, where its next row goes
    for (const int32_t count : counts) ++next[most - count + 1];
    for (int32_t fewer = 0; fewer <= most; ++fewer) next[fewer + 1] += next[fewer];
    const int32_t busy = next[most];
    order.resize(counts.size());
    for (size_t row = 0; row < counts.size(); ++row) order[next[most - counts[row]]++] = static_cast<int32_t>(row);
    return busy;
}

}  // namespace

class SparseRows::Quads {
  public:
    class Row {
      public:
        explicit Row(const QuadEntry* items) : items_(items) {}
        int32_t column(int64_t at) const { return items_[at].pixel; }
        int64_t find(int64_t at, int64_t end, int32_t column) const {
            while (at < end && items_[at].pixel < column) ++at;
            return at;
        }
        const QuadEntry& operator[](int64_t at) const { return items_[at]; }

      private:
        const QuadEntry* items_;
    };

    explicit Quads(const std::vector<QuadEntry>& items) : items_(items.data()) {}
    Row row(int64_t) const { return Row(items_); }
    void fetch(int64_t at) const { __builtin_prefetch(items_ + at); }

  private:
    const QuadEntry* items_;
};

SparseRows::SparseRows(const Window& window, const NonZeros& nonzeros, std::vector<float> scale)
    : taps_(window.taps()),
      group_channels_(window.input.channels / window.group),
      count_(nonzeros.count),
      weights_(window, nonzeros, std::move(scale)),
      starts_(weights_.take_starts()) {
    if (share_columns(window.input.channels * taps_)) join_rows();
}

// Whether quads of rows would be three quarters full, of as many columns as there are.
bool SparseRows::share_columns(int64_t columns) const {
    const int64_t rows = this->rows(), nonzeros = count_;
    if (rows < kQuad || nonzeros < 2 * rows) return false;
    std::vector<int64_t> seen(columns);  // the last row of the quad that had a non-zero there
    int64_t joined = 0;
    for (int64_t row = 0; row < rows; row += kQuad) {
        const int64_t last = std::min(row + kQuad, rows);
        for (int64_t one = row; one < last; ++one) {
            const WeightRows::Row items = weights_.row(one);
            for (int64_t at = starts_[one]; at < starts_[one + 1]; ++at) {
                joined += seen[items.column(at)] != last;
                seen[items.column(at)] = last;
            }
        }
        const int64_t least = joined + Frame::ceiling(nonzeros - starts_[last], kQuad);
        if (nonzeros < 3 * least) return false;
    }
    return true;
}

// Four rows share their loads where nearly all of what one reads the others read as well.
void SparseRows::join_rows() {
    const int64_t rows = this->rows(), quads = Frame::ceiling(rows, kQuad);
    std::vector<QuadEntry> joined;
    std::vector<int64_t> starts{0};
    for (int64_t quad = 0; quad < quads; ++quad) {
        int64_t at[kQuad] = {}, end[kQuad] = {};
        std::vector<WeightRows::Row> items;
        for (int64_t r = 0; r < std::min<int64_t>(kQuad, rows - quad * kQuad); ++r) {
            const int64_t row = quad * kQuad + r;
            items.push_back(weights_.row(row));
            at[r] = starts_[row];
            end[r] = starts_[row + 1];
        }
        for (;;) {
            int32_t next = INT32_MAX;
            for (int64_t r = 0; r < kQuad; ++r)
                if (at[r] < end[r]) next = std::min(next, items[r].column(at[r]));
            if (next == INT32_MAX) break;
            QuadEntry entry{{0, 0, 0, 0}, next};
            for (int64_t r = 0; r < kQuad; ++r)
                if (at[r] < end[r] && items[r].column(at[r]) == next) entry.values[r] = items[r][at[r]++].value;
            joined.push_back(entry);
        }
        starts.push_back(static_cast<int64_t>(joined.size()));
    }
    count_ = static_cast<int64_t>(joined.size());
    joined_ = true;
    joined_rows_ = std::move(joined);
    starts_ = std::move(starts);
}

void SparseRows::arrange(int64_t block_channels, int64_t groups, const std::vector<int32_t>& pixels,
                         const std::vector<int32_t>& copied_floats, Memory& memory) {
    const bool grouped = static_cast<int64_t>(pixels.size()) > group_channels_ * taps_;  // rows read unlike columns
    block_channels_ = grouped ? group_channels_ : std::min(block_channels, group_channels_);
    blocks_ = Frame::ceiling(group_channels_, block_channels_);
    divide_rows(groups);
    Targets targets;
    targets.pixels = &pixels;
    for (const int32_t floats : copied_floats) targets.copied.push_back(static_cast<uint16_t>(floats / kMaxWidth));
    if (quads())
        quads_ = reorder<QuadEntry>(Quads(joined_rows_), targets, memory);
    else
        entries_ = reorder<Entry>(weights_, targets, memory);
    weights_ = {};
    joined_rows_ = {};
    starts_ = {};
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

template <typename Item, typename Rows>
Items<Item> SparseRows::reorder(const Rows& given, const Targets& targets, Memory& memory) {
    const bool copied = !targets.copied.empty();
    Items<Item> ordered = memory.take<Item>(count_ + kAhead);
    std::fill_n(ordered.data() + count_, kAhead, Item{});
    if (copied) {
        copied_ = memory.take<uint16_t>(ordered.size());
        std::fill_n(copied_.data() + count_, kAhead, uint16_t{0});
    }
    runs_.reserve(rows() * blocks_);
    std::vector<int32_t> starts(starts_.begin(), starts_.end() - 1), ends, counts, order;
    const int32_t* const pixels = targets.pixels->data();
    const uint16_t* const copies_of = targets.copied.data();
    Item* const target = ordered.data();
    uint16_t* const copies = copied_.data();
    int64_t made = 0;
    for (int64_t group = 0; group < groups(); ++group) {
        const int64_t rows = bounds_[group + 1] - bounds_[group];
        int32_t* const from = starts.data() + bounds_[group];
        find_ends(given, bounds_[group], rows, ends);
        counts.resize(rows);
        for (int64_t block = 0; block < blocks_; ++block) {
            for (int64_t row = 0; row < rows; ++row) counts[row] = ends[block * rows + row] - from[row];
            Slice slice{made, static_cast<int32_t>(runs_.size()), static_cast<int32_t>(rows), 0};
            slice.busy = sort_rows(counts, order);
            for (int64_t run = 0; run < rows; ++run) {
                given.fetch(from[order[std::min(run + kFetched, rows - 1)]]);
                const int32_t row = order[run];
                runs_.push_back({static_cast<uint16_t>(row), static_cast<uint16_t>(counts[row])});
                const auto items = given.row(bounds_[group] + row);
                const int32_t first = from[row];
                from[row] += counts[row];
                for (int32_t at = first; at < from[row]; ++at, ++made) {
                    Item item = items[at];
                    const int32_t column = item.pixel;
                    item.pixel = pixels[column];
                    target[made] = item;
                    if (copied) copies[made] = copies_of[column];
                }
            }
            slices_.push_back(slice);
        }
    }
    return ordered;
}

// Where the non-zeros of each row end in each block, [blocks][rows].
template <typename Rows>
void SparseRows::find_ends(const Rows& given, int64_t first, int64_t rows, std::vector<int32_t>& ends) const {
    ends.resize(blocks_ * rows);
    const int64_t block_columns = block_channels_ * taps_;
    for (int64_t row = 0; row < rows; ++row) {
        const auto items = given.row(first + row);
        const int64_t end = starts_[first + row + 1];
        int64_t at = starts_[first + row];
        int32_t* const mine = ends.data() + row;
        for (int64_t block = 0; block + 1 < blocks_; ++block) {
            at = items.find(at, end, static_cast<int32_t>((block + 1) * block_columns));
            mine[block * rows] = static_cast<int32_t>(at);
        }
        mine[(blocks_ - 1) * rows] = static_cast<int32_t>(end);
    }
}

int64_t SparseRows::most_rows() const {
    int64_t most = 0;
    for (size_t group = 1; group < bounds_.size(); ++group) most = std::max(most, bounds_[group] - bounds_[group - 1]);
    return most;
}

int64_t SparseRows::size_bytes() const {
    auto bytes_of = [](const auto& items) {
        return static_cast<int64_t>(sizeof(*items.data())) * static_cast<int64_t>(items.size());
    };
    return bytes_of(entries_) + bytes_of(quads_) + bytes_of(runs_) + bytes_of(slices_) + bytes_of(copied_) +
           bytes_of(bounds_);
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
