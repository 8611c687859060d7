#include "protocol/classification.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "kerf/error.h"
#include "tensor/visit_integer.h"

namespace kerf::protocol {
namespace {

template <typename T>
void append_largest(std::span<const T> values, std::size_t most,
                    std::vector<std::string>& strings) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Of equal elements the first is first; what is no number is last.
  const auto larger = [&](std::size_t a, std::size_t b) {
    const bool a_is_nan = values[a] != values[a];
    const bool b_is_nan = values[b] != values[b];
    if (a_is_nan || b_is_nan) return a_is_nan == b_is_nan ? a < b : b_is_nan;
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  };
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(most);
  std::partial_sort(order.begin(), middle, order.end(), larger);
  for (auto it = order.begin(); it != middle; ++it) {
    if constexpr (std::is_floating_point_v<T>) {
      strings.push_back(fmt::format("{:f}:{}", values[*it], *it));
    } else {
      strings.push_back(fmt::format("{}:{}", values[*it], *it));
    }
  }
}

}  // namespace

Shape classify(const TensorInfo& tensor, const std::byte* data, std::uint64_t most,
               std::vector<std::string>& strings) {
  constexpr std::int64_t kMostElements = 1'000'000;
  const std::int64_t count = tensor.shape.element_count();
  if (count > kMostElements) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("classification takes at most {} elements, and these are {}",
                            kMostElements, count));
  }
  const bool batched = tensor.shape.rank() > 1;
  const std::int64_t batch = batched ? tensor.shape[0] : 1;
  const std::size_t each = batch == 0 ? 0 : static_cast<std::size_t>(count / batch);
  const std::size_t kept = std::min<std::uint64_t>(most, each);
  const auto append_all = [&](auto type) {
    using T = decltype(type);
    const T* values = reinterpret_cast<const T*>(data);
    for (std::int64_t sample = 0; sample < batch; ++sample, values += each) {
      append_largest<T>({values, each}, kept, strings);
    }
  };
  if (tensor.dtype == DType::kFloat32) {
    append_all(float{});
  } else if (tensor.dtype == DType::kFloat64) {
    append_all(double{});
  } else if (is_integer(tensor.dtype)) {
    visit_integer(tensor.dtype, append_all);
  } else {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("classification is for numbers, but this tensor is {}",
                            dtype_protocol_name(tensor.dtype)));
  }
  Shape shape;
  if (batched) shape.push_back(batch);
  shape.push_back(static_cast<std::int64_t>(kept));
  return shape;
}

}  // namespace kerf::protocol
