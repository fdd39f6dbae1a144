#include "plan.h"

#include <chrono>
#include <exception>
#include <limits>
#include <stdexcept>

namespace csrve {

namespace {

constexpr int64_t kMaxPixels = int64_t{1} << 31;        // of one image: 8 GiB of activations
constexpr int64_t kWorkspaceFloats = int64_t{1} << 28;  // beyond 1 GiB fewer images run side by side

// The time in which one caller has the threads, if it gets them.
class Turn {
  public:
    explicit Turn(ThreadPool& pool) : pool_(pool), entered_(pool.enter()) {}
    Turn(const Turn&) = delete;
    ~Turn() {
        if (entered_) pool_.leave();
    }
    bool entered() const { return entered_; }

  private:
    ThreadPool& pool_;
    const bool entered_;
};

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
        std::vector<Room<Entry>> rooms;  // of each thread
    } job{this, std::vector<std::exception_ptr>(layers_.size()), std::vector<Room<Entry>>(pool_.threads())};
    auto prepare = [](void* context, int64_t task, int worker) {
        Job* mine = static_cast<Job*>(context);
        Plan* plan = mine->plan;
        const size_t layer = plan->layers_.size() - 1 - static_cast<size_t>(task);
        try {
            plan->layers_[layer]->prepare(
                {plan->kernels_, plan->max_lanes_, plan->pool_.threads(), mine->rooms[worker], *plan->memory_});
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

// One after the other, together, or together with lanes to spare, whatever the layers say is fastest: loads are aligned
// where lanes fill whole vectors.
int64_t Plan::choose_lanes(int64_t count) {
    if (count == 1) return 1;
    std::lock_guard<std::mutex> lock(mutex_);
    int64_t& chosen = lanes_of_[count];
    if (chosen) return chosen;
    const int64_t filled = std::min(max_lanes_, Frame::ceiling(count, kernels_.width) * kernels_.width);
    double least = std::numeric_limits<double>::infinity();
    for (int64_t lanes : {int64_t{1}, count, filled}) {
        double cycles = 0;
        for (const auto& layer : layers_) cycles += layer->cycles(kernels_, lanes);
        cycles *= static_cast<double>(Frame::ceiling(count, lanes));
        if (cycles >= least) continue;
        least = cycles;
        chosen = lanes;
    }
    return chosen;
}

void Plan::run(const Pictures& pictures, int64_t count, float* logits, double* seconds) {
    const int64_t whole = count / max_lanes_ * max_lanes_, rest = count - whole;
    if (whole) run_in_lanes(max_lanes_, {pictures, whole, logits}, seconds);
    if (rest) run_in_lanes(choose_lanes(rest), {pictures.from(whole), rest, logits + whole * classes()}, seconds);
}

// Where there is a sub-batch for every thread, each runs whole sub-batches alone: nothing to wait for, and what a layer
// wrote is still in the core's own cache when the next one reads it. What is left over they run together.
void Plan::run_in_lanes(int64_t lanes, const Batch& batch, double* seconds) {
    const std::shared_ptr<const Schedules> mine = schedules(lanes);
    const Turn turn(pool_);
    const int64_t groups = Frame::ceiling(batch.count, lanes), threads = turn.entered() ? pool_.threads() : 1;
    const int64_t apart = threads > 1 && !seconds ? groups / threads * threads : 0;
    std::vector<std::unique_ptr<Workspace>> workspaces;
    for (int64_t thread = 0; thread < (apart ? threads : 1); ++thread)
        workspaces.push_back(take_workspace(lanes, *mine));
    auto pass_of = [&](const std::unique_ptr<Workspace>& workspace, ThreadPool* pool) {
        return Pass{kernels_, pool, lanes, workspace->places(), workspace->workers()};
    };
    if (apart) {
        auto body = [&](int64_t group, int worker) {
            run_group(pass_of(workspaces[worker], nullptr), *mine, batch, group, nullptr);
        };
        using Body = decltype(body);
        pool_.run(
            apart, [](void* context, int64_t group, int worker) { (*static_cast<Body*>(context))(group, worker); },
            &body);
    }
    for (int64_t group = apart; group < groups; ++group)
        run_group(pass_of(workspaces[0], turn.entered() ? &pool_ : nullptr), *mine, batch, group, seconds);
    std::lock_guard<std::mutex> lock(mutex_);
    for (std::unique_ptr<Workspace>& workspace : workspaces) idle_.push_back(std::move(workspace));
}

void Plan::run_group(const Pass& pass, const Schedules& schedules, const Batch& batch, int64_t group,
                     double* seconds) const {
    const int64_t first = group * pass.lanes, part = std::min(pass.lanes, batch.count - first);
    read_pictures(pass, batch.pictures.from(first), part);
    run_layers(pass, schedules, seconds);
    write_logits(pass, part, batch.logits + first * classes());
}

void Plan::run_layers(const Pass& pass, const Schedules& schedules, double* seconds) const {
    using Clock = std::chrono::steady_clock;
    for (int worker = 0; worker < pool_.threads(); ++worker) pass.workers[worker].copied = nullptr;
    Clock::time_point before = seconds ? Clock::now() : Clock::time_point();
    for (size_t layer = 0; layer < layers_.size(); ++layer) {
        layers_[layer]->run(pass, *schedules[layer]);
        if (!seconds) continue;
        const Clock::time_point now = Clock::now();
        seconds[layer] += std::chrono::duration<double>(now - before).count();
        before = now;
    }
}

std::shared_ptr<const Schedules> Plan::schedules(int64_t lanes) {
    std::lock_guard<std::mutex> lock(mutex_);
    std::shared_ptr<const Schedules>& known = schedules_[lanes];
    if (!known) {
        auto made = std::make_shared<Schedules>();
        for (const auto& layer : layers_) made->push_back(layer->schedule(kernels_, lanes));
        known = made;
    }
    return known;
}

// One that had the same number of lanes, if there is one: it needs no preparation.
std::unique_ptr<Workspace> Plan::take_workspace(int64_t lanes, const Schedules& schedules) {
    std::unique_ptr<Workspace> workspace;
    {
        std::lock_guard<std::mutex> lock(mutex_);
        size_t chosen = idle_.size();
        for (size_t index = 0; index < idle_.size(); ++index)
            if (chosen == idle_.size() || idle_[index]->lanes() == lanes) chosen = index;
        if (chosen < idle_.size()) {
            workspace = std::move(idle_[chosen]);
            idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(chosen));
        } else {
            idle_.reserve(idle_.capacity() + 1);  // so that giving it back cannot fail
            workspace = std::make_unique<Workspace>();
        }
    }
    const int64_t before = workspace->size_bytes();
    if (workspace->lanes() != lanes) workspace->prepare(lanes, slot_pixels_, schedules, pool_.threads());
    if (workspace->size_bytes() != before) {
        std::lock_guard<std::mutex> lock(mutex_);
        workspace_bytes_ += workspace->size_bytes() - before;
    }
    return workspace;
}

void Plan::read_pictures(const Pass& pass, const Pictures& pictures, int64_t count) const {
    const Frame& in = input_.frame;
    const int64_t lanes = pass.lanes;
    pass.parallel(in.channels * in.height, [&](int64_t task, const Worker&) {
        const int64_t channel = task / in.height, y = task % in.height, row = (channel * in.height + y) * in.width;
        float* target = pass.channel(input_, channel);
        if (lanes == 1) {
            write_pixels(in, target, y, 0, pictures.at(0) + row, 1, in.width, 1);
            return;
        }
        for (int64_t x = 0; x < in.width; ++x) {
            float* pixel = target + in.pixel(y, x) * lanes;
            for (int64_t lane = 0; lane < count; ++lane) pixel[lane] = pictures.at(lane)[row + x];
            for (int64_t lane = count; lane < lanes; ++lane) pixel[lane] = 0.0f;
        }
    });
}

void Plan::write_logits(const Pass& pass, int64_t count, float* logits) const {
    const float* values = pass.at(output_);
    for (int64_t lane = 0; lane < count; ++lane)
        for (int64_t label = 0; label < classes(); ++label)
            logits[lane * classes() + label] = values[label * pass.lanes + lane];
}

int64_t Plan::workspace_bytes() {
    std::lock_guard<std::mutex> lock(mutex_);
    return workspace_bytes_;
}

}  // namespace csrve
