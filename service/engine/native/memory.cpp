#include "memory.h"

#include <algorithm>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace csrve {

namespace {

constexpr int64_t kLargePage = int64_t{1} << 21;
constexpr int64_t kLine = 64;  // of the cache: what threads write side by side should not share one
constexpr std::align_val_t kAlignment{kLargePage};

}  // namespace

Memory::Memory(int64_t expected_bytes) {
    if (expected_bytes < kLargePage) return;
    size_ = expected_bytes + expected_bytes / 4;
    const int64_t large_pages = (size_ + kLargePage / 2) / kLargePage;
    size_ = std::max(size_, large_pages * kLargePage);
    block_ = static_cast<char*>(::operator new[](static_cast<size_t>(size_), kAlignment));
#if defined(MADV_HUGEPAGE)
    madvise(block_, static_cast<size_t>(large_pages * kLargePage), MADV_HUGEPAGE);  // if not, so be it
#endif
}

Memory::~Memory() {
    if (block_) ::operator delete[](block_, kAlignment);
}

void* Memory::take_bytes(int64_t bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    const int64_t first = used_, end = (first + bytes + kLine - 1) / kLine * kLine;
    if (end <= size_) {
        used_ = end;
        return block_ + first;
    }
    const size_t units = (static_cast<size_t>(bytes) + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
    more_.emplace_back(new std::max_align_t[units]);
    return more_.back().get();
}

}  // namespace csrve
