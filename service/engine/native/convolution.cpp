#include "convolution.h"

#include <limits>
#include <stdexcept>

#include "machine.h"

namespace csrve {

namespace {

constexpr int64_t kGroupRows = 128;  // whose sums fit the second level beside the input's blocks
constexpr int64_t kLineFloats = 16;  // of the caches
constexpr double kManyShare = 3;     // of batches against single pictures, when the blocks are chosen for both

// Cycles, as measured on Zen 4; other processors differ in the numbers, not in their order.
constexpr double kLoad = 1.0;            // of a vector from the first level
constexpr double kStraddlingLoad = 2.0;  // that lies in two cache lines, as all do that are not aligned
constexpr double kFarLoad = 2.5;         // from the second level
constexpr double kEntry = 3.5;           // a weight, its place, the loop
constexpr double kRow = 20.0;            // of a block: the run, its loop
constexpr double kSum = 4.0;             // a vector of sums, read and written

void check(const Window& window, const std::vector<float>& scale, const std::vector<float>& bias, int64_t nonzeros) {
    const Window& w = window;
    const size_t outputs = static_cast<size_t>(w.output.channels);
    auto require = [](bool condition, const char* message) {
        if (!condition) throw std::invalid_argument(message);
    };
    require(w.kernel_y > 0 && w.kernel_x > 0 && w.stride_y > 0 && w.stride_x > 0 && w.dilation_y > 0 &&
                w.dilation_x > 0 && w.pad_top >= 0 && w.pad_left >= 0 && w.group > 0,
            "convolution: window");
    require(w.input.channels % w.group == 0 && w.output.channels % w.group == 0, "convolution: groups");
    require(w.input.channels <= INT32_MAX / w.taps(), "convolution: columns");
    require(scale.empty() || scale.size() == outputs, "convolution: scale");
    require(bias.empty() || bias.size() == outputs, "convolution: bias");
    require(nonzeros >= 0 && nonzeros < INT32_MAX, "convolution: non-zeros");
}

}  // namespace

struct Convolution::Way {
    // Tiles that are alike, and how many there are.
    struct Kind {
        double vectors, count;
        int64_t footprint;
    };
    Layout layout;
    std::vector<Tile> tiles;
    std::vector<Kind> kinds;
};

struct Convolution::Tiling : Schedule {
    Layout layout;
    std::vector<Pick> picks;
    std::vector<Tile> tiles;
    Destinations destinations;
};

Convolution::Convolution(ConvolutionSpec spec, const NonZeros& nonzeros, std::vector<float> scale)
    : spec_(std::move(spec)), nonzeros_(nonzeros), scale_(std::move(scale)) {
    check(spec_.window, scale_, spec_.bias, nonzeros.count);
    inputs = {spec_.input};
    if (spec_.residual >= 0) inputs.push_back(spec_.residual);
}

void Convolution::demand(std::vector<Demand>& demands) const {
    const Window& window = spec_.window;
    Demand& mine = demands[spec_.input];
    if (window.strides()) {
        if (mine.stride_y && (mine.stride_y != window.stride_y || mine.stride_x != window.stride_x)) mine.plain = true;
        mine.stride_y = window.stride_y;
        mine.stride_x = window.stride_x;
        mine.strided_border.widen(window.border());
    } else {
        mine.plain = true;
        mine.border.widen(window.border());
    }
    if (spec_.residual >= 0) demands[spec_.residual].plain = true;
}

const Frame* Convolution::private_frame(const std::vector<Place>& places) {
    const Frame& given = places[spec_.input].frame;
    const Window& window = spec_.window;
    if (given.stride_y == window.stride_y && given.stride_x == window.stride_x) return nullptr;
    private_frame_ = Frame(window.input, window.border(), window.stride_y, window.stride_x);
    return &private_frame_;
}

void Convolution::bind(const std::vector<Place>& places, int private_slot) {
    input_ = source_ = places[spec_.input];
    copies_ = private_slot >= 0;
    if (copies_) input_ = {private_frame_, private_slot};
    output_ = places[output];
    if (spec_.residual >= 0) residual_ = places[spec_.residual];
}

// The blocks serve every number of lanes, so they are chosen for one and for the most.
int64_t Convolution::choose_block(const std::vector<Way>& single, const std::vector<Way>& many) const {
    const Window& window = spec_.window;
    const int64_t channels = window.input.channels / window.group;
    const int64_t finest = Frame::ceiling(2 * rows_.rows() * channels, std::max<int64_t>(1, rows_.entries()));
    std::vector<int64_t> sizes;
    for (int64_t size = 4; size < channels && window.group == 1; size += size / 4)
        if (size >= finest) sizes.push_back(size);
    sizes.push_back(channels);
    auto costs = [&](const std::vector<Way>& ways) {
        std::vector<double> made;
        for (int64_t size : sizes) made.push_back(cost(cheapest(ways, size), size));
        const double least = *std::min_element(made.begin(), made.end());
        for (double& cycles : made) cycles /= least;
        return made;
    };
    const std::vector<double> alone = costs(single), together = costs(many);
    size_t best = 0;
    for (size_t at = 1; at < sizes.size(); ++at)
        if (alone[at] + kManyShare * together[at] < alone[best] + kManyShare * together[best]) best = at;
    return sizes[best];
}

void Convolution::prepare(const Kernels& kernels, int64_t most_lanes, int threads, Room<Entry>& room) {
    const Window& window = spec_.window;
    rows_ = SparseRows(window, nonzeros_, scale_, room);
    nonzeros_ = {};
    scale_ = {};
    const std::vector<Layout> layouts = layouts_for(window, input_.frame, 1, kernels.width);
    const std::vector<Way> single = ways(kernels, layouts);
    const std::vector<Way> many = ways(kernels, layouts_for(window, input_.frame, most_lanes, kernels.width));
    const int64_t rows = rows_.rows(), for_threads = std::min<int64_t>(threads, Frame::ceiling(rows, 8));
    const int64_t block_channels = choose_block(single, many);
    single_ = cheapest(single, block_channels).layout;
    rows_.arrange(block_channels, std::max(Frame::ceiling(rows, kGroupRows), for_threads),
                  layouts[0].places(window, input_.frame),
                  single_.channel ? single_.places(window, input_.frame) : std::vector<int32_t>());
}

Walk Convolution::walk(const Layout& layout, const Kernels& kernels) const {
    const Shape& out = spec_.window.output;
    const bool quads = rows_.quads();
    return {out.height,    out.width,
            layout.row,    layout.lanes,
            kernels.width, quads ? kernels.quad_vectors : kernels.tile_vectors,
            quads ? 1 : 4};
}

std::vector<Convolution::Way> Convolution::ways(const Kernels& kernels, const std::vector<Layout>& layouts) const {
    std::vector<Way> made;
    for (const Layout& layout : layouts)
        for (std::vector<Tile>& tiles : ways_to_cut(walk(layout, kernels))) {
            Way way{layout, std::move(tiles), {}};
            const Tile* before = nullptr;
            for (const Tile& tile : way.tiles) {
                if (!before || before->rows != tile.rows || before->vectors != tile.vectors)
                    way.kinds.push_back({static_cast<double>(tile.rows * tile.vectors), 0,
                                         layout.footprint(spec_.window, input_.frame, tile)});
                way.kinds.back().count += 1;
                before = &tile;
            }
            made.push_back(std::move(way));
        }
    return made;
}

// Cycles of one core.
double Convolution::cost(const Way& way, int64_t block_channels) const {
    const Window& window = spec_.window;
    const double entries = static_cast<double>(rows_.entries()), rows = static_cast<double>(rows_.rows());
    const double share = static_cast<double>(rows_.row_channels());
    const double near = way.layout.aligned() ? kLoad : kStraddlingLoad;
    const int64_t blocks = Frame::ceiling(window.input.channels / window.group, block_channels);
    double cycles = way.layout.copy_cycles(window);
    for (const Way::Kind& kind : way.kinds) {
        // No tap reads all of a footprint: a quarter more than the first level holds is still near.
        const bool fits = 4 * kind.footprint * block_channels <= first_level_bytes() * 5 / 4;
        const double load = fits ? near : std::max(near, kFarLoad);
        const double in_blocks = kRow + (blocks > 1 ? kind.vectors * share * kSum : 0);
        cycles += kind.count * (entries * (std::max(load, share * kLoad) * kind.vectors + kEntry) +
                                static_cast<double>(blocks) * rows * in_blocks);
    }
    return cycles;
}

const Convolution::Way& Convolution::cheapest(const std::vector<Way>& ways, int64_t block_channels) const {
    const Way* best = nullptr;
    double least = std::numeric_limits<double>::infinity();
    for (const Way& way : ways) {
        const double cycles = cost(way, block_channels);
        if (best && cycles >= least) continue;
        best = &way;
        least = cycles;
    }
    return *best;
}

Layout Convolution::layout(const Kernels& kernels, int64_t lanes) const {
    return lanes == 1 ? single_ : layouts_for(spec_.window, input_.frame, lanes, kernels.width)[0];
}

double Convolution::cycles(const Kernels& kernels, int64_t lanes) const {
    return cost(cheapest(ways(kernels, {layout(kernels, lanes)}), rows_.block_channels()), rows_.block_channels());
}

std::unique_ptr<Schedule> Convolution::schedule(const Kernels& kernels, int64_t lanes) const {
    auto made = std::make_unique<Tiling>();
    const Layout layout = this->layout(kernels, lanes);
    const std::vector<Way> ways = this->ways(kernels, {layout});
    made->layout = layout;
    made->picks = layout.picks(spec_.window, input_.frame);
    made->tiles = cheapest(ways, rows_.block_channels()).tiles;
    made->destinations = destinations_of(walk(made->layout, kernels), output_.frame,
                                         spec_.residual >= 0 ? &residual_.frame : nullptr, made->tiles);
    int64_t vectors = 0;
    for (const Tile& tile : made->tiles) vectors = std::max<int64_t>(vectors, tile.rows * tile.vectors);
    made->scratch = rows_.most_rows() * rows_.row_channels() * vectors * kernels.width;
    made->copies = made->layout.copied_floats(spec_.window);
    return made;
}

void Convolution::relayout(const Pass& pass) const {
    const Frame& from = source_.frame;
    pass.parallel(from.channels, [&](int64_t channel, const Worker&) {
        for (int64_t y = 0; y < from.height; ++y)
            write_pixels(input_.frame, pass.channel(input_, channel), y, 0, pass.row(source_, channel, y), 1, from.width,
                         pass.lanes);
    });
}

const float* Convolution::input(const Pass& pass, const Tiling& tiling, Worker& worker) const {
    const Layout& layout = tiling.layout;
    if (!layout.channel) return pass.at(input_);
    if (worker.copied != &tiling) {
        for (int64_t channel = 0; channel < spec_.window.input.channels; ++channel)
            layout.copy(spec_.window, input_.frame, pass.kernels, tiling.picks, pass.channel(input_, channel),
                        worker.copies + channel * layout.channel);
        worker.copied = &tiling;
    }
    return worker.copies;
}

// With many lanes a layer's values pass the second level, and its loads follow no pattern that the processor foresees.
// So that level is asked for what the tile adds and writes, and, where the next task is known to be ours, for what that
// reads. The empty assembly keeps GCC from dropping the call: to fetch is no effect in its eyes.
void Convolution::fetch_targets(const TileJob& job) const {
    __asm__ volatile("");
    if (!job.places) return;
    const int64_t rows = job.rows * rows_.row_channels(), last = std::min(job.channels, job.first_channel + rows);
    for (int64_t channel = job.first_channel; channel < last; ++channel)
        for (int vector = 0; vector < job.tile_rows * job.vectors; ++vector) {
            __builtin_prefetch(job.output + channel * job.output_channel + job.places[vector].target, 1, 2);
            if (!job.residual) continue;
            __builtin_prefetch(job.residual + channel * job.residual_channel + job.places[vector].residual, 0, 2);
        }
}

void Convolution::fetch_input(const Pass& pass, const Layout& layout, const Tile& tile) const {
    __asm__ volatile("");
    const Window& window = spec_.window;
    if (window.strides()) return;
    const int64_t rows = window.rows_under(tile.rows), columns = (window.kernel_x - 1) * window.dilation_x;
    const int64_t floats = tile.vectors * pass.kernels.width + columns * pass.lanes;
    for (int64_t channel = 0; channel < window.input.channels; ++channel) {
        const float* place = pass.channel(input_, channel) + tile.position;
        for (int64_t row = 0; row < rows; ++row, place += layout.row)
            for (int64_t at = 0; at < floats; at += kLineFloats) __builtin_prefetch(place + at, 0, 2);
    }
}

void Convolution::run(const Pass& pass, const Schedule& schedule) const {
    const Tiling& tiling = static_cast<const Tiling&>(schedule);
    if (copies_) relayout(pass);
    const int64_t groups = rows_.groups(), tiles = static_cast<int64_t>(tiling.tiles.size());
    pass.parallel(tiles * groups, [&](int64_t task, Worker& worker) {
        const Tile& tile = tiling.tiles[task / groups];
        TileJob job;
        rows_.describe(task % groups, tiling.layout.channel > 0, job);
        job.input = input(pass, tiling, worker) + tile.position;
        job.lanes = pass.lanes;
        job.channels = spec_.window.output.channels;
        job.tile_rows = tile.rows;
        job.vectors = tile.vectors;
        job.input_row = tiling.layout.row;
        job.places = tile.first_place < 0 ? nullptr : tiling.destinations.places.data() + tile.first_place;
        job.segments = tiling.destinations.segments.data() + tile.first_segment;
        job.segment_count = tile.last_segment - tile.first_segment;
        job.bias = spec_.bias.empty() ? nullptr : spec_.bias.data();
        job.residual = spec_.residual >= 0 ? pass.at(residual_) : nullptr;
        job.residual_channel = residual_.frame.plane * pass.lanes;
        job.output_channel = output_.frame.plane * pass.lanes;
        job.low = spec_.low;
        job.high = spec_.high;
        job.output = pass.at(output_);
        job.sums = worker.scratch;
        if (pass.lanes > 1) fetch_targets(job);
        const bool last = (task + 1) % groups == 0;
        if (pass.lanes > 1 && !pass.pool && last && task + 1 < tiles * groups)
            fetch_input(pass, tiling.layout, tiling.tiles[(task + 1) / groups]);
        pass.kernels.tile(job);
    });
}

}  // namespace csrve
