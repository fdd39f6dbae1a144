// The Python module: a network is declared layer by layer and compiled to a plan, which runs with the GIL released.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>


#include "builder.h"
#include "machine.h"
#include "peak.h"
#include "plan.h"

namespace nb = nanobind;
using namespace csrve;

namespace {

using Batch = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

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
