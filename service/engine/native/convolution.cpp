#include "convolution.h"

#include <stdexcept>

namespace csrve {

namespace {

constexpr int64_t kCacheFloats = 6 * 1024;   // of the input, for one tile: three quarters of a 32 KiB first level
constexpr int64_t kSumFloats = 32 * 1024;    // of a task's sums, which lie in the second level
constexpr int64_t kMinBlockChannels = 8;     // finer blocks only cost pointers
constexpr int64_t kTasksPerThread = 4;
constexpr int64_t kBlockWork = 384;  // vector products of a row in a block that make up for loading and storing its sums

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

}  // namespace

Convolution::Convolution(ConvolutionSpec spec) : spec_(std::move(spec)) {
    check();
    inputs = {spec_.input};
    if (spec_.residual >= 0) inputs.push_back(spec_.residual);
}

void Convolution::check() const {
    const ConvolutionSpec& s = spec_;
    const int64_t outputs = s.output_shape.channels;
    require(s.kernel_y > 0 && s.kernel_x > 0 && s.stride_y > 0 && s.stride_x > 0 && s.dilation_y > 0 &&
                s.dilation_x > 0 && s.pad_top >= 0 && s.pad_left >= 0 && s.group > 0,
            "convolution: window");
    require(s.input_shape.channels % s.group == 0 && outputs % s.group == 0, "convolution: groups");
    require(s.scale.empty() || static_cast<int64_t>(s.scale.size()) == outputs, "convolution: scale");
    require(s.bias.empty() || static_cast<int64_t>(s.bias.size()) == outputs, "convolution: bias");
    require(s.nonzeros >= 0 && s.nonzeros < INT32_MAX, "convolution: non-zeros");
}

Border Convolution::border() const {
    const ConvolutionSpec& s = spec_;
    const int64_t last_row = (s.output_shape.height - 1) * s.stride_y + (s.kernel_y - 1) * s.dilation_y - s.pad_top;
    const int64_t last_column = (s.output_shape.width - 1) * s.stride_x + (s.kernel_x - 1) * s.dilation_x - s.pad_left;
    Border around;
    around.top = s.pad_top;
    around.left = s.pad_left;
    around.bottom = std::max<int64_t>(0, last_row + 1 - s.input_shape.height);
    around.right = std::max<int64_t>(0, last_column + 1 - s.input_shape.width);
    return around;
}

void Convolution::demand(std::vector<Demand>& demands) const {
    Demand& mine = demands[spec_.input];
    if (strides()) {
        if (mine.stride_y && (mine.stride_y != spec_.stride_y || mine.stride_x != spec_.stride_x)) mine.plain = true;
        mine.stride_y = spec_.stride_y;
        mine.stride_x = spec_.stride_x;
        mine.strided_border.widen(border());
    } else {
        mine.plain = true;
        mine.border.widen(border());
    }
    if (spec_.residual >= 0) demands[spec_.residual].plain = true;
}

const Frame* Convolution::private_frame(const std::vector<Place>& places) {
    const Frame& given = places[spec_.input].frame;
    if (given.stride_y == spec_.stride_y && given.stride_x == spec_.stride_x) return nullptr;
    private_frame_ = Frame(spec_.input_shape, border(), spec_.stride_y, spec_.stride_x);
    return &private_frame_;
}

void Convolution::bind(const std::vector<Place>& places, int private_slot) {
    input_ = source_ = places[spec_.input];
    copies_ = private_slot >= 0;
    if (copies_) input_ = {private_frame_, private_slot};
    output_ = places[output];
    if (spec_.residual >= 0) residual_ = places[spec_.residual];
    fill_entries();
    pair_up_rows();
    spec_.positions = nullptr;
    spec_.values = nullptr;
    spec_.scale = {};
}

// The pixel offset that each column of the weight matrix stands for, in the first group.
std::vector<int32_t> Convolution::column_offsets() const {
    const Frame& frame = input_.frame;
    std::vector<int32_t> offsets;
    for (int64_t channel = 0; channel < spec_.input_shape.channels / spec_.group; ++channel)
        for (int64_t y = 0; y < spec_.kernel_y; ++y)
            for (int64_t x = 0; x < spec_.kernel_x; ++x) {
                const int64_t row = y * spec_.dilation_y - spec_.pad_top + frame.border.top;
                const int64_t column = x * spec_.dilation_x - spec_.pad_left + frame.border.left;
                offsets.push_back(static_cast<int32_t>(channel * frame.plane + frame.corner(row, column)));
            }
    return offsets;
}

void Convolution::fill_entries() {
    const int64_t rows = spec_.output_shape.channels, channels = spec_.input_shape.channels;
    const std::vector<int32_t> offsets = column_offsets();
    const int64_t columns = static_cast<int64_t>(offsets.size()), taps = spec_.kernel_y * spec_.kernel_x;
    const int64_t group_channels = channels / spec_.group, group_rows = rows / spec_.group;
    // As fine as pays: two non-zeros or more for each pointer. A group reads few channels anyway.
    const int64_t most = spec_.group > 1 ? 1 : std::max<int64_t>(1, spec_.nonzeros / (2 * rows));
    blocks_ = std::min(Frame::ceiling(channels, kMinBlockChannels), most);
    block_channels_ = Frame::ceiling(channels, blocks_);
    blocks_ = Frame::ceiling(channels, block_channels_);

    entries_.resize(spec_.nonzeros);
    starts_.assign(rows * (blocks_ + 1), 0);
    int64_t at = 0, before = -1;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t first = row * columns, end = first + columns;
        const int64_t group_offset = row / group_rows * group_channels * input_.frame.plane;
        const float scale = spec_.scale.empty() ? 1.0f : spec_.scale[row];
        int32_t* starts = starts_.data() + row * (blocks_ + 1);
        for (int64_t block = 0; block < blocks_; ++block) {
            starts[block] = static_cast<int32_t>(at);
            const int64_t stop = block + 1 == blocks_ ? end : first + (block + 1) * block_channels_ * taps;
            for (; at < spec_.nonzeros && spec_.positions[at] < stop; ++at) {
                require(spec_.positions[at] > before && spec_.positions[at] >= first, "convolution: positions");
                before = spec_.positions[at];
                entries_[at] = {spec_.values[at] * scale,
                                static_cast<int32_t>(group_offset + offsets[before - first])};
            }
        }
        starts[blocks_] = static_cast<int32_t>(at);
    }
    require(at == spec_.nonzeros, "convolution: positions");
}

// Four rows share their loads where nearly all of what one reads the others read as well.
void Convolution::pair_up_rows() {
    const int64_t rows = spec_.output_shape.channels, quads = Frame::ceiling(rows, kQuad);
    if (rows < kQuad || spec_.nonzeros < 2 * rows) return;
    std::vector<QuadEntry> joined;
    std::vector<int32_t> starts;
    for (int64_t quad = 0; quad < quads; ++quad) {
        for (int64_t block = 0; block < blocks_; ++block) {
            starts.push_back(static_cast<int32_t>(joined.size()));
            int32_t at[kQuad], end[kQuad];
            for (int64_t r = 0; r < kQuad; ++r) {
                const int64_t row = quad * kQuad + r;
                at[r] = row < rows ? starts_[row * (blocks_ + 1) + block] : 0;
                end[r] = row < rows ? starts_[row * (blocks_ + 1) + block + 1] : 0;
            }
            for (;;) {
                int32_t next = INT32_MAX;
                for (int64_t r = 0; r < kQuad; ++r)
                    if (at[r] < end[r]) next = std::min(next, entries_[at[r]].offset);
                if (next == INT32_MAX) break;
                QuadEntry entry{{0, 0, 0, 0}, next};
                for (int64_t r = 0; r < kQuad; ++r)
                    if (at[r] < end[r] && entries_[at[r]].offset == next) entry.values[r] = entries_[at[r]++].value;
                joined.push_back(entry);
                if (5 * spec_.nonzeros < 16 * static_cast<int64_t>(joined.size())) return;  // under 80% full
            }
        }
        starts.push_back(static_cast<int32_t>(joined.size()));
    }
    joined.shrink_to_fit();
    quads_ = std::move(joined);
    starts_ = std::move(starts);
    quad_rows_ = quads;
    entries_ = {};
}

// Input channels whose pixels under one tile fit the first-level cache.
int64_t Convolution::channels_in_cache(int64_t tile_floats, int64_t lanes) const {
    const int64_t reach = (spec_.kernel_x - 1) * spec_.dilation_x / spec_.stride_x * lanes;
    const int64_t runs = spec_.kernel_y * std::min(spec_.kernel_x, spec_.stride_x);
    const int64_t floats = std::min(runs * (tile_floats + reach), input_.frame.plane * lanes);
    return std::max<int64_t>(1, kCacheFloats / std::max<int64_t>(1, floats));
}

Schedule Convolution::schedule(const Kernels& kernels, int64_t lanes, int threads) const {
    const int most = quads_.empty() ? kMaxVectors : kQuadVectors;
    Walk walk{spec_.output_shape.height, spec_.output_shape.width, input_.frame.pitch, lanes, &output_.frame,
              spec_.residual >= 0 ? &residual_.frame : nullptr, kernels.width, most};
    Schedule schedule = cut_into_tiles(walk);
    int64_t tile_floats = 0;
    for (const Tile& tile : schedule.tiles) tile_floats = std::max<int64_t>(tile_floats, tile.vectors * kernels.width);

    // Blocks that fit the cache or nearly so; or none, where a row would find too little to do in each.
    const int64_t rows = row_groups(), entries = static_cast<int64_t>(entries_.size() + quads_.size());
    const int64_t vectors = tile_floats / kernels.width;
    auto pays = [&](int64_t merge) { return entries * merge * vectors >= kBlockWork * rows * blocks_; };
    schedule.merge = std::max<int64_t>(1, channels_in_cache(tile_floats, lanes) / block_channels_);
    if (!pays(schedule.merge)) schedule.merge *= 2;
    if (!pays(schedule.merge)) schedule.merge = blocks_;
    schedule.merge = std::min(schedule.merge, blocks_);

    const int64_t row_floats = tile_floats * (quads_.empty() ? 1 : kQuad);
    const int64_t for_threads =
        threads > 1 ? Frame::ceiling(kTasksPerThread * threads, static_cast<int64_t>(schedule.tiles.size())) : 1;
    const int64_t for_sums = schedule.merge < blocks_ ? Frame::ceiling(rows * row_floats, kSumFloats) : 1;
    const int64_t groups = std::min(rows, std::max(for_threads, for_sums));
    // Bounds at equal shares of the non-zeros, so that threads finish together.
    schedule.rows.push_back(0);
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t done = starts_[row * (blocks_ + 1) + blocks_] + row + 1;
        const int64_t group = static_cast<int64_t>(schedule.rows.size());
        if (row + 1 == rows || done * groups >= group * (entries + rows)) schedule.rows.push_back(row + 1);
    }
    int64_t largest = 0;
    for (size_t group = 1; group < schedule.rows.size(); ++group)
        largest = std::max(largest, schedule.rows[group] - schedule.rows[group - 1]);
    schedule.scratch = largest * row_floats;
    return schedule;
}

void Convolution::relayout(const Pass& pass) const {
    const Frame& from = source_.frame;
    pass.parallel(from.channels, [&](int64_t channel, float*) {
        for (int64_t y = 0; y < from.height; ++y)
            write_pixels(input_.frame, pass.channel(input_, channel), y, 0, pass.row(source_, channel, y), 1, from.width,
                         pass.lanes);
    });
}

void Convolution::run(const Pass& pass, const Schedule& schedule) const {
    if (copies_) relayout(pass);
    const int64_t groups = static_cast<int64_t>(schedule.rows.size()) - 1;
    const int64_t tiles = static_cast<int64_t>(schedule.tiles.size());
    pass.parallel(tiles * groups, [&](int64_t task, float* scratch) {
        const Tile& tile = schedule.tiles[task / groups];
        TileJob job;
        job.input = pass.at(input_) + tile.position;
        job.entries = entries_.data();
        job.quads = quads_.empty() ? nullptr : quads_.data();
        job.starts = starts_.data();
        job.blocks = blocks_;
        job.merge = schedule.merge;
        job.first_row = schedule.rows[task % groups];
        job.last_row = schedule.rows[task % groups + 1];
        job.rows = spec_.output_shape.channels;
        job.lanes = pass.lanes;
        job.vectors = tile.vectors;
        job.segments = schedule.segments.data() + tile.first_segment;
        job.segment_count = tile.last_segment - tile.first_segment;
        job.bias = spec_.bias.empty() ? nullptr : spec_.bias.data();
        job.residual = spec_.residual >= 0 ? pass.at(residual_) : nullptr;
        job.residual_channel = residual_.frame.plane * pass.lanes;
        job.output_channel = output_.frame.plane * pass.lanes;
        job.low = spec_.low;
        job.high = spec_.high;
        job.output = pass.at(output_);
        job.sums = scratch;
        pass.kernels.tile(job);
    });
}

int64_t Convolution::weight_bytes() const {
    return static_cast<int64_t>(entries_.size() * sizeof(Entry) + quads_.size() * sizeof(QuadEntry) +
                                starts_.size() * sizeof(int32_t));
}

}  // namespace csrve
