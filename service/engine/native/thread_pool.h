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

    int threads() const { return static_cast<int>(shares_.size()); }

    // Wakes the threads for the caller; false where another caller has them, who then works alone.
    bool enter();
    void leave();

    // Runs tasks 0..count-1 on the caller (worker 0) and the threads, and returns when all are done. Between enter and
    // leave only. Each has a run of neighbouring tasks to begin with, and helps the others when that is done: what it made
    // of them in the last layer is near when it comes to the same ones in the next.
    void run(int64_t count, Function function, void* context);

  private:
    static constexpr uint64_t kClosed = 0xFFFFFFFFull;

    void serve(int worker);
    bool work(int worker);

    // The tasks that fall to one worker first. Generation in the upper half of the ticket, next task in the lower. While a
    // job is set up the lower half is kClosed, so that no thread can take a task of the new job believing it to be of
    // the old one.
    struct alignas(64) Share {
        std::atomic<uint64_t> ticket{kClosed};
        std::atomic<int64_t> end{0};
    };

    bool take(Share& share, int worker);

    std::vector<Share> shares_;  // of each worker
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
};

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

}  // namespace csrve
