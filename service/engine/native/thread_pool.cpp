#include "thread_pool.h"

namespace csrve {

namespace {

// Busy at first, because the next step follows within microseconds; polite after that, because somebody else may need
// the core that the awaited thread wants.
class Patience {
  public:
    void wait() {
        if (++rounds_ < kBusyRounds) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#elif defined(__aarch64__)
            __asm__ __volatile__("yield");
#endif
        } else {
            std::this_thread::yield();
        }
    }
    bool worn_out() const { return rounds_ > kAllRounds; }
    void reset() { rounds_ = 0; }

  private:
    static constexpr int kBusyRounds = 2000, kAllRounds = 4000;
    int rounds_ = 0;
};

}  // namespace

ThreadPool::ThreadPool(int threads) {
    for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
}

ThreadPool::~ThreadPool() {
    {
        std::lock_guard<std::mutex> lock(sleep_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
}

bool ThreadPool::enter() {
    if (workers_.empty() || !owner_.try_lock()) return false;
    {
        std::lock_guard<std::mutex> lock(sleep_);
        active_ = true;
    }
    wake_.notify_all();
    return true;
}

void ThreadPool::leave() {
    active_ = false;
    owner_.unlock();
}

void ThreadPool::run(int64_t count, Function function, void* context) {
    ticket_.store(generation_ << 32 | kClosed);
    function_ = function;
    context_ = context;
    count_ = count;
    done_ = 0;
    generation_ = (generation_ + 1) & kClosed;
    ticket_.store(generation_ << 32);
    while (work(0)) {
    }
    for (Patience patience; done_.load(std::memory_order_acquire) < count;) patience.wait();
}

bool ThreadPool::work(int worker) {
    uint64_t ticket = ticket_.load();
    const int64_t task = static_cast<int64_t>(ticket & kClosed);
    const int64_t count = count_.load();
    const Function function = function_.load();
    void* const context = context_.load();
    if (task >= count || (ticket & kClosed) == kClosed) return false;
    // Where this succeeds the job is still the one that the fields above were read from.
    if (!ticket_.compare_exchange_strong(ticket, ticket + 1)) return true;
    function(context, task, worker);
    done_.fetch_add(1, std::memory_order_release);
    return true;
}

void ThreadPool::serve(int worker) {
    Patience patience;
    while (!stopping_) {
        if (work(worker)) {
            patience.reset();
            continue;
        }
        patience.wait();
        if (active_ || !patience.worn_out()) continue;
        std::unique_lock<std::mutex> lock(sleep_);
        wake_.wait(lock, [this] { return active_ || stopping_; });
        patience.reset();
    }
}

}  // namespace csrve
