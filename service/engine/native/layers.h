// The layers without weights to multiply: elementwise, pooling, and those that only move pixels.
#pragma once

#include "layer.h"

namespace csrve {

// clamp(scale * input + bias + residual), a number of each a channel.
class Normalization : public Layer {
  public:
    Normalization(int64_t input, int64_t residual, std::vector<float> scale, std::vector<float> bias,
                  float low, float high);
    void bind(const std::vector<Place>& places, int private_slot) override;
    std::unique_ptr<Schedule> schedule(const Kernels& kernels, int64_t lanes) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;
    int64_t weight_bytes() const override { return 4 * static_cast<int64_t>(scale_.size()); }
    int64_t bias_bytes() const override { return 4 * static_cast<int64_t>(bias_.size()); }

  private:
    std::vector<float> scale_, bias_;
    float low_, high_;
    bool adds_;
    Place input_, residual_, output_;
};

class Elementwise : public Layer {
  public:
    Elementwise(Map operation, int64_t input, float low, float high);
    void bind(const std::vector<Place>& places, int private_slot) override;
    std::unique_ptr<Schedule> schedule(const Kernels& kernels, int64_t lanes) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;

  private:
    Map operation_;
    float low_, high_;
    Place input_, output_;
};

// Two values of shapes that are equal, or 1 where they differ.
class Combination : public Layer {
  public:
    Combination(Combine operation, int64_t first, int64_t second);
    void bind(const std::vector<Place>& places, int private_slot) override;
    std::unique_ptr<Schedule> schedule(const Kernels& kernels, int64_t lanes) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;

  private:
    Combine operation_;
    Place first_, second_, output_;
};

struct PoolSpec {
    bool maximum, count_padding;
    int64_t kernel_y, kernel_x, stride_y, stride_x, pad_top, pad_left;
};

class Pool : public Layer {
  public:
    Pool(const PoolSpec& spec, int64_t input);
    void bind(const std::vector<Place>& places, int private_slot) override;
    std::unique_ptr<Schedule> schedule(const Kernels& kernels, int64_t lanes) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;

  private:
    void pool_row(const Pass& pass, int64_t channel, int64_t y, float* target) const;

    PoolSpec spec_;
    Place input_, output_;
};

class GlobalAverage : public Layer {
  public:
    explicit GlobalAverage(int64_t input);
    void bind(const std::vector<Place>& places, int private_slot) override;
    std::unique_ptr<Schedule> schedule(const Kernels& kernels, int64_t lanes) const override;
    void run(const Pass& pass, const Schedule& schedule) const override;

  private:
    Place input_, output_;
};

// Features in the order channel, row, column.
class Flatten : public Layer {
  public:
    explicit Flatten(int64_t input);
    void bind(const std::vector<Place>& places, int private_slot) override;
    void run(const Pass& pass, const Schedule& schedule) const override;

  private:
    Place input_, output_;
};

// A part of a value, every step-th element of each side, to a place in the output: Slice, Pad and Concat.
struct Part {
    int64_t input;
    int64_t from[3], step[3], count[3], to[3];  // channel, row, column
};

// What no part fills is zero.
class Assembly : public Layer {
  public:
    explicit Assembly(std::vector<Part> parts);
    void demand(std::vector<Demand>& demands) const override;
    void bind(const std::vector<Place>& places, int private_slot) override;
    void run(const Pass& pass, const Schedule& schedule) const override;

  private:
    void copy(const Pass& pass, const Part& part, const Place& input) const;

    std::vector<Part> parts_;
    std::vector<Place> places_;
    Place output_;
};

}  // namespace csrve
