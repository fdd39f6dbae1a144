#include "plan.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace csrve {

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
