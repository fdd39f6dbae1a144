// The non-zeros of a weight matrix in the order in which tiles read them: groups of output channels, which are the tasks
// of threads; in each group blocks of input channels, whose pixels fit the first-level cache; in each block the rows by
// falling count, so that the processor foresees where each one ends.
#pragma once

#include <vector>

#include "memory.h"
#include "weight_rows.h"

namespace csrve {

class SparseRows {
  public:
    SparseRows() = default;
    // The arrays of the non-zeros must last until they are arranged; `scale` is empty or one an output channel. Throws
    // std::invalid_argument where they do not fit the window.
    SparseRows(const Window& window, const NonZeros& nonzeros, std::vector<float> scale);

    // Puts them in their final order, in `memory`, and gives each its pixel for its column and its place among the
    // copies, if there are any: once. std::runtime_error where a row of a block has more than 65,535 non-zeros.
    void arrange(int64_t block_channels, int64_t groups, const std::vector<int32_t>& pixels,
                 const std::vector<int32_t>& copied_floats, Memory& memory);

    bool quads() const { return joined_; }
    int64_t rows() const { return static_cast<int64_t>(starts_.size()) - 1; }  // or quads of rows; until arranged
    int64_t row_channels() const { return quads() ? kQuad : 1; }
    int64_t entries() const { return count_; }  // or quads
    int64_t blocks() const { return blocks_; }
    int64_t block_channels() const { return block_channels_; }
    int64_t groups() const { return static_cast<int64_t>(bounds_.size()) - 1; }
    int64_t most_rows() const;  // of a group
    int64_t size_bytes() const;

    // Fills in what a tile of that group needs; `copied` where it reads the copies.
    void describe(int64_t group, bool copied, TileJob& job) const;

  private:
    // By column of the weight matrix.
    struct Targets {
        const std::vector<int32_t>* pixels;
        std::vector<uint16_t> copied;
    };

    // Quads of rows, once they are joined; they are read as `WeightRows` are.
    class Quads;

    bool share_columns(int64_t columns) const;
    void join_rows();
    void divide_rows(int64_t groups);
    template <typename Item, typename Rows>
    Items<Item> reorder(const Rows& rows, const Targets& targets, Memory& memory);
    template <typename Rows>
    void find_ends(const Rows& given, int64_t first, int64_t rows, std::vector<int32_t>& ends) const;

    int64_t taps_ = 1, group_channels_ = 1;
    int64_t count_ = 0;    // of entries, or quads
    bool joined_ = false;  // whether rows are quads
    // Until they are arranged:
    WeightRows weights_;
    std::vector<QuadEntry> joined_rows_;
    std::vector<int64_t> starts_;  // of each row, or quad of rows
    // From then on:
    Items<Entry> entries_;
    Items<QuadEntry> quads_;
    int64_t block_channels_ = 1, blocks_ = 1;
    std::vector<int64_t> bounds_;  // of the groups, in rows
    std::vector<RowRun> runs_;
    std::vector<Slice> slices_;  // [groups][blocks]
    Items<uint16_t> copied_;  // of each entry, or empty
};

}  // namespace csrve
