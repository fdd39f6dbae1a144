// How a plan is made: what frames its values have, which buffers they share, and its layers prepared.
#include <algorithm>
#include <exception>
#include <stdexcept>

#include "plan.h"

namespace csrve {

namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 31;        // of one image: 8 GiB of activations
constexpr int64_t kWorkspaceFloats = int64_t{1} << 28;  // beyond 1 GiB fewer images run side by side

}  // namespace

Plan::Plan(Network network, const Kernels& kernels, int threads)
    : kernels_(kernels), layers_(std::move(network.layers_)), pool_(threads) {
    if (layers_.empty()) throw std::invalid_argument("plan: no layers");
    const Shape& logits = network.values_.back().shape;
    if (logits.height != 1 || logits.width != 1) throw std::invalid_argument("plan: logits");
    lay_out(network.values_);
}

// Frames first, as every reader of a value has a say in its border; then slots, in the order of execution: values of the
// same frame follow each other in one buffer, so that its border is written once and stays zero.
void Plan::lay_out(std::vector<Demand>& values) {
    for (const auto& layer : layers_) layer->demand(values);
    std::vector<Place> places(values.size());
    for (size_t value = 0; value < values.size(); ++value) {
        const Demand& demand = values[value];
        places[value].frame = demand.split()
                                  ? Frame(demand.shape, demand.strided_border, demand.stride_y, demand.stride_x)
                                  : Frame(demand.shape, demand.border, 1, 1);
    }
    places.back().frame = Frame(values.back().shape, {}, 1, 1);
    places[0].slot = take_slot(places[0].frame);
    for (const auto& layer : layers_) {
        Place& made = places[layer->output];
        made.slot = take_slot(made.frame);
        int private_slot = -1;
        if (const Frame* frame = layer->private_frame(places)) {
            private_slot = take_slot(*frame);
            idle_slots_.emplace(*frame, private_slot);
        }
        layer->bind(places, private_slot);
        for (int64_t value : layer->frees) {
            if (places[value].slot < 0) throw std::invalid_argument("plan: a value is freed before it is made");
            idle_slots_.emplace(places[value].frame, places[value].slot);
        }
    }
    idle_slots_.clear();
    input_ = places.front();
    output_ = places.back();
    int64_t pixels = 0;
    for (int64_t mine : slot_pixels_) pixels += mine;
    max_lanes_ = std::max<int64_t>(1, std::min<int64_t>(kernels_.lanes, kWorkspaceFloats / pixels));
    prepare_layers();
}

// On all threads, each from the last layer of its share, because the last ones tend to have the most weights.
void Plan::prepare_layers() {
    int64_t expected_bytes = 0;
    for (const auto& layer : layers_) expected_bytes += layer->expected_bytes();
    memory_ = std::make_unique<Memory>(expected_bytes);
    struct Job {
        Plan* plan;
        std::vector<std::exception_ptr> failures;
    } job{this, std::vector<std::exception_ptr>(layers_.size())};
    auto prepare = [](void* context, int64_t task, int) {
        Job* mine = static_cast<Job*>(context);
        Plan* plan = mine->plan;
        const size_t layer = plan->layers_.size() - 1 - static_cast<size_t>(task);
        try {
            plan->layers_[layer]->prepare({plan->kernels_, plan->max_lanes_, plan->pool_.threads(), *plan->memory_});
        } catch (...) {
            mine->failures[layer] = std::current_exception();
        }
    };
    const int64_t count = static_cast<int64_t>(layers_.size());
    if (const Turn turn(pool_); turn.entered())
        pool_.run(count, prepare, &job);
    else
        for (int64_t task = 0; task < count; ++task) prepare(&job, task, 0);
    for (const std::exception_ptr& failure : job.failures)
        if (failure) std::rethrow_exception(failure);
}

int Plan::take_slot(const Frame& frame) {
    const auto idle = idle_slots_.find(frame);
    if (idle != idle_slots_.end()) {
        const int slot = idle->second;
        idle_slots_.erase(idle);
        return slot;
    }
    int64_t pixels = 0;
    if (frame.plane <= 0 || __builtin_mul_overflow(frame.channels, frame.plane, &pixels)) pixels = kMaxPixels;
    for (int64_t mine : slot_pixels_) pixels += mine;
    if (pixels >= kMaxPixels) throw std::runtime_error("plan: activations and their borders pass 2**31 pixels an image");
    slot_pixels_.push_back(frame.channels * frame.plane);
    return static_cast<int>(slot_pixels_.size()) - 1;
}

}  // namespace csrve
