#include "builder.h"

#include <algorithm>
#include <memory>

#include "convolution.h"
#include "layers.h"
#include "machine.h"

namespace csrve {

namespace {

std::vector<float> floats_of(const Vector1<float>& array) { return {array.data(), array.data() + array.size()}; }

bool same(const Shape& one, const Shape& other) {
    return one.channels == other.channels && one.height == other.height && one.width == other.width;
}

}  // namespace

int64_t Builder::convolution(int64_t input, const Sides& output, const Vector1<int32_t>& positions,
                             const Vector1<uint16_t>& codes, const Vector1<float>& values, const Vector1<float>& scale,
                             const Vector1<float>& bias, const Pair& kernel, const Pair& strides, const Pair& dilations,
                             const Pair& pads, int64_t group, int64_t residual, const Bounds& bounds) {
    const bool coded = codes.size() > 0;
    require(positions.size() == (coded ? codes.size() : values.size()), "convolution: positions and values");
    const uint16_t *const first = codes.data(), *const end = first + codes.size();
    uint16_t largest = 0;
    for (const uint16_t* code = first; code < end; ++code) largest = std::max(largest, *code);
    require(!coded || largest < values.size(), "convolution: codes");
    check_residual(residual, output);
    Window window;
    window.input = network_.shape(input);
    window.output = shape_of(output);
    std::tie(window.kernel_y, window.kernel_x) = kernel;
    std::tie(window.stride_y, window.stride_x) = strides;
    std::tie(window.dilation_y, window.dilation_x) = dilations;
    std::tie(window.pad_top, window.pad_left) = pads;
    window.group = group;
    ConvolutionSpec spec{input, residual, window, floats_of(bias), std::get<0>(bounds), std::get<1>(bounds)};
    const NonZeros nonzeros{positions.data(), coded ? codes.data() : nullptr, values.data(),
                            static_cast<int64_t>(positions.size())};
    auto layer = std::make_unique<Convolution>(std::move(spec), nonzeros, floats_of(scale));
    read_.push_back({positions, codes, values});
    return network_.add(std::move(layer), shape_of(output));
}

int64_t Builder::normalization(int64_t input, const Vector1<float>& scale, const Vector1<float>& bias, int64_t residual,
                               const Bounds& bounds) {
    const Shape shape = network_.shape(input);
    const size_t channels = static_cast<size_t>(shape.channels);
    require(scale.size() == channels && bias.size() == channels, "normalization: scale and bias");
    check_residual(residual, {shape.channels, shape.height, shape.width});
    return network_.add(std::make_unique<Normalization>(input, residual, floats_of(scale), floats_of(bias),
                                                        std::get<0>(bounds), std::get<1>(bounds)),
                        shape);
}

int64_t Builder::clamp(int64_t input, const Bounds& bounds) {
    auto layer = std::make_unique<Elementwise>(Map::kClamp, input, std::get<0>(bounds), std::get<1>(bounds));
    return network_.add(std::move(layer), network_.shape(input));
}

int64_t Builder::sigmoid(int64_t input) {
    return network_.add(std::make_unique<Elementwise>(Map::kSigmoid, input, 0.0f, 0.0f), network_.shape(input));
}

int64_t Builder::combination(bool multiply, int64_t first, int64_t second) {
    const Shape a = network_.shape(first), b = network_.shape(second);
    auto side = [](int64_t one, int64_t other) {
        require(one == other || one == 1 || other == 1, "combination: shapes");
        return std::max(one, other);
    };
    const Shape shape{side(a.channels, b.channels), side(a.height, b.height), side(a.width, b.width)};
    const Combine operation = multiply ? Combine::kMultiply : Combine::kAdd;
    return network_.add(std::make_unique<Combination>(operation, first, second), shape);
}

int64_t Builder::pool(bool maximum, int64_t input, const Sides& output, const Pair& kernel, const Pair& strides,
                      const Pair& pads, bool count_padding) {
    const Shape in = network_.shape(input), out = shape_of(output);
    const PoolSpec spec{maximum,
                        count_padding,
                        std::get<0>(kernel),
                        std::get<1>(kernel),
                        std::get<0>(strides),
                        std::get<1>(strides),
                        std::get<0>(pads),
                        std::get<1>(pads)};
    require(in.channels == out.channels && spec.kernel_y > 0 && spec.kernel_x > 0 && spec.stride_y > 0 &&
                spec.stride_x > 0 && spec.pad_top >= 0 && spec.pad_left >= 0,
            "pool: window");
    return network_.add(std::make_unique<Pool>(spec, input), out);
}

int64_t Builder::global_average(int64_t input) {
    return network_.add(std::make_unique<GlobalAverage>(input), {network_.shape(input).channels, 1, 1});
}

int64_t Builder::flatten(int64_t input) {
    const Shape in = network_.shape(input);
    return network_.add(std::make_unique<Flatten>(input), {in.channels * in.height * in.width, 1, 1});
}

int64_t Builder::assembly(const std::vector<PartSides>& parts, const Sides& output) {
    std::vector<Part> all;
    const Shape out = shape_of(output);
    for (const auto& [input, from, step, count, to] : parts) {
        const Shape in = network_.shape(input);
        Part part{input, {}, {}, {}, {}};
        auto fill = [](int64_t* target, const Sides& sides) {
            target[0] = std::get<0>(sides), target[1] = std::get<1>(sides), target[2] = std::get<2>(sides);
        };
        fill(part.from, from), fill(part.step, step), fill(part.count, count), fill(part.to, to);
        const int64_t have[3] = {in.channels, in.height, in.width}, make[3] = {out.channels, out.height, out.width};
        for (int axis = 0; axis < 3; ++axis)
            require(part.from[axis] >= 0 && part.step[axis] > 0 && part.count[axis] > 0 && part.to[axis] >= 0 &&
                        part.from[axis] + (part.count[axis] - 1) * part.step[axis] < have[axis] &&
                        part.to[axis] + part.count[axis] <= make[axis],
                    "assembly: part");
        all.push_back(part);
    }
    return network_.add(std::make_unique<Assembly>(std::move(all)), out);
}

Plan* Builder::compile(const std::string& isa, int threads) {
    require(threads >= 1, "compile: threads");
    const Kernels* kernels = find_kernels(isa);
    require(kernels != nullptr, "compile: this machine cannot run that instruction set");
    require(!compiled_, "compile: once only");
    compiled_ = true;
    Plan* plan;
    {
        nanobind::gil_scoped_release released;
        plan = new Plan(std::move(network_), *kernels, threads);
    }
    read_.clear();
    return plan;
}

void Builder::check_residual(int64_t residual, const Sides& output) const {
    require(residual < 0 || same(network_.shape(residual), shape_of(output)), "residual: shape");
}

}  // namespace csrve
