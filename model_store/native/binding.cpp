// The Python module around the decoders. What they are given may come from a hostile file: every number is checked
// here.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "contexts.h"
#include "decode.h"
#include "parallel.h"
#include "sparse_tensor.h"

namespace nb = nanobind;
using namespace csrve;

namespace {

template <typename T>
using Vector1 = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Output1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr int kMostThreads = 256;
constexpr int64_t kMostElements = INT32_MAX;  // so that positions fit

std::vector<Lane> lanes_of(const Vector1<int64_t>& starts, const Vector1<int64_t>& counts,
                           const Vector1<int64_t>& tables, int64_t known_tables, int64_t payload_bits, int64_t space) {
    require(starts.size() == counts.size() && counts.size() == tables.size(), "lanes: lengths differ");
    std::vector<Lane> lanes;
    lanes.reserve(starts.size());
    int64_t written = 0;
    for (size_t lane = 0; lane < starts.size(); ++lane) {
        const int64_t start = starts.data()[lane], count = counts.data()[lane], table = tables.data()[lane];
        require(start >= 0 && start <= payload_bits, "lanes: start");
        require(count >= 0 && count <= space - written, "lanes: count");
        require(table >= 0 && table < known_tables, "lanes: table");
        lanes.push_back({start, count, written, table, static_cast<int64_t>(lane)});
        written += count;
    }
    require(written == space, "lanes: symbols");
    return lanes;
}

// Where each part's lanes begin, and the end: as many symbols for every part, about.
std::vector<int64_t> divide(const std::vector<Lane>& lanes, int64_t symbols, int parts) {
    std::vector<int64_t> bounds{0};
    int64_t done = 0;
    for (size_t lane = 0; lane < lanes.size(); ++lane) {
        done += lanes[lane].count;
        const int64_t part = static_cast<int64_t>(bounds.size());
        if (part < parts && done * parts >= part * symbols) bounds.push_back(static_cast<int64_t>(lane) + 1);
    }
    bounds.resize(parts + 1, static_cast<int64_t>(lanes.size()));
    return bounds;
}

Tables tables_from(const Vector1<uint8_t>& lengths, const std::vector<int64_t>& alphabets) {
    int64_t coded = 0;
    for (const int64_t alphabet : alphabets) {
        require(alphabet >= 0 && alphabet <= static_cast<int64_t>(lengths.size()) - coded, "tables: lengths");
        coded += alphabet;
    }
    return tables_of(lengths.data(), alphabets);
}

// Symbols of all lanes, one after the other, to `symbols`; the bit behind each lane to `ends`.
void decode(const Vector1<uint8_t>& payload, const Tables& lookup, const Vector1<int64_t>& starts,
            const Vector1<int64_t>& counts, const Vector1<int64_t>& tables, const Output1<uint16_t>& symbols,
            const Output1<int64_t>& ends, int threads) {
    require(threads >= 1 && threads <= kMostThreads, "lanes: threads");
    require(ends.size() == starts.size(), "lanes: ends");
    const int64_t size_bytes = static_cast<int64_t>(payload.size());
    const std::vector<Lane> lanes =
        lanes_of(starts, counts, tables, lookup.count(), 8 * size_bytes, static_cast<int64_t>(symbols.size()));
    const uint8_t* bytes = payload.data();
    uint16_t* out = symbols.data();
    int64_t* behind = ends.data();
    nb::gil_scoped_release released;
    const std::vector<int64_t> bounds = divide(lanes, static_cast<int64_t>(symbols.size()), threads);
    in_parallel(threads, [&](int part) {
        const int64_t first = bounds[part], count = bounds[part + 1] - first;
        decode_lanes(bytes, size_bytes, lookup, lanes.data() + first, count, out, behind);
    });
}

// (payload, table, symbols, bits of each lane)
using ToRead = std::tuple<Vector1<uint8_t>, int64_t, int64_t, std::vector<int64_t>>;
// (gaps, values, limit, rows, columns, by columns, largest value, positions, codes)
using ToDecode =
    std::tuple<ToRead, ToRead, int, int64_t, int64_t, bool, int64_t, Output1<int32_t>, Output1<uint16_t>>;

Stream stream_of(const ToRead& given, int64_t known_tables) {
    const auto& [payload, table, count, lane_bits] = given;
    require(count >= 0 && count <= kMostElements, "nonzeros: symbols");
    require(count == 0 || (table >= 0 && table < known_tables), "nonzeros: table");
    return {payload.data(), static_cast<int64_t>(payload.size()), table, count, lane_bits};
}

SparseTensor tensor_of(const ToDecode& given, int64_t known_tables) {
    const auto& [gaps, values, limit, rows, columns, by_columns, largest, positions, codes] = given;
    require(limit >= 1 && limit < kNoSymbol, "nonzeros: limit");
    require(largest >= 1 && largest < kNoSymbol, "nonzeros: largest");
    require(rows >= 1 && rows <= UINT32_MAX && columns >= 1 && columns <= kMostElements / rows, "nonzeros: shape");
    SparseTensor tensor{stream_of(gaps, known_tables),
                        stream_of(values, known_tables),
                        {rows, columns, by_columns, static_cast<uint16_t>(limit)},
                        largest,
                        positions.data(),
                        codes.data()};
    const size_t count = static_cast<size_t>(tensor.values.count);
    require(positions.size() == count && codes.size() == count, "nonzeros: lengths differ");
    return tensor;
}

// The non-zeros of tensors, the largest first. 0 for one whose streams are not as they must be.
std::vector<int> nonzeros(const Tables& tables, const std::vector<ToDecode>& given, int lane_log2, int threads) {
    require(threads >= 1 && threads <= kMostThreads, "nonzeros: threads");
    require(lane_log2 >= 0 && lane_log2 < 31, "nonzeros: lanes");
    std::vector<SparseTensor> tensors;
    for (const ToDecode& one : given) tensors.push_back(tensor_of(one, tables.count()));
    std::vector<size_t> order(tensors.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return tensors[a].gaps.count > tensors[b].gaps.count; });
    std::vector<int> decoded(tensors.size());
    std::atomic<size_t> next{0};
    std::atomic<bool> out_of_memory{false};
    nb::gil_scoped_release released;
    in_parallel(threads, [&](int) {
        SparseDecoder decoder(tables, lane_log2);
        for (size_t at = next++; at < order.size(); at = next++) {
            try {
                decoded[order[at]] = decoder.decode(tensors[order[at]]);
            } catch (const std::bad_alloc&) {
                out_of_memory = true;
            }
        }
    });
    if (out_of_memory) throw std::bad_alloc();
    return decoded;
}

AdaptiveBits adaptive(const Output1<uint16_t>& probabilities, const Output1<uint8_t>& counts, size_t contexts) {
    require(probabilities.size() == contexts && counts.size() == contexts, "contexts: what was learnt");
    for (size_t at = 0; at < contexts; ++at) require(counts.data()[at] <= kMaxCount, "contexts: count");
    return {probabilities.data(), counts.data()};
}

template <typename T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> array_of(std::vector<T> values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* place) noexcept { delete static_cast<std::vector<T>*>(place); });
    return nb::ndarray<nb::numpy, T, nb::ndim<1>>(kept->data(), {kept->size()}, owner);
}

using ContextsFound = std::tuple<int, int64_t, nb::ndarray<nb::numpy, int32_t, nb::ndim<1>>,
                                 nb::ndarray<nb::numpy, uint16_t, nb::ndim<1>>>;

// (outcome, symbol past the codebook, positions, codes). What bits have learnt goes on from tensor to tensor.
ContextsFound contexts(const std::tuple<int64_t, int64_t, int64_t, int64_t>& shape, const Vector1<uint8_t>& classes,
                       int depth, const Vector1<uint8_t>& mask, const Vector1<uint8_t>& values,
                       const Output1<uint16_t>& mask_probabilities, const Output1<uint8_t>& mask_counts,
                       const Output1<uint16_t>& value_probabilities, const Output1<uint8_t>& value_counts) {
    const auto [filters, channels, taps, width] = shape;
    require(filters >= 1 && channels >= 1 && taps >= 1 && filters <= kMostElements &&
                channels <= kMostElements / filters && taps <= kMostElements / (filters * channels) && width >= 1,
            "contexts: shape");
    require(depth >= 0 && depth <= 16, "contexts: depth");
    require(classes.size() >= 1 && classes.size() <= (size_t{1} << depth) + 1, "contexts: classes");
    for (size_t at = 0; at < classes.size(); ++at) require(classes.data()[at] < kClasses, "contexts: class");
    const AdaptiveBits mask_bits = adaptive(mask_probabilities, mask_counts, kMaskContexts);
    const size_t value_contexts = static_cast<size_t>(kClasses * kClasses) << depth;
    const AdaptiveBits value_bits = adaptive(value_probabilities, value_counts, value_contexts);
    const int64_t symbols = static_cast<int64_t>(classes.size());
    const KernelShape kernels{filters, channels, taps, width, classes.data(), symbols, depth};
    const BitStream mask_stream{mask.data(), static_cast<int64_t>(mask.size())};
    const BitStream value_stream{values.data(), static_cast<int64_t>(values.size())};
    Decoded made;
    {
        nb::gil_scoped_release released;
        made = decode_contexts(kernels, mask_stream, value_stream, mask_bits, value_bits);
    }
    return {static_cast<int>(made.outcome), made.symbol, array_of(std::move(made.positions)),
            array_of(std::move(made.codes))};
}

}  // namespace

NB_MODULE(_lanes_native, module) {
    nb::set_leak_warnings(false);  // what is alive when the interpreter ends is no leak
    nb::class_<Tables>(module, "Tables")
        .def("__init__",
             [](Tables* place, const Vector1<uint8_t>& lengths, const std::vector<int64_t>& alphabets) {
                 new (place) Tables(tables_from(lengths, alphabets));
             })
        .def("nonzeros", &nonzeros);
    module.def("decode", &decode);
    module.def("contexts", &contexts);
    module.attr("CODE_BITS") = kCodeBits;
    module.attr("NO_SYMBOL") = kNoSymbol;
}
