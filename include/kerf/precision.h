#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace kerf {

// In what the constant matrices of a model are kept and multiplied: those of dense layers, of
// convolutions that are not depthwise, and of recurrent layers. All else is float32 in any case.
enum class Precision : std::uint8_t {
  kFloat32,   // as the model was saved: the default
  kBfloat16,  // half the memory; where the machine multiplies bfloat16, inputs of products are
              // rounded too
  kInt8,      // a quarter, with a scale for each output channel; likewise for inputs, with a scale
              // and an offset for each row of a product
};

// "float32", "bf16", "int8".
std::string_view precision_name(Precision precision) noexcept;
std::optional<Precision> parse_precision(std::string_view name) noexcept;

}  // namespace kerf
