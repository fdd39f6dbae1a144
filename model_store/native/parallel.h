// A few threads for as long as one call takes: loading is rare, and threads that wait would be in somebody's way.
#pragma once

#include <system_error>
#include <thread>
#include <vector>

namespace csrve {

// body(part) for parts 0..count-1, the first on the caller's thread and each other one on its own. It must not throw.
template <typename Body>
void in_parallel(int count, const Body& body) {
    std::vector<std::thread> threads;
    threads.reserve(count);
    int part = 1;
    try {
        for (; part < count; ++part) threads.emplace_back(body, part);
    } catch (const std::system_error&) {  // there are no more threads: the caller does the rest
    }
    body(0);
    for (; part < count; ++part) body(part);
    for (std::thread& thread : threads) thread.join();
}

}  // namespace csrve
