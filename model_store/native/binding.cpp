// The Python module around the decoder. What it is given may come from a hostile file: every number is checked here.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "decode.h"

namespace nb = nanobind;
using namespace csrve;

namespace {

template <typename T>
using Vector1 = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Output1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

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

// Symbols of all lanes, one after the other, to `symbols`; the bit behind each lane to `ends`.
void decode(const Vector1<uint8_t>& payload, const Vector1<uint16_t>& lookup, const Vector1<int64_t>& starts,
            const Vector1<int64_t>& counts, const Vector1<int64_t>& tables, const Output1<uint16_t>& symbols,
            const Output1<int64_t>& ends) {
    require(lookup.size() % kTableEntries == 0, "lanes: tables");
    require(ends.size() == starts.size(), "lanes: ends");
    for (size_t entry = 0; entry < lookup.size(); ++entry) {
        const int length = lookup.data()[entry] & 15;
        require(length >= 1 && length <= kCodeBits, "lanes: code length");
    }
    const int64_t size_bytes = static_cast<int64_t>(payload.size());
    const std::vector<Lane> lanes =
        lanes_of(starts, counts, tables, static_cast<int64_t>(lookup.size() / kTableEntries), 8 * size_bytes,
                 static_cast<int64_t>(symbols.size()));
    const uint8_t* bytes = payload.data();
    const uint16_t* entries = lookup.data();
    uint16_t* out = symbols.data();
    int64_t* behind = ends.data();
    nb::gil_scoped_release released;
    decode_lanes(bytes, size_bytes, entries, lanes.data(), static_cast<int64_t>(lanes.size()), out, behind);
}

}  // namespace

NB_MODULE(_lanes_native, module) {
    nb::set_leak_warnings(false);  // what is alive when the interpreter ends is no leak
    module.def("decode", &decode);
    module.attr("CODE_BITS") = kCodeBits;
}
