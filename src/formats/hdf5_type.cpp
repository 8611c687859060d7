#include "formats/hdf5_type.h"

namespace kerf::formats::hdf5 {
namespace {

enum Class : std::uint8_t {
  kInteger = 0,
  kFloat = 1,
  kText = 3,
  kOpaque = 5,
  kEnumeration = 8,
  kVariable = 9,
};

Type number(DType dtype, std::uint32_t size, bool big_endian) {
  return {.kind = Type::Kind::kNumber, .size = size, .dtype = dtype, .big_endian = big_endian};
}

Type integer(std::uint32_t size, std::uint32_t bits, Cursor properties) {
  const auto offset = properties.take<std::uint16_t>();
  const auto precision = properties.take<std::uint16_t>();
  if (offset != 0 || precision != size * 8) return {.size = size};
  const bool is_signed = (bits & 8U) != 0;
  const bool big_endian = (bits & 1U) != 0;
  switch (size) {
    case 1:
      return number(is_signed ? DType::kInt8 : DType::kUInt8, size, big_endian);
    case 2:
      return number(is_signed ? DType::kInt16 : DType::kUInt16, size, big_endian);
    case 4:
      return number(is_signed ? DType::kInt32 : DType::kUInt32, size, big_endian);
    case 8:
      return number(is_signed ? DType::kInt64 : DType::kUInt64, size, big_endian);
    default:
      return {.size = size};
  }
}

Type floating(std::uint32_t size, std::uint32_t bits, Cursor properties) {
  properties.skip(4);
  const auto exponent_at = properties.take<std::uint8_t>();
  const auto exponent = properties.take<std::uint8_t>();
  const auto mantissa_at = properties.take<std::uint8_t>();
  const auto mantissa = properties.take<std::uint8_t>();
  const bool big_endian = (bits & 1U) != 0;
  const bool plain = (bits & 0x40U) == 0 && mantissa_at == 0 && exponent_at == mantissa &&
                     (bits >> 8U & 0xffU) == size * 8 - 1;
  if (!plain) return {.size = size};
  if (size == 2 && exponent == 5) return number(DType::kFloat16, size, big_endian);
  if (size == 2 && exponent == 8) return number(DType::kBFloat16, size, big_endian);
  if (size == 4 && exponent == 8) return number(DType::kFloat32, size, big_endian);
  if (size == 8 && exponent == 11) return number(DType::kFloat64, size, big_endian);
  return {.size = size};
}

}  // namespace

Type parse_type(std::span<const std::byte> message) {
  Cursor cursor(message);
  const auto head = cursor.take<std::uint32_t>();
  const auto size = cursor.take<std::uint32_t>();
  const std::uint32_t bits = head >> 8U;
  switch (head & 15U) {
    case kInteger:
      return integer(size, bits, cursor);
    case kFloat:
      return floating(size, bits, cursor);
    case kText:
      return {.kind = Type::Kind::kFixedText, .size = size};
    case kOpaque:  // how h5py stores bfloat16
      return size == 2 ? number(DType::kBFloat16, size, false) : Type{.size = size};
    case kEnumeration:  // bool
      return size == 1 ? number(DType::kBool, size, false) : Type{.size = size};
    case kVariable:
      return {.kind = (bits & 15U) == 1 ? Type::Kind::kVariableText : Type::Kind::kOther,
              .size = size};
    default:
      return {.size = size};
  }
}

Space parse_space(std::span<const std::byte> message) {
  Cursor cursor(message);
  const auto version = cursor.take<std::uint8_t>();
  const auto rank = cursor.take<std::uint8_t>();
  const bool bounded = (cursor.take<std::uint8_t>() & 1U) != 0;
  if (version == 1) {
    cursor.skip(5);
  } else if (version == 2) {
    if (cursor.take<std::uint8_t>() == 2) return {{0}, {0}};  // no elements at all
  } else {
    throw Damaged{"a dataspace has an unknown version"};
  }
  Space space;
  for (unsigned i = 0; i < rank; ++i) space.dims.push_back(cursor.take<std::uint64_t>());
  space.most = space.dims;
  if (bounded) {
    for (std::uint64_t& most : space.most) most = cursor.take<std::uint64_t>();
  }
  return space;
}

std::optional<std::uint64_t> count_of(std::span<const std::uint64_t> dims) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 48;
  std::uint64_t count = 1;
  bool empty = false;
  for (const std::uint64_t dim : dims) {
    if (dim > kLimit) return std::nullopt;
    empty = empty || dim == 0;
    if (__builtin_mul_overflow(count, dim == 0 ? 1 : dim, &count) || count > kLimit) {
      return std::nullopt;
    }
  }
  return empty ? 0 : count;
}

}  // namespace kerf::formats::hdf5
