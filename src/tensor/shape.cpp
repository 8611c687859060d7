#include <fmt/format.h>

#include <algorithm>

#include "kerf/error.h"
#include "kerf/tensor.h"

namespace kerf {

Shape::Shape(std::initializer_list<std::int64_t> dims)
    : Shape(std::span<const std::int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) {
  for (const std::int64_t dim : dims) push_back(dim);
}

void Shape::push_back(std::int64_t dim) { insert(rank_, dim); }

void Shape::insert(std::size_t axis, std::int64_t dim) {
  if (rank_ == kMaxRank) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("a tensor has more than {} dimensions", kMaxRank));
  }
  if (dim < kUnknown) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("a dimension is {}", dim));
  }
  std::copy_backward(dims_.begin() + axis, dims_.begin() + rank_, dims_.begin() + rank_ + 1);
  dims_[axis] = dim;
  ++rank_;
}

void Shape::erase(std::size_t axis) noexcept {
  std::copy(dims_.begin() + axis + 1, dims_.begin() + rank_, dims_.begin() + axis);
  --rank_;
}

bool Shape::is_static() const noexcept {
  return std::none_of(begin(), end(), [](std::int64_t dim) { return dim < 0; });
}

std::int64_t Shape::element_count() const {
  if (std::find(begin(), end(), 0) != end()) return 0;
  std::int64_t count = 1;
  for (const std::int64_t dim : *this) {
    if (__builtin_mul_overflow(count, dim, &count)) {
      throw Error(ErrorCode::kResourceExhausted,
                  fmt::format("a tensor of shape {} has too many elements", to_string()));
    }
  }
  return count;
}

bool Shape::accepts(const Shape& concrete) const noexcept {
  if (rank_ != concrete.rank_) return false;
  for (std::size_t i = 0; i < rank_; ++i) {
    if (dims_[i] != kUnknown && dims_[i] != concrete.dims_[i]) return false;
  }
  return true;
}

std::string Shape::to_string() const {
  std::string text = "(";
  for (std::size_t i = 0; i < rank_; ++i) {
    if (i != 0) text += ", ";
    text += dims_[i] == kUnknown ? "?" : std::to_string(dims_[i]);
  }
  return text + (rank_ == 1 ? ",)" : ")");
}

bool operator==(const Shape& a, const Shape& b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace kerf
