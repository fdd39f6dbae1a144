#include "ways.h"

#include <algorithm>
#include <limits>

#include "machine.h"

namespace csrve {

namespace {

constexpr double kManyShare = 3;  // of batches against single pictures, when the blocks are chosen for both

}  // namespace

Ways::Ways(const Window& window, const Frame& frame, const SparseRows& rows, const Kernels& kernels,
           const std::vector<Layout>& layouts)
    : window_(window), rows_(rows), costs_(kernels.costs) {
    const int most_vectors = rows.quads() ? kernels.quad_vectors : kernels.tile_vectors;
    for (const Layout& layout : layouts) {
        const Walk walk{window.output.height, window.output.width, layout.row, layout.lanes,
                        kernels.width,        most_vectors,        rows.quads() ? 1 : 4};
        for (const Cut& cut : cuts_for(walk)) {
            ways_.push_back({layout, walk, cut, {}});
            for (const TileKind& kind : kinds_of(walk, cut))
                ways_.back().kinds.push_back({static_cast<double>(kind.rows * kind.vectors),
                                              static_cast<double>(kind.count), layout.footprint(window, frame, kind)});
        }
    }
}

const Way& Ways::cheapest(int64_t block_channels) const {
    const Way* best = nullptr;
    double least = std::numeric_limits<double>::infinity();
    for (const Way& way : ways_) {
        const double cycles = this->cycles(way, block_channels);
        if (best && cycles >= least) continue;
        best = &way;
        least = cycles;
    }
    return *best;
}

double Ways::cycles(const Way& way, int64_t block_channels) const {
    const double entries = static_cast<double>(rows_.entries()), rows = static_cast<double>(rows_.rows());
    const double share = static_cast<double>(rows_.row_channels());
    const double near = way.layout.aligned() ? costs_.load : costs_.straddling_load;
    const int64_t blocks = Frame::ceiling(window_.input.channels / window_.group, block_channels);
    double cycles = way.layout.copy_cycles(window_);
    for (const Way::Kind& kind : way.kinds) {
        // No tap reads all of a footprint: a quarter more than the first level holds is still near.
        const bool fits = 4 * kind.footprint * block_channels <= first_level_bytes() * 5 / 4;
        const double load = fits ? near : std::max(near, costs_.far_load);
        const double in_blocks = costs_.row + (blocks > 1 ? kind.vectors * share * costs_.sum : 0);
        cycles += kind.count * (entries * (std::max(load, share * costs_.load) * kind.vectors + costs_.entry) +
                                static_cast<double>(blocks) * rows * in_blocks);
    }
    return cycles;
}

std::vector<double> Ways::relative_cycles(const std::vector<int64_t>& sizes) const {
    std::vector<double> made;
    for (int64_t size : sizes) made.push_back(least_cycles(size));
    const double least = *std::min_element(made.begin(), made.end());
    for (double& cycles : made) cycles /= least;
    return made;
}

int64_t Ways::choose_block(const Ways& single, const Ways& many) {
    const Window& window = single.window_;
    const SparseRows& rows = single.rows_;
    const int64_t channels = window.input.channels / window.group;
    const int64_t finest = Frame::ceiling(2 * rows.rows() * channels, std::max<int64_t>(1, rows.entries()));
    std::vector<int64_t> sizes;
    for (int64_t size = 4; size < channels && window.group == 1; size += size / 4)
        if (size >= finest) sizes.push_back(size);
    sizes.push_back(channels);
    const std::vector<double> alone = single.relative_cycles(sizes), together = many.relative_cycles(sizes);
    size_t best = 0;
    for (size_t at = 1; at < sizes.size(); ++at)
        if (alone[at] + kManyShare * together[at] < alone[best] + kManyShare * together[best]) best = at;
    return sizes[best];
}

}  // namespace csrve
