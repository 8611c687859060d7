#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "layers/registry.h"

namespace kerf::layers {

// x with a further, last axis of one element.
ValueId with_last_axis(LayerCall& call, ValueId x);

// Integer ids as floats over `depth` classes, in the way of an output_mode: "one_hot" each for
// itself, "multi_hot" (once "binary") and "count" those of a sample together. Ids outside of the
// classes count for none. Errors name the mode, or the field that the depth comes from.
ValueId encode_categories(LayerCall& call, ValueId ids, const std::string& mode, std::int64_t depth,
                          std::string_view depth_key);

}  // namespace kerf::layers
