#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kerf {

enum class DType : std::uint8_t {
  kBool,
  kUInt8,
  kUInt16,
  kUInt32,
  kUInt64,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
  kString,
};

// Bytes per element of a Tensor; 0 for kString, whose elements vary.
std::size_t dtype_size(DType dtype) noexcept;
// Bytes per element in the memory of a run (Plan::run): dtype_size(), but for kString the size of
// a std::string_view, because there a string is a view of characters that lie elsewhere.
std::size_t element_size(DType dtype) noexcept;
// Keras' and NumPy's name ("float32"), and the Open Inference Protocol's ("FP32").
std::string_view dtype_name(DType dtype) noexcept;
std::string_view dtype_protocol_name(DType dtype) noexcept;
std::optional<DType> dtype_from_name(std::string_view name) noexcept;
std::optional<DType> dtype_from_protocol_name(std::string_view name) noexcept;
bool is_floating(DType dtype) noexcept;
bool is_integer(DType dtype) noexcept;

// The dimensions of a tensor, outermost first. A dimension that is only known per request (the
// batch, a sequence length) is kUnknown. A plain value; rank is at most kMaxRank.
class Shape {
 public:
  static constexpr std::int64_t kUnknown = -1;
  static constexpr std::size_t kMaxRank = 8;

  Shape() noexcept = default;
  // Throws Error(kUnsupported) above kMaxRank, Error(kInvalidArgument) for a dimension < -1.
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);

  std::size_t rank() const noexcept { return rank_; }
  std::int64_t operator[](std::size_t axis) const noexcept { return dims_[axis]; }
  std::int64_t& operator[](std::size_t axis) noexcept { return dims_[axis]; }
  const std::int64_t* begin() const noexcept { return dims_.data(); }
  const std::int64_t* end() const noexcept { return dims_.data() + rank_; }
  std::span<const std::int64_t> dims() const noexcept { return {dims_.data(), rank_}; }
  std::int64_t back() const noexcept { return dims_[rank_ - 1]; }

  void push_back(std::int64_t dim);
  void insert(std::size_t axis, std::int64_t dim);
  void erase(std::size_t axis) noexcept;

  bool is_static() const noexcept;  // no unknown dimension
  // Product of the dimensions (1 for rank 0). Precondition: is_static(). Throws
  // Error(kResourceExhausted) where the product overflows.
  std::int64_t element_count() const;
  // True if a tensor of shape `concrete` may stand where *this is declared: equal rank, and equal
  // dimensions wherever *this is known.
  bool accepts(const Shape& concrete) const noexcept;

  std::string to_string() const;  // "(?, 28, 28, 1)"
  friend bool operator==(const Shape& a, const Shape& b) noexcept;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  std::size_t rank_ = 0;
};

// An immutable, dense, row-major array that shares its storage: copying a Tensor copies a pointer.
// Any thread may read any Tensor. The storage may be a view into a mapped file or a larger buffer;
// it is kept alive by every Tensor over it.
//
// A string is any sequence of bytes, as in TensorFlow; text is UTF-8. kString tensors hold their
// elements as the Open Inference Protocol does: per element a little-endian uint32 length, then
// that many bytes. of_strings() makes one, strings() reads one.
class Tensor {
 public:
  Tensor() noexcept = default;
  // Takes shared ownership of `data`, which holds `bytes` bytes. Throws Error(kInvalidArgument)
  // unless `shape` is static and `bytes` is what shape and dtype need (any size for kString).
  Tensor(DType dtype, const Shape& shape, std::shared_ptr<const void> data, std::size_t bytes);
  // A tensor over a copy of `bytes`.
  static Tensor copy_of(DType dtype, const Shape& shape, std::span<const std::byte> bytes);
  template <typename T>
  static Tensor of(DType dtype, const Shape& shape, std::span<const T> values) {
    return copy_of(dtype, shape, std::as_bytes(values));
  }
  static Tensor floats(const Shape& shape, std::span<const float> values) {
    return of<float>(DType::kFloat32, shape, values);
  }
  // A kString tensor of these elements. Throws Error(kInvalidArgument) unless they are as many as
  // `shape` needs, Error(kResourceExhausted) for one that is longer than its length can say.
  static Tensor of_strings(const Shape& shape, std::span<const std::string_view> elements);

  bool empty() const noexcept { return data_ == nullptr; }
  DType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  std::size_t byte_size() const noexcept { return bytes_; }
  const std::byte* data() const noexcept { return static_cast<const std::byte*>(data_.get()); }
  std::span<const std::byte> bytes() const noexcept { return {data(), bytes_}; }
  // Elements as T. Precondition: sizeof(T) == dtype_size(dtype()).
  template <typename T>
  std::span<const T> as() const noexcept {
    return {reinterpret_cast<const T*>(data()), bytes_ / sizeof(T)};
  }
  // The elements of a kString tensor: views of its storage, valid while that is. Throws
  // Error(kInvalidArgument) where bytes() are not exactly the elements that shape() announces.
  std::vector<std::string_view> strings() const;
  const std::shared_ptr<const void>& storage() const noexcept { return data_; }

  // The same storage under another shape of equal element count.
  Tensor reshaped(const Shape& shape) const;
  // Converted element by element to `dtype` (numeric and bool types only).
  Tensor cast(DType dtype) const;

 private:
  DType dtype_ = DType::kFloat32;
  Shape shape_;
  std::shared_ptr<const void> data_;
  std::size_t bytes_ = 0;
};

}  // namespace kerf
