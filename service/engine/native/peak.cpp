#include "peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fma.h"
#include "machine.h"

namespace csrve {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kRounds = 500000;  // a millisecond or so

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

FmaLoop loop_of(const std::string& instruction_set) {
    const Kernels* kernels = find_kernels(instruction_set);
    if (!kernels) throw std::invalid_argument("peak: this machine cannot run that instruction set");
#if defined(CSRVE_HAS_X86)
    if (std::string(kernels->name) == "avx512") return avx512_fma_loop;
    if (std::string(kernels->name) == "avx2") return avx2_fma_loop;
#endif
    return plain_fma_loop;
}

// Multiply-adds a second of threads that begin together, from then until the last one ends.
double measure(FmaLoop loop, int threads) {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::vector<int64_t> done(threads, 0);
    std::vector<float> sinks(threads, 0.0f);
    auto work = [&](int thread) {
        loop(kRounds / 10, &sinks[thread]);  // the clock rises
        sinks[thread] = 0.0f;
        ++ready;
        while (!go) std::this_thread::yield();
        done[thread] = loop(kRounds, &sinks[thread]);
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
    while (ready < threads - 1) std::this_thread::yield();
    loop(kRounds / 10, &sinks[0]);
    sinks[0] = 0.0f;
    const Clock::time_point start = Clock::now();
    go = true;
    done[0] = loop(kRounds, &sinks[0]);
    for (std::thread& other : others) other.join();
    const double seconds = seconds_since(start);
    int64_t total = 0;
    for (int64_t mine : done) total += mine;
    return static_cast<double>(total) / seconds;
}

}  // namespace

double peak_multiply_adds(const std::string& instruction_set, int threads, double seconds) {
    if (threads < 1) throw std::invalid_argument("peak: threads");
    const FmaLoop loop = loop_of(instruction_set);
    const Clock::time_point start = Clock::now();
    double best = 0.0;
    do best = std::max(best, measure(loop, threads));
    while (seconds_since(start) < seconds);
    return best;
}

}  // namespace csrve
