#include "convolution.h"

#include <stdexcept>

namespace csrve {

namespace {

constexpr int64_t kGroupRows = 128;  // whose sums fit the second level beside the input's blocks
constexpr int64_t kLineFloats = 16;  // of the caches

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

void Convolution::prepare(const Preparation& preparation) {
    const Window& window = spec_.window;
    const Kernels& kernels = preparation.kernels;
    rows_ = SparseRows(window, nonzeros_, std::move(scale_));
    nonzeros_ = {};
    const std::vector<Layout> layouts = layouts_for(window, input_.frame, 1, kernels.width);
    const Ways single = ways(kernels, layouts);
    const Ways many = ways(kernels, layouts_for(window, input_.frame, preparation.most_lanes, kernels.width));
    const int64_t rows = rows_.rows(), for_threads = std::min<int64_t>(preparation.threads, Frame::ceiling(rows, 8));
    const int64_t block_channels = Ways::choose_block(single, many);
    single_ = single.cheapest(block_channels).layout;
    rows_.arrange(block_channels, std::max(Frame::ceiling(rows, kGroupRows), for_threads),
                  layouts[0].places(window, input_.frame),
                  single_.channel ? single_.places(window, input_.frame) : std::vector<int32_t>(),
                  preparation.memory);
}

Ways Convolution::ways(const Kernels& kernels, const std::vector<Layout>& layouts) const {
    return Ways(spec_.window, input_.frame, rows_, kernels, layouts);
}

Layout Convolution::layout(const Kernels& kernels, int64_t lanes) const {
    return lanes == 1 ? single_ : layouts_for(spec_.window, input_.frame, lanes, kernels.width)[0];
}

double Convolution::cycles(const Kernels& kernels, int64_t lanes) const {
    return ways(kernels, {layout(kernels, lanes)}).least_cycles(rows_.block_channels());
}

std::unique_ptr<Schedule> Convolution::schedule(const Kernels& kernels, int64_t lanes) const {
    auto made = std::make_unique<Tiling>();
    const Ways ways = this->ways(kernels, {layout(kernels, lanes)});
    const Way& way = ways.cheapest(rows_.block_channels());
    made->layout = way.layout;
    made->picks = way.layout.picks(spec_.window, input_.frame);
    made->tiles = tiles_of(way.walk, way.cut);
    made->destinations = destinations_of(way.walk, output_.frame, spec_.residual >= 0 ? &residual_.frame : nullptr,
                                         made->tiles);
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
