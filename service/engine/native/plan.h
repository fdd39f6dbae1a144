// A network ready to run: layers in order, the buffers they share, and the threads they run on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "layer.h"
#include "network.h"
#include "thread_pool.h"
#include "workspace.h"

namespace csrve {

// [channels, height, width] each: one after the other, or wherever they lie.
struct Pictures {
    const float* first;
    int64_t floats;              // of a picture
    const float* const* apart = nullptr;  // of each, instead of `first`

    const float* at(int64_t picture) const { return apart ? apart[picture] : first + picture * floats; }
    Pictures from(int64_t picture) const {
        return {first + (apart ? 0 : picture * floats), floats, apart ? apart + picture : nullptr};
    }
};

class Plan {
  public:
    // Throws std::runtime_error where the buffers of one image are too large, std::invalid_argument where layers do not
    // fit each other.
    Plan(Network network, const Kernels& kernels, int threads);

    // Logits [count, classes] of so many pictures. Any number of threads may call it.
    // Adds the seconds that each layer took to `seconds`, unless that is null.
    void run(const Pictures& pictures, int64_t count, float* logits, double* seconds = nullptr);

    const Kernels& kernels() const { return kernels_; }
    const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }
    int64_t classes() const { return output_.frame.channels; }
    std::tuple<int64_t, int64_t, int64_t> input_sides() const {
        return {input_.frame.channels, input_.frame.height, input_.frame.width};
    }
    int64_t workspace_bytes();

  private:
    struct Batch {
        Pictures pictures;
        int64_t count;
        float* logits;
    };

    void lay_out(std::vector<Demand>& values);
    void prepare_layers();
    int take_slot(const Frame& frame);
    std::shared_ptr<const Schedules> schedules(int64_t lanes);
    std::unique_ptr<Workspace> take_workspace(int64_t lanes, const Schedules& schedules);
    int64_t choose_lanes(int64_t count);
    void run_in_lanes(int64_t lanes, const Batch& batch, double* seconds);
    // Pictures group * lanes and the following ones.
    void run_group(const Pass& pass, const Schedules& schedules, const Batch& batch, int64_t group,
                   double* seconds) const;
    void run_layers(const Pass& pass, const Schedules& schedules, double* seconds) const;
    void read_pictures(const Pass& pass, const Pictures& pictures, int64_t count) const;
    void write_logits(const Pass& pass, int64_t count, float* logits) const;

    const Kernels& kernels_;
    std::unique_ptr<Memory> memory_;  // of the layers
    std::vector<std::unique_ptr<Layer>> layers_;
    Place input_, output_;
    std::vector<int64_t> slot_pixels_;
    std::multimap<Frame, int> idle_slots_;  // while laying out
    int64_t max_lanes_ = 1;
    ThreadPool pool_;

    std::mutex mutex_;  // of what follows
    std::map<int64_t, std::shared_ptr<const Schedules>> schedules_;
    std::map<int64_t, int64_t> lanes_of_;  // chosen for so many pictures
    std::vector<std::unique_ptr<Workspace>> idle_;
    int64_t workspace_bytes_ = 0;
};

}  // namespace csrve
