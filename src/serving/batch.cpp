#include "serving/batch.h"

#include <algorithm>

namespace kerf::serving {
namespace {

// Longer runs gain little by being larger, and whoever comes meanwhile waits for their end.
constexpr double kLongSeconds = 20e-3;
// Nor may they take more memory than this for the tensors of the calls.
constexpr std::size_t kManyBytes = std::size_t{64} << 20;

std::size_t tensor_bytes(const Plan& plan) {
  std::size_t bytes = 0;
  for (const std::vector<TensorInfo>* tensors : {&plan.feeds(), &plan.fetches()}) {
    for (const TensorInfo& tensor : *tensors) {
      bytes += static_cast<std::size_t>(tensor.shape.element_count()) * element_size(tensor.dtype);
    }
  }
  return bytes;
}

}  // namespace

std::size_t Batch::bucket_of(std::int64_t rows) noexcept {
  const auto* it = std::ranges::lower_bound(kBucketRows, rows);
  return std::min<std::size_t>(static_cast<std::size_t>(it - kBucketRows.begin()),
                               kBucketRows.size() - 1);
}

Plan Batch::plan(std::size_t bucket) {
  const std::lock_guard lock(mutex_);
  std::optional<Plan>& plan = plans_[bucket];
  if (!plan) {
    std::vector<Shape> shapes = shapes_;
    for (Shape& shape : shapes) shape[0] = kBucketRows[bucket];
    plan = cut_.plan(shapes);
    const bool large = plan->estimated_seconds() > kLongSeconds || tensor_bytes(*plan) > kManyBytes;
    if (large && bucket != 0) {
      max_rows_.store(std::min(max_rows(), kBucketRows[bucket - 1]), std::memory_order_relaxed);
    }
  }
  return *plan;
}

}  // namespace kerf::serving
