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

ThreadPool::ThreadPool(int threads) : shares_(static_cast<size_t>(threads)) {
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
    for (Share& share : shares_) share.ticket.store(generation_ << 32 | kClosed);
    function_ = function;
    context_ = context;
    done_ = 0;
    generation_ = (generation_ + 1) & kClosed;
    const int64_t workers = threads();
    for (int64_t worker = 0; worker < workers; ++worker) {
        shares_[worker].end = (worker + 1) * count / workers;
        shares_[worker].ticket.store(generation_ << 32 | static_cast<uint64_t>(worker * count / workers));
    }
    while (work(0)) {
    }
    for (Patience patience; done_.load(std::memory_order_acquire) < count;) patience.wait();
}

// A task of its own share, or else of the next one that has any.
bool ThreadPool::work(int worker) {
    const int workers = threads();
    for (int step = 0; step < workers; ++step)
        if (take(shares_[(worker + step) % workers], worker)) return true;
    return false;
}

bool ThreadPool::take(Share& share, int worker) {
    uint64_t ticket = share.ticket.load();
    const int64_t task = static_cast<int64_t>(ticket & kClosed);
    const int64_t end = share.end.load();
    const Function function = function_.load();
    void* const context = context_.load();
    if (task >= end || (ticket & kClosed) == kClosed) return false;
    // Where this succeeds the job is still the one that the fields above were read from.
    if (!share.ticket.compare_exchange_strong(ticket, ticket + 1)) return true;
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
