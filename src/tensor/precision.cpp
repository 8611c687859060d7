#include "kerf/precision.h"

#include <array>

namespace kerf {

std::string_view precision_name(Precision precision) noexcept {
  switch (precision) {
    case Precision::kBfloat16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
    case Precision::kFloat32:
      break;
  }
  return "float32";
}

std::optional<Precision> parse_precision(std::string_view name) noexcept {
  for (const Precision precision :
       std::array{Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    if (name == precision_name(precision)) return precision;
  }
  return std::nullopt;
}

}  // namespace kerf
