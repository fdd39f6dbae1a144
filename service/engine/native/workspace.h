// The memory that one run of a plan writes to.
#pragma once

#include <memory>
#include <vector>

#include "layer.h"

namespace csrve {

using Schedules = std::vector<std::unique_ptr<Schedule>>;  // of each layer

// Everything that one call of `run` writes to. Buffers keep their zero borders from one run to the next.
class Workspace {
  public:
    // For so many lanes of buffers of so many pixels each, which are zero then, and for so many threads.
    void prepare(int64_t lanes, const std::vector<int64_t>& slot_pixels, const Schedules& schedules, int threads);

    int64_t lanes() const { return lanes_; }
    int64_t size_bytes() const { return size_bytes_; }
    float* const* places() const { return places_.data(); }
    Worker* workers() { return workers_.data(); }

  private:
    struct Release {
        void operator()(float* place) const;
    };
    struct Buffer {
        std::unique_ptr<float[], Release> place;
        int64_t floats = 0;
    };
    // To at least so many floats, of any value.
    void grow(Buffer& buffer, int64_t floats);

    int64_t lanes_ = 0, size_bytes_ = 0;
    std::vector<Buffer> buffers_;
    std::vector<float*> places_;
    std::vector<Worker> workers_;
    Buffer own_;  // of the workers
};

}  // namespace csrve
