// What every step of a plan is: a layer that knows how its readers' borders look, where its values lie, and how to run.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "frame.h"
#include "kernels.h"
#include "memory.h"
#include "thread_pool.h"

namespace csrve {

// What readers ask of a value before any buffer exists.
struct Demand {
    Shape shape{0, 0, 0};
    Border border;                  // of readers that step by one pixel
    Border strided_border;          // of convolutions that stride
    int64_t stride_y = 0, stride_x = 0;  // theirs; 0 where there is none
    int64_t picked_x = 0;           // a divisor of the steps at which others pick pixels of a row; 0 where none do
    bool plain = false;             // somebody else reads it, or they stride differently

    // All readers stride alike, so that the value can be stored in phases.
    bool split() const { return stride_y > 0 && !plain && picked_x % stride_x == 0; }
};

// Where a value lies: a frame in one of the plan's buffers.
struct Place {
    Frame frame;
    int slot = -1;
};

struct Schedule;

// What one thread has for itself. Copies of a layer's input are its own as well: to read what another core has just
// written takes longer than to copy it again.
struct Worker {
    float* scratch;
    float* copies;
    const Schedule* copied;  // whose input the copies hold
};

// One sub-batch on its way through the layers.
struct Pass {
    const Kernels& kernels;
    ThreadPool* pool;  // null where the caller works alone
    int64_t lanes;
    float* const* buffers;  // by slot
    Worker* workers;

    float* at(const Place& place) const { return buffers[place.slot]; }
    float* channel(const Place& place, int64_t channel) const {
        return buffers[place.slot] + channel * place.frame.plane * lanes;
    }
    float* row(const Place& place, int64_t channel, int64_t y) const {
        return this->channel(place, channel) + place.frame.pixel(y, 0) * lanes;
    }

    // body(task, worker) for tasks 0..count-1.
    template <typename Body>
    void parallel(int64_t count, const Body& body) const {
        struct Job {
            const Pass* pass;
            const Body* body;
        } job{this, &body};
        if (!pool || count < 2) {
            for (int64_t task = 0; task < count; ++task) body(task, workers[0]);
            return;
        }
        pool->run(
            count,
            [](void* context, int64_t task, int worker) {
                const Job* mine = static_cast<Job*>(context);
                (*mine->body)(task, mine->pass->workers[worker]);
            },
            &job);
    }
};

// What a layer has worked out for one number of lanes.
struct Schedule {
    virtual ~Schedule() = default;
    int64_t scratch = 0;  // floats that each worker needs
    int64_t copies = 0;   // likewise, of copies of its input
};

// What a layer is made ready for, and with.
struct Preparation {
    const Kernels& kernels;
    int64_t most_lanes;
    int threads;
    Memory& memory;  // for what it keeps
};

class Layer {
  public:
    virtual ~Layer() = default;

    std::vector<int64_t> inputs;  // every value it reads
    int64_t output = -1;  // the value it makes: the network numbers it
    std::vector<int64_t> frees;  // values nobody reads after it

    // Says what border it needs around its inputs.
    virtual void demand(std::vector<Demand>& demands) const {
        for (int64_t input : inputs) demands[input].plain = true;
    }
    // A buffer of its own, if it needs its input laid out in another way: called after `demand`, before `bind`.
    virtual const Frame* private_frame(const std::vector<Place>&) { return nullptr; }
    virtual void bind(const std::vector<Place>& places, int private_slot) = 0;
    // Called once after `bind`.
    virtual void prepare(const Preparation&) {}
    // What it will take of the plan's memory then, about.
    virtual int64_t expected_bytes() const { return 0; }
    virtual std::unique_ptr<Schedule> schedule(const Kernels&, int64_t) const { return std::make_unique<Schedule>(); }
    // Of one core, about; 0 where it hardly counts.
    virtual double cycles(const Kernels&, int64_t) const { return 0; }
    virtual void run(const Pass& pass, const Schedule& schedule) const = 0;
    // Held between runs, activations not counted.
    virtual int64_t weight_bytes() const { return 0; }
    virtual int64_t bias_bytes() const { return 0; }
};

// Writes `count` pixels, `step` pixels apart in the source, to row y of a channel, from column x on.
inline void write_pixels(const Frame& frame, float* channel, int64_t y, int64_t x, const float* source, int64_t step,
                         int64_t count, int64_t lanes) {
    if (frame.stride_x == 1 && step == 1) {
        std::copy(source, source + count * lanes, channel + frame.pixel(y, x) * lanes);
    } else if (lanes == 1) {
        // One phase after the other: the inner loop then has constant steps on both sides.
        const int64_t phases = std::min(frame.stride_x, count);
        for (int64_t phase = 0; phase < phases; ++phase) {
            float* target = channel + frame.pixel(y, x + phase);
            const float* from = source + phase * step;
            const int64_t length = Frame::ceiling(count - phase, frame.stride_x), apart = step * frame.stride_x;
            for (int64_t pixel = 0; pixel < length; ++pixel) target[pixel] = from[pixel * apart];
        }
    } else {
        for (int64_t pixel = 0; pixel < count; ++pixel) {
            const float* from = source + pixel * step * lanes;
            std::copy(from, from + lanes, channel + frame.pixel(y, x + pixel) * lanes);
        }
    }
}

}  // namespace csrve
