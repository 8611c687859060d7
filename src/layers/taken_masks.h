#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "layers/model_spec.h"

namespace kerf::layers {

// From 3.8 on, Keras' MultiHeadAttention takes the masks off the tensors it is called with, so that
// calls which Keras makes later find none there. By call (layer, index), the tensors of
// CallSpec::refs to which that happened before.
using TakenMasks = std::map<std::pair<std::string, std::uint32_t>, std::set<std::size_t>>;
TakenMasks taken_masks(const ModelSpec& model, int keras_major, int keras_minor);

}  // namespace kerf::layers
