#include "network.h"

#include <stdexcept>

namespace csrve {

Network::Network(const Shape& input) {
    values_.emplace_back();
    values_.back().shape = input;
    if (input.channels < 1 || input.height < 1 || input.width < 1) throw std::invalid_argument("network: input shape");
}

int64_t Network::add(std::unique_ptr<Layer> layer, Shape shape) {
    if (shape.channels < 1 || shape.height < 1 || shape.width < 1) throw std::invalid_argument("network: shape");
    for (int64_t input : layer->inputs) this->shape(input);
    const int64_t number = static_cast<int64_t>(values_.size());
    layer->output = number;
    values_.emplace_back();
    values_.back().shape = shape;
    layers_.push_back(std::move(layer));
    return number;
}

const Shape& Network::shape(int64_t value) const {
    if (value < 0 || value >= static_cast<int64_t>(values_.size())) throw std::invalid_argument("network: value");
    return values_[value].shape;
}

void Network::free_after_last(int64_t value) {
    shape(value);
    if (layers_.empty()) throw std::invalid_argument("network: no layer");
    layers_.back()->frees.push_back(value);
}

}  // namespace csrve
