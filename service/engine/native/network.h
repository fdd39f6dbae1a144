// The layers of a network as they are declared.
#pragma once

#include <memory>
#include <vector>

#include "layer.h"

namespace csrve {

// Value after value. Every method throws std::invalid_argument on a wrong number.
class Network {
  public:
    explicit Network(const Shape& input);
    Network(Network&&) = default;
    Network(const Network&) = delete;

    // Adds a layer whose output is a new value of that shape; returns its number.
    int64_t add(std::unique_ptr<Layer> layer, Shape shape);
    const Shape& shape(int64_t value) const;
    void free_after_last(int64_t value);

  private:
    friend class Plan;
    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<Demand> values_;
};

}  // namespace csrve
