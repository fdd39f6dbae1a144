// A network as Python declares it, layer by layer.
//
// Python has validated every array (bundle, graph and shapes); what is checked here is that sizes fit each other, so that
// a mistake in the wrapper is an exception and not a stray write.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "network.h"
#include "plan.h"

namespace csrve {

template <typename T>
using Vector1 = nanobind::ndarray<const T, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
using Sides = std::tuple<int64_t, int64_t, int64_t>;
using Pair = std::tuple<int64_t, int64_t>;
using Bounds = std::tuple<float, float>;
using PartSides = std::tuple<int64_t, Sides, Sides, Sides, Sides>;  // input, from, step, count, to: see `Part`

inline Shape shape_of(const Sides& sides) { return {std::get<0>(sides), std::get<1>(sides), std::get<2>(sides)}; }

inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

// Every method that adds a layer returns the number of the value it makes, and throws std::invalid_argument where sizes
// do not fit.
class Builder {
  public:
    explicit Builder(const Sides& input) : network_(shape_of(input)) {}
    int64_t convolution(int64_t input, const Sides& output, const Vector1<int32_t>& positions,
                        const Vector1<uint16_t>& codes, const Vector1<float>& values, const Vector1<float>& scale,
                        const Vector1<float>& bias, const Pair& kernel, const Pair& strides, const Pair& dilations,
                        const Pair& pads, int64_t group, int64_t residual, const Bounds& bounds);
    int64_t normalization(int64_t input, const Vector1<float>& scale, const Vector1<float>& bias, int64_t residual,
                          const Bounds& bounds);
    int64_t clamp(int64_t input, const Bounds& bounds);
    int64_t sigmoid(int64_t input);
    int64_t combination(bool multiply, int64_t first, int64_t second);
    int64_t pool(bool maximum, int64_t input, const Sides& output, const Pair& kernel, const Pair& strides,
                 const Pair& pads, bool count_padding);
    int64_t global_average(int64_t input);
    int64_t flatten(int64_t input);
    int64_t assembly(const std::vector<PartSides>& parts, const Sides& output);
    void free(int64_t value) { network_.free_after_last(value); }
    Plan* compile(const std::string& isa, int threads);

  private:
    void check_residual(int64_t residual, const Sides& output) const;

    Network network_;
    std::vector<std::tuple<Vector1<int32_t>, Vector1<uint16_t>, Vector1<float>>> read_;  // when the plan is compiled
    bool compiled_ = false;
};

}  // namespace csrve
