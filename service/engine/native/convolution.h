// A sparse convolution, and a linear layer as one of 1 x 1 pixels, with bias, residual and bounds.
#pragma once

#include "layer.h"
#include "layout.h"
#include "sparse_rows.h"
#include "ways.h"

namespace csrve {

struct ConvolutionSpec {
    int64_t input, residual;  // residual -1 where there is none
    Window window;
    std::vector<float> bias;  // empty, or one an output channel
    float low, high;
};

class Convolution : public Layer {
  public:
    // `scale` is empty or one an output channel. The arrays of the non-zeros must last until the layer is prepared, which
    // reads them. Both throw std::invalid_argument where the parts do not fit each other.
    Convolution(ConvolutionSpec spec, const NonZeros& nonzeros, std::vector<float> scale);

    void demand(std::vector<Demand>& demands) const override;
    const Frame* private_frame(const std::vector<Place>& places) override;
    void bind(const std::vector<Place>& places, int private_slot) override;
    void prepare(const Preparation& preparation) override;
    int64_t expected_bytes() const override { return nonzeros_.count * static_cast<int64_t>(sizeof(Entry)); }
    std::unique_ptr<Schedule> schedule(const Kernels& kernels, int64_t lanes) const override;
    double cycles(const Kernels& kernels, int64_t lanes) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;
    int64_t weight_bytes() const override { return rows_.size_bytes(); }
    int64_t bias_bytes() const override { return 4 * static_cast<int64_t>(spec_.bias.size()); }

  private:
    struct Tiling;  // a schedule

    Layout layout(const Kernels& kernels, int64_t lanes) const;
    Ways ways(const Kernels& kernels, const std::vector<Layout>& layouts) const;
    void relayout(const Pass& pass) const;
    void fetch_targets(const TileJob& job) const;
    void fetch_input(const Pass& pass, const Layout& layout, const Tile& tile) const;
    const float* input(const Pass& pass, const Tiling& tiling, Worker& worker) const;

    ConvolutionSpec spec_;
    NonZeros nonzeros_;  // and their scale: until prepared
    std::vector<float> scale_;
    SparseRows rows_;
    Layout single_;  // for one lane: the entries hold its places
    Place input_, source_, output_, residual_;  // source_: where the input is laid out differently, and copied first
    Frame private_frame_;
    bool copies_ = false;
};

}  // namespace csrve
