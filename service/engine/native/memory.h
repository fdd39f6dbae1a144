// The memory that a plan keeps as long as it lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace csrve {

// Items that lie in a plan's memory.
template <typename Item>
struct Items {
    Item* first = nullptr;
    int64_t count = 0;

    Item* data() { return first; }
    const Item* data() const { return first; }
    int64_t size() const { return count; }
};

// One block for all that is expected, and more where it is not enough. The block lies in large pages, the last of them
// at least half full: to bring a thousand small ones takes longer than to write what lies there.
class Memory {
  public:
    explicit Memory(int64_t expected_bytes);
    Memory(const Memory&) = delete;
    ~Memory();

    // Of any value, from any thread.
    template <typename Item>
    Items<Item> take(int64_t count) {
        return {static_cast<Item*>(take_bytes(count * static_cast<int64_t>(sizeof(Item)))), count};
    }

  private:
    void* take_bytes(int64_t bytes);

    std::mutex mutex_;  // of what follows
    char* block_ = nullptr;
    int64_t size_ = 0, used_ = 0;
    std::vector<std::unique_ptr<std::max_align_t[]>> more_;
};

}  // namespace csrve
