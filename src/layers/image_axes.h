#pragma once

#include <numeric>

#include "layers/registry.h"

namespace kerf::layers {

// channels_first layers compute on channels-last data between two transpositions, which cancel
// between neighbouring layers.
inline ValueId to_channels_last(LayerCall& call, ValueId x) {
  std::vector<std::int64_t> permutation(call.shape(x).rank());
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.erase(permutation.begin() + 1);
  permutation.push_back(1);
  return call.ops().append(program::Transpose{std::move(permutation)}, {x});
}

inline ValueId to_channels_first(LayerCall& call, ValueId x) {
  std::vector<std::int64_t> permutation(call.shape(x).rank());
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.insert(permutation.begin() + 1, permutation.back());
  permutation.pop_back();
  return call.ops().append(program::Transpose{std::move(permutation)}, {x});
}

}  // namespace kerf::layers
