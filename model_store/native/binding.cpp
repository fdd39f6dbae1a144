// The Python module around the decoders. What they are given may come from a hostile file: every number is checked
// here.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>
#include <vector>

#include "contexts.h"
#include "decode.h"
#include "parallel.h"
#include "sparse.h"

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
    // Lanes that go side by side should end together.
    std::stable_sort(lanes.begin(), lanes.end(), [](const Lane& a, const Lane& b) { return a.count > b.count; });
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

// The streams of one tensor, and where its non-zeros go.
using ToPlace = std::tuple<Vector1<uint16_t>, Vector1<uint16_t>, int, int64_t, int64_t, bool, Output1<int32_t>,
                           Output1<uint16_t>>;

struct Placing {
    const uint16_t *gaps, *values;
    int64_t symbols, count;
    Scan scan;
    int32_t* positions;
    uint16_t* codes;
};

Placing placing_of(const ToPlace& tensor) {
    const auto& [gaps, values, limit, rows, columns, by_columns, positions, codes] = tensor;
    require(limit >= 1 && limit <= UINT16_MAX, "place: limit");
    require(rows >= 1 && rows <= UINT32_MAX && columns >= 1 && columns <= INT32_MAX / rows, "place: shape");
    require(values.size() == positions.size() && codes.size() == positions.size(), "place: lengths differ");
    return {gaps.data(),
            values.data(),
            static_cast<int64_t>(gaps.size()),
            static_cast<int64_t>(positions.size()),
            {rows, columns, by_columns, static_cast<uint16_t>(limit)},
            positions.data(),
            codes.data()};
}

// Positions and codes of the non-zeros that gap symbols stand for, tensor by tensor. 0, and nothing written, where they
// do not stand for as many as there is room for, inside the matrix.
std::vector<int> place(const std::vector<ToPlace>& tensors, int threads) {
    require(threads >= 1 && threads <= kMostThreads, "place: threads");
    std::vector<Placing> placings;
    for (const ToPlace& tensor : tensors) placings.push_back(placing_of(tensor));
    std::vector<int> placed(placings.size());
    std::atomic<size_t> next{0};
    std::atomic<bool> out_of_memory{false};
    nb::gil_scoped_release released;
    in_parallel(threads, [&](int) {
        Scratch scratch;
        for (size_t at = next++; at < placings.size(); at = next++) {
            const Placing& mine = placings[at];
            if (count_positions(mine.gaps, mine.symbols, mine.scan) != mine.count) continue;
            try {
                place_nonzeros(mine.gaps, mine.symbols, mine.values, mine.count, mine.scan, scratch, mine.positions,
                               mine.codes);
                placed[at] = 1;
            } catch (const std::bad_alloc&) {
                out_of_memory = true;
            }
        }
    });
    if (out_of_memory) throw std::bad_alloc();
    return placed;
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
    nb::class_<Tables>(module, "Tables").def("__init__", [](Tables* place, const Vector1<uint8_t>& lengths,
                                                            const std::vector<int64_t>& alphabets) {
        new (place) Tables(tables_from(lengths, alphabets));
    });
    module.def("decode", &decode);
    module.def("place", &place);
    module.def("contexts", &contexts);
    module.attr("CODE_BITS") = kCodeBits;
    module.attr("NO_SYMBOL") = kNoSymbol;
}
