#include "workspace.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace csrve {

namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

void Workspace::Release::operator()(float* place) const { ::operator delete[](place, kAlignment); }

void Workspace::grow(Buffer& buffer, int64_t floats) {
    if (buffer.floats >= floats) return;
    void* place = ::operator new[](static_cast<size_t>(floats) * sizeof(float), kAlignment);
    buffer.place.reset(static_cast<float*>(place));
    size_bytes_ += 4 * (floats - buffer.floats);
    buffer.floats = floats;
}

void Workspace::prepare(int64_t lanes, const std::vector<int64_t>& slot_pixels, const Schedules& schedules,
                        int threads) {
    buffers_.resize(slot_pixels.size());
    places_.resize(slot_pixels.size());
    for (size_t slot = 0; slot < slot_pixels.size(); ++slot) {
        const int64_t floats = slot_pixels[slot] * lanes + kSlack;
        grow(buffers_[slot], floats);
        places_[slot] = buffers_[slot].place.get();
        std::memset(places_[slot], 0, static_cast<size_t>(floats) * sizeof(float));
    }
    int64_t scratch = 16, copies = 0;
    for (const auto& schedule : schedules) {
        scratch = std::max(scratch, schedule->scratch);
        copies = std::max(copies, schedule->copies);
    }
    scratch = Frame::ceiling(scratch, kMaxWidth) * kMaxWidth;
    copies = copies ? Frame::ceiling(copies + kSlack, kMaxWidth) * kMaxWidth : 0;
    const int64_t mine = scratch + copies, before = own_.floats;
    grow(own_, mine * threads);
    if (own_.floats != before) std::memset(own_.place.get(), 0, static_cast<size_t>(own_.floats) * sizeof(float));
    workers_.clear();
    for (int worker = 0; worker < threads; ++worker) {
        float* place = own_.place.get() + worker * mine;
        workers_.push_back({place, place + scratch, nullptr});
    }
    lanes_ = lanes;
}

}  // namespace csrve
