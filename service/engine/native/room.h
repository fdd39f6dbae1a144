// Memory that is not filled before it is written: of plain values, which are moved, never grown.
#pragma once

#include <cstdint>
#include <memory>

namespace csrve {

template <typename Item>
class Room {
  public:
    Room() = default;
    explicit Room(int64_t size) : items_(new Item[static_cast<size_t>(size)]), size_(size) {}

    Item* data() { return items_.get(); }
    const Item* data() const { return items_.get(); }
    int64_t size() const { return size_; }
    Item& operator[](int64_t at) { return items_[at]; }
    const Item& operator[](int64_t at) const { return items_[at]; }

    // Room for `size`, whose contents are lost.
    void demand(int64_t size) {
        if (size > size_) *this = Room(size);
    }

  private:
    std::unique_ptr<Item[]> items_;
    int64_t size_ = 0;
};

}  // namespace csrve
