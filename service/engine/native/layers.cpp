#include "layers.h"

#include <limits>
#include <numeric>

namespace csrve {

namespace {

constexpr int64_t kChannelsAtATime = 16;  // so that a task outweighs its handing out

// Enough for one row of the output, where it cannot be written in place.
std::unique_ptr<Schedule> one_row(const Frame& output, int64_t lanes) {
    auto schedule = std::make_unique<Schedule>();
    schedule->scratch = output.width * lanes;
    return schedule;
}

// body(target) makes a row of the output, which then goes where the frame wants it.
template <typename Body>
void make_row(const Pass& pass, const Place& output, int64_t channel, int64_t y, float* scratch, const Body& body) {
    if (output.frame.stride_x == 1) {
        body(pass.row(output, channel, y));
        return;
    }
    body(scratch);
    write_pixels(output.frame, pass.channel(output, channel), y, 0, scratch, 1, output.frame.width, pass.lanes);
}

// body(channel, y, target) for every row of the output.
template <typename Body>
void make_rows(const Pass& pass, const Place& output, const Body& body) {
    const int64_t channels = output.frame.channels;
    pass.parallel(Frame::ceiling(channels, kChannelsAtATime), [&](int64_t task, const Worker& worker) {
        const int64_t first = task * kChannelsAtATime, last = std::min(channels, first + kChannelsAtATime);
        for (int64_t channel = first; channel < last; ++channel)
            for (int64_t y = 0; y < output.frame.height; ++y)
                make_row(pass, output, channel, y, worker.scratch, [&](float* target) { body(channel, y, target); });
    });
}

}  // namespace

Normalization::Normalization(int64_t input, int64_t residual, std::vector<float> scale,
                             std::vector<float> bias, float low, float high)
    : scale_(std::move(scale)), bias_(std::move(bias)), low_(low), high_(high), adds_(residual >= 0) {
    inputs = {input};
    if (adds_) inputs.push_back(residual);
}

void Normalization::bind(const std::vector<Place>& places, int) {
    input_ = places[inputs[0]];
    output_ = places[output];
    if (adds_) residual_ = places[inputs[1]];
}

std::unique_ptr<Schedule> Normalization::schedule(const Kernels&, int64_t lanes) const {
    return one_row(output_.frame, lanes);
}

void Normalization::run(const Pass& pass, const Schedule&) const {
    make_rows(pass, output_, [&](int64_t channel, int64_t y, float* target) {
        const float* residual = adds_ ? pass.row(residual_, channel, y) : nullptr;
        pass.kernels.affine(pass.row(input_, channel, y), output_.frame.width * pass.lanes, scale_[channel],
                            bias_[channel], residual, low_, high_, target);
    });
}

Elementwise::Elementwise(Map operation, int64_t input, float low, float high)
    : operation_(operation), low_(low), high_(high) {
    inputs = {input};
}

void Elementwise::bind(const std::vector<Place>& places, int) {
    input_ = places[inputs[0]];
    output_ = places[output];
}

std::unique_ptr<Schedule> Elementwise::schedule(const Kernels&, int64_t lanes) const {
    return one_row(output_.frame, lanes);
}

void Elementwise::run(const Pass& pass, const Schedule&) const {
    make_rows(pass, output_, [&](int64_t channel, int64_t y, float* target) {
        const int64_t count = output_.frame.width * pass.lanes;
        pass.kernels.map(operation_, pass.row(input_, channel, y), count, low_, high_, target);
    });
}

Combination::Combination(Combine operation, int64_t first, int64_t second) : operation_(operation) {
    inputs = {first, second};
}

void Combination::bind(const std::vector<Place>& places, int) {
    first_ = places[inputs[0]];
    second_ = places[inputs[1]];
    output_ = places[output];
}

std::unique_ptr<Schedule> Combination::schedule(const Kernels&, int64_t lanes) const {
    return one_row(output_.frame, lanes);
}

void Combination::run(const Pass& pass, const Schedule&) const {
    const int64_t width = output_.frame.width;
    auto row_of = [&](const Place& place, int64_t channel, int64_t y) {
        return pass.row(place, place.frame.channels > 1 ? channel : 0, place.frame.height > 1 ? y : 0);
    };
    auto step_of = [&](const Place& place) -> int64_t { return place.frame.width == width ? 1 : 0; };
    make_rows(pass, output_, [&](int64_t channel, int64_t y, float* target) {
        pass.kernels.combine(operation_, row_of(first_, channel, y), step_of(first_), row_of(second_, channel, y),
                             step_of(second_), width, pass.lanes, target);
    });
}

Pool::Pool(const PoolSpec& spec, int64_t input) : spec_(spec) {
    inputs = {input};
}

void Pool::bind(const std::vector<Place>& places, int) {
    input_ = places[inputs[0]];
    output_ = places[output];
}

std::unique_ptr<Schedule> Pool::schedule(const Kernels&, int64_t lanes) const {
    return one_row(output_.frame, lanes);
}

void Pool::run(const Pass& pass, const Schedule&) const {
    make_rows(pass, output_, [&](int64_t channel, int64_t y, float* target) { pool_row(pass, channel, y, target); });
}

void Pool::pool_row(const Pass& pass, int64_t channel, int64_t y, float* target) const {
    const Frame& in = input_.frame;
    const int64_t width = output_.frame.width, lanes = pass.lanes;
    const float blank = spec_.maximum ? -std::numeric_limits<float>::infinity() : 0.0f;
    std::fill(target, target + width * lanes, blank);
    const int64_t top = y * spec_.stride_y - spec_.pad_top;
    const int64_t first_row = std::max<int64_t>(0, top), last_row = std::min(in.height, top + spec_.kernel_y);
    for (int64_t row = first_row; row < last_row; ++row) {
        for (int64_t kernel = 0; kernel < spec_.kernel_x; ++kernel) {
            // The outputs whose window has this element inside the picture.
            const int64_t shift = kernel - spec_.pad_left;
            const int64_t first = shift < 0 ? Frame::ceiling(-shift, spec_.stride_x) : 0;
            const int64_t last = shift < in.width ? std::min(width, (in.width - 1 - shift) / spec_.stride_x + 1) : 0;
            if (first >= last) continue;
            const float* source = pass.row(input_, channel, row) + (first * spec_.stride_x + shift) * lanes;
            pass.kernels.pool(spec_.maximum, source, spec_.stride_x, last - first, lanes, target + first * lanes);
        }
    }
    if (spec_.maximum) return;
    for (int64_t x = 0; x < width; ++x) {
        const int64_t left = x * spec_.stride_x - spec_.pad_left;
        const int64_t columns = std::min(in.width, left + spec_.kernel_x) - std::max<int64_t>(0, left);
        const int64_t inside = (last_row - first_row) * columns, all = spec_.kernel_y * spec_.kernel_x;
        const float count = static_cast<float>(spec_.count_padding ? all : inside);
        for (int64_t lane = 0; lane < lanes; ++lane) target[x * lanes + lane] /= count;
    }
}

GlobalAverage::GlobalAverage(int64_t input) {
    inputs = {input};
}

void GlobalAverage::bind(const std::vector<Place>& places, int) {
    input_ = places[inputs[0]];
    output_ = places[output];
}

std::unique_ptr<Schedule> GlobalAverage::schedule(const Kernels&, int64_t lanes) const {
    return one_row(output_.frame, lanes);
}

void GlobalAverage::run(const Pass& pass, const Schedule&) const {
    const Frame& in = input_.frame;
    const float count = static_cast<float>(in.height * in.width);
    make_rows(pass, output_, [&](int64_t channel, int64_t, float* target) {
        std::fill(target, target + pass.lanes, 0.0f);
        pass.kernels.total(pass.row(input_, channel, 0), in.height, in.pitch * pass.lanes, in.width, pass.lanes, target);
        for (int64_t lane = 0; lane < pass.lanes; ++lane) target[lane] /= count;
    });
}

Flatten::Flatten(int64_t input) {
    inputs = {input};
}

void Flatten::bind(const std::vector<Place>& places, int) {
    input_ = places[inputs[0]];
    output_ = places[output];
}

void Flatten::run(const Pass& pass, const Schedule&) const {
    const Frame& in = input_.frame;
    const int64_t row_floats = in.width * pass.lanes;
    for (int64_t channel = 0; channel < in.channels; ++channel)
        for (int64_t y = 0; y < in.height; ++y) {
            const float* row = pass.row(input_, channel, y);
            std::copy(row, row + row_floats, pass.at(output_) + (channel * in.height + y) * row_floats);
        }
}

Assembly::Assembly(std::vector<Part> parts) : parts_(std::move(parts)) {
    for (const Part& part : parts_) inputs.push_back(part.input);
}

void Assembly::demand(std::vector<Demand>& demands) const {
    for (const Part& part : parts_) {
        Demand& mine = demands[part.input];
        mine.picked_x = std::gcd(mine.picked_x, part.step[2]);
    }
}

void Assembly::bind(const std::vector<Place>& places, int) {
    for (const Part& part : parts_) places_.push_back(places[part.input]);
    output_ = places[output];
}

void Assembly::run(const Pass& pass, const Schedule&) const {
    std::vector<Part>::size_type filled = 0;
    int64_t elements = 0;
    for (const Part& part : parts_) elements += part.count[0] * part.count[1] * part.count[2];
    const Frame& out = output_.frame;
    if (elements < out.channels * out.height * out.width)
        pass.parallel(out.channels, [&](int64_t channel, const Worker&) {
            float* plane = pass.channel(output_, channel);
            std::fill(plane, plane + out.plane * pass.lanes, 0.0f);
        });
    for (; filled < parts_.size(); ++filled) copy(pass, parts_[filled], places_[filled]);
}

// Where the input is cut into phases, its steps are a multiple of theirs: all pixels of a row lie in one phase.
void Assembly::copy(const Pass& pass, const Part& part, const Place& input) const {
    const Frame& in = input.frame;
    pass.parallel(part.count[0], [&](int64_t channel, const Worker&) {
        const float* plane = pass.channel(input, part.from[0] + channel * part.step[0]);
        for (int64_t y = 0; y < part.count[1]; ++y) {
            const float* row = plane + in.pixel(part.from[1] + y * part.step[1], part.from[2]) * pass.lanes;
            write_pixels(output_.frame, pass.channel(output_, part.to[0] + channel), part.to[1] + y, part.to[2], row,
                         part.step[2] / in.stride_x, part.count[2], pass.lanes);
        }
    });
}

}  // namespace csrve
