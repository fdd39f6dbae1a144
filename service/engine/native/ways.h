// The ways to run a convolution, and what each would cost: a layout of its input, and a cut of its output into tiles.
#pragma once

#include <vector>

#include "layout.h"
#include "sparse_rows.h"

namespace csrve {

struct Way {
    // Tiles that are alike, and how many there are.
    struct Kind {
        double vectors, count;
        int64_t footprint;
    };
    Layout layout;
    Walk walk;
    Cut cut;
    std::vector<Kind> kinds;
};

// Of one convolution, whose parts must outlive it.
class Ways {
  public:
    Ways(const Window& window, const Frame& frame, const SparseRows& rows, const Kernels& kernels,
         const std::vector<Layout>& layouts);

    const Way& cheapest(int64_t block_channels) const;
    double least_cycles(int64_t block_channels) const { return cycles(cheapest(block_channels), block_channels); }

    // How many input channels a block should have: it serves every number of lanes, so it is chosen for the ways of one
    // and those of the most.
    static int64_t choose_block(const Ways& single, const Ways& many);

  private:
    double cycles(const Way& way, int64_t block_channels) const;
    std::vector<double> relative_cycles(const std::vector<int64_t>& sizes) const;

    const Window& window_;
    const SparseRows& rows_;
    const Costs& costs_;
    std::vector<Way> ways_;
};

}  // namespace csrve
