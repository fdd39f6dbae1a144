// A few threads that belong to one plan: woken for a run, busy between its steps, asleep between runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace csrve {

class ThreadPool {
  public:
    using Function = void (*)(void* context, int64_t task, int worker);

    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Wakes the threads for the caller; false where another caller has them, who then works alone.
    bool enter();
    void leave();

    // Runs tasks 0..count-1 on the caller (worker 0) and the threads, and returns when all are done. Between enter and
    // leave only.
    void run(int64_t count, Function function, void* context);

  private:
    void serve(int worker);
    bool work(int worker);

    // Generation in the upper half, next task in the lower. While a job is set up the lower half is kClosed, so that no
    // thread can take a task of the new job believing it to be of the old one.
    std::atomic<uint64_t> ticket_{kClosed};
    std::atomic<int64_t> count_{0};
    std::atomic<int64_t> done_{0};
    std::atomic<Function> function_{nullptr};
    std::atomic<void*> context_{nullptr};
    std::atomic<bool> active_{false};
    std::atomic<bool> stopping_{false};
    uint64_t generation_ = 0;

    std::mutex owner_;  // held by the caller that has the threads
    std::mutex sleep_;
    std::condition_variable wake_;
    std::vector<std::thread> workers_;

    static constexpr uint64_t kClosed = 0xFFFFFFFFull;
};

}  // namespace csrve
