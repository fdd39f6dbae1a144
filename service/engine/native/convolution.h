// A sparse convolution, and a linear layer as one of 1 x 1 pixels, with bias, residual and bounds.
#pragma once

#include <optional>

#include "layer.h"

namespace csrve {

struct ConvolutionSpec {
    int64_t input, residual;  // residual -1 where there is none
    Shape input_shape, output_shape;
    int64_t kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left, group;
    // Non-zeros of [outputs, inputs / group, kernel_y, kernel_x], row-major, strictly rising. Read by `bind` only.
    const int64_t* positions;
    const float* values;
    int64_t nonzeros;
    std::vector<float> scale, bias;  // empty, or one an output channel; the scale is multiplied into the weights
    float low, high;
};

class Convolution : public Layer {
  public:
    // Throws std::invalid_argument where the parts do not fit each other.
    explicit Convolution(ConvolutionSpec spec);

    void demand(std::vector<Demand>& demands) const override;
    const Frame* private_frame(const std::vector<Place>& places) override;
    void bind(const std::vector<Place>& places, int private_slot) override;
    Schedule schedule(const Kernels& kernels, int64_t lanes, int threads) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;
    int64_t weight_bytes() const override;
    int64_t bias_bytes() const override { return 4 * static_cast<int64_t>(spec_.bias.size()); }

  private:
    void check() const;
    bool strides() const { return spec_.stride_y > 1 || spec_.stride_x > 1; }
    Border border() const;
    void fill_entries();
    std::vector<int32_t> column_offsets() const;
    void pair_up_rows();
    int64_t row_groups() const { return quads_.empty() ? spec_.output_shape.channels : quad_rows_; }
    int64_t channels_in_cache(int64_t tile_floats, int64_t lanes) const;
    void relayout(const Pass& pass) const;

    ConvolutionSpec spec_;
    Place input_, source_, output_, residual_;  // source_: where the input is laid out differently, and copied first
    Frame private_frame_;
    bool copies_ = false;

    std::vector<Entry> entries_;
    std::vector<QuadEntry> quads_;
    std::vector<int32_t> starts_;
    int64_t block_channels_ = 0, blocks_ = 1, quad_rows_ = 0;
};

}  // namespace csrve
