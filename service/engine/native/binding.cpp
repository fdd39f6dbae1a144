// The Python module: a network is declared layer by layer and compiled to a plan, which runs with the GIL released.
//
// Python has validated every array (bundle, graph and shapes); what is checked here is that sizes fit each other, so that
// a mistake in the wrapper is an exception and not a stray write.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "convolution.h"
#include "layers.h"
#include "machine.h"
#include "peak.h"
#include "plan.h"

namespace nb = nanobind;
using namespace csrve;

namespace {

template <typename T>
using Vector1 = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Batch = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Sides = std::tuple<int64_t, int64_t, int64_t>;
using Pair = std::tuple<int64_t, int64_t>;
using Bounds = std::tuple<float, float>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

Shape shape_of(const Sides& sides) { return {std::get<0>(sides), std::get<1>(sides), std::get<2>(sides)}; }

std::vector<float> floats_of(const Vector1<float>& array) { return {array.data(), array.data() + array.size()}; }

bool same(const Shape& one, const Shape& other) {
    return one.channels == other.channels && one.height == other.height && one.width == other.width;
}

class Builder {
  public:
    explicit Builder(const Sides& input) : network_(shape_of(input)) {}

    int64_t convolution(int64_t input, const Sides& output, const Vector1<int32_t>& positions,
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

    int64_t normalization(int64_t input, const Vector1<float>& scale, const Vector1<float>& bias, int64_t residual,
                          const Bounds& bounds) {
        const Shape shape = network_.shape(input);
        const size_t channels = static_cast<size_t>(shape.channels);
        require(scale.size() == channels && bias.size() == channels, "normalization: scale and bias");
        check_residual(residual, {shape.channels, shape.height, shape.width});
        return network_.add(std::make_unique<Normalization>(input, residual, floats_of(scale), floats_of(bias),
                                                            std::get<0>(bounds), std::get<1>(bounds)),
                            shape);
    }

    int64_t clamp(int64_t input, const Bounds& bounds) {
        auto layer = std::make_unique<Elementwise>(Map::kClamp, input, std::get<0>(bounds), std::get<1>(bounds));
        return network_.add(std::move(layer), network_.shape(input));
    }

    int64_t sigmoid(int64_t input) {
        return network_.add(std::make_unique<Elementwise>(Map::kSigmoid, input, 0.0f, 0.0f), network_.shape(input));
    }

    int64_t combination(bool multiply, int64_t first, int64_t second) {
        const Shape a = network_.shape(first), b = network_.shape(second);
        auto side = [](int64_t one, int64_t other) {
            require(one == other || one == 1 || other == 1, "combination: shapes");
            return std::max(one, other);
        };
        const Shape shape{side(a.channels, b.channels), side(a.height, b.height), side(a.width, b.width)};
        const Combine operation = multiply ? Combine::kMultiply : Combine::kAdd;
        return network_.add(std::make_unique<Combination>(operation, first, second), shape);
    }

    int64_t pool(bool maximum, int64_t input, const Sides& output, const Pair& kernel, const Pair& strides,
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

    int64_t global_average(int64_t input) {
        return network_.add(std::make_unique<GlobalAverage>(input), {network_.shape(input).channels, 1, 1});
    }

    int64_t flatten(int64_t input) {
        const Shape in = network_.shape(input);
        return network_.add(std::make_unique<Flatten>(input), {in.channels * in.height * in.width, 1, 1});
    }

    // parts: (input, from, step, count, to) of each; see `Part`.
    int64_t assembly(const std::vector<std::tuple<int64_t, Sides, Sides, Sides, Sides>>& parts, const Sides& output) {
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

    void free(int64_t value) { network_.free_after_last(value); }

    Plan* compile(const std::string& isa, int threads) {
        require(threads >= 1, "compile: threads");
        const Kernels* kernels = find_kernels(isa);
        require(kernels != nullptr, "compile: this machine cannot run that instruction set");
        require(!compiled_, "compile: once only");
        compiled_ = true;
        Plan* plan;
        {
            nb::gil_scoped_release released;
            plan = new Plan(std::move(network_), *kernels, threads);
        }
        read_.clear();
        return plan;
    }

  private:
    void check_residual(int64_t residual, const Sides& output) const {
        require(residual < 0 || same(network_.shape(residual), shape_of(output)), "residual: shape");
    }

    Network network_;
    std::vector<std::tuple<Vector1<int32_t>, Vector1<uint16_t>, Vector1<float>>> read_;  // when the plan is compiled
    bool compiled_ = false;
};

// The floats of a picture; the sides of one begin with axis `first` of the array.
template <typename Array>
int64_t check_sides(const Plan& plan, const Array& array, size_t first) {
    const Shape shape = shape_of(plan.input_sides());
    require(static_cast<int64_t>(array.shape(first)) == shape.channels &&
                static_cast<int64_t>(array.shape(first + 1)) == shape.height &&
                static_cast<int64_t>(array.shape(first + 2)) == shape.width,
            "run: pictures");
    return shape.channels * shape.height * shape.width;
}

void run(Plan& plan, const Pictures& pictures, size_t count, const Logits& logits, double* seconds) {
    require(count >= 1, "run: pictures");
    require(logits.shape(0) == count && static_cast<int64_t>(logits.shape(1)) == plan.classes(), "run: logits");
    float* to = logits.data();
    nb::gil_scoped_release released;
    plan.run(pictures, static_cast<int64_t>(count), to, seconds);
}

void run_batch(Plan& plan, const Batch& batch, const Logits& logits, double* seconds) {
    const int64_t floats = check_sides(plan, batch, 1);
    run(plan, {batch.data(), floats}, batch.shape(0), logits, seconds);
}

void run_pictures(Plan& plan, const std::vector<Picture>& pictures, const Logits& logits) {
    std::vector<const float*> apart;
    int64_t floats = 0;
    for (const Picture& picture : pictures) {
        floats = check_sides(plan, picture, 0);
        apart.push_back(picture.data());
    }
    run(plan, {nullptr, floats, apart.data()}, pictures.size(), logits, nullptr);
}

std::vector<std::tuple<int64_t, int64_t>> layer_bytes(const Plan& plan) {
    std::vector<std::tuple<int64_t, int64_t>> sizes;
    for (const auto& layer : plan.layers()) sizes.emplace_back(layer->weight_bytes(), layer->bias_bytes());
    return sizes;
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Kernels* kernels : runnable_kernels()) names.emplace_back(kernels->name);
    return names;
}

}  // namespace

NB_MODULE(_native, module) {
    nb::set_leak_warnings(false);  // what is alive when the interpreter ends is no leak
    nb::class_<Plan>(module, "Plan")
        .def("run", [](Plan& plan, const Batch& batch, const Logits& logits) {
            run_batch(plan, batch, logits, nullptr);
        })
        .def("run_pictures", &run_pictures)
        .def("profile", [](Plan& plan, const Batch& batch, const Logits& logits) {
            std::vector<double> seconds(plan.layers().size());
            run_batch(plan, batch, logits, seconds.data());
            return seconds;
        })
        .def_prop_ro("instruction_set", [](const Plan& plan) { return std::string(plan.kernels().name); })
        .def_prop_ro("workspace_bytes", &Plan::workspace_bytes)
        .def_prop_ro("layer_bytes", &layer_bytes);
    nb::class_<Builder>(module, "Builder")
        .def(nb::init<const Sides&>())
        .def("convolution", &Builder::convolution)
        .def("normalization", &Builder::normalization)
        .def("clamp", &Builder::clamp)
        .def("sigmoid", &Builder::sigmoid)
        .def("combination", &Builder::combination)
        .def("pool", &Builder::pool)
        .def("global_average", &Builder::global_average)
        .def("flatten", &Builder::flatten)
        .def("assembly", &Builder::assembly)
        .def("free", &Builder::free)
        .def("compile", &Builder::compile);
    module.def("instruction_sets", &instruction_sets);
    module.def("peak_multiply_adds", &peak_multiply_adds, nb::call_guard<nb::gil_scoped_release>());
}
