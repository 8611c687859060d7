#include <array>

#include "kerf/tensor.h"

namespace kerf {
namespace {

struct Names {
  DType dtype;
  std::size_t size;
  std::string_view name;
  std::string_view protocol;
};

// In the order of the enumeration.
constexpr std::array kTypes{
    Names{DType::kBool, 1, "bool", "BOOL"},         Names{DType::kUInt8, 1, "uint8", "UINT8"},
    Names{DType::kUInt16, 2, "uint16", "UINT16"},   Names{DType::kUInt32, 4, "uint32", "UINT32"},
    Names{DType::kUInt64, 8, "uint64", "UINT64"},   Names{DType::kInt8, 1, "int8", "INT8"},
    Names{DType::kInt16, 2, "int16", "INT16"},      Names{DType::kInt32, 4, "int32", "INT32"},
    Names{DType::kInt64, 8, "int64", "INT64"},      Names{DType::kFloat16, 2, "float16", "FP16"},
    Names{DType::kBFloat16, 2, "bfloat16", "BF16"}, Names{DType::kFloat32, 4, "float32", "FP32"},
    Names{DType::kFloat64, 8, "float64", "FP64"},   Names{DType::kString, 0, "string", "BYTES"},
};

const Names& names(DType dtype) noexcept { return kTypes[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t dtype_size(DType dtype) noexcept { return names(dtype).size; }
std::size_t element_size(DType dtype) noexcept {
  return dtype == DType::kString ? sizeof(std::string_view) : dtype_size(dtype);
}
std::string_view dtype_name(DType dtype) noexcept { return names(dtype).name; }
std::string_view dtype_protocol_name(DType dtype) noexcept { return names(dtype).protocol; }

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const Names& type : kTypes) {
    if (type.name == name) return type.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_protocol_name(std::string_view name) noexcept {
  for (const Names& type : kTypes) {
    if (type.protocol == name) return type.dtype;
  }
  return std::nullopt;
}

bool is_floating(DType dtype) noexcept {
  return dtype == DType::kFloat16 || dtype == DType::kBFloat16 || dtype == DType::kFloat32 ||
         dtype == DType::kFloat64;
}

bool is_integer(DType dtype) noexcept {
  return dtype != DType::kBool && dtype != DType::kString && !is_floating(dtype);
}

}  // namespace kerf
