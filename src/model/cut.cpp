#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/placement.h"
#include "formats/keras_writer.h"
#include "model/impl.h"
#include "program/rows.h"

namespace kerf {
namespace {

// One per thread: run() is the convenient call; callers that count microseconds hold their own.
Workspace& thread_workspace() {
  thread_local Workspace workspace;
  return workspace;
}

std::vector<TensorInfo> with_types(std::vector<TensorInfo> infos,
                                   std::span<const program::ValueType> types) {
  for (std::size_t i = 0; i < infos.size(); ++i) {
    infos[i].dtype = types[i].dtype;
    infos[i].shape = types[i].shape;
  }
  return infos;
}

}  // namespace

const std::vector<TensorInfo>& Cut::feeds() const noexcept { return impl_->feeds; }
const std::vector<TensorInfo>& Cut::fetches() const noexcept { return impl_->fetches; }
const std::vector<std::string>& Cut::unused_feeds() const noexcept { return impl_->unused_feeds; }

Plan Cut::plan(std::span<const Shape> feed_shapes) const {
  const Impl& impl = *impl_;
  {
    const std::lock_guard lock(impl.mutex);
    for (auto it = impl.plans.begin(); it != impl.plans.end(); ++it) {
      if (std::ranges::equal(it->shapes, feed_shapes)) {
        impl.plans.splice(impl.plans.begin(), impl.plans, it);
        return it->plan;
      }
    }
  }
  // Compiled outside the lock: requests for other shapes go on. Two threads may compile the same
  // plan at once; both are right, and one stays.
  if (feed_shapes.size() != impl.feeds.size()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} tensors are fed, but the cut takes {}",
                                                         feed_shapes.size(), impl.feeds.size()));
  }
  for (std::size_t i = 0; i < feed_shapes.size(); ++i) {
    if (!impl.feeds[i].shape.accepts(feed_shapes[i])) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the tensor has shape {}, but {} is expected",
                              feed_shapes[i].to_string(), impl.feeds[i].shape.to_string()),
                  impl.feeds[i].name);
    }
  }
  auto compiled = std::make_shared<Plan::Impl>();
  compiled->plan =
      engine::Plan::compile(impl.program, feed_shapes, *impl.constants,
                            {.precision = impl.precision, .keep_exact = impl.keep_exact});
  compiled->feeds = with_types(impl.feeds, compiled->plan->feeds());
  compiled->fetches = with_types(impl.fetches, compiled->plan->fetches());
  Plan plan;
  plan.impl_ = std::move(compiled);

  const std::lock_guard lock(impl.mutex);
  impl.plans.push_front(
      {.shapes = std::vector<Shape>(feed_shapes.begin(), feed_shapes.end()), .plan = plan});
  if (impl.plans.size() > Impl::kMaxPlans) impl.plans.pop_back();
  return plan;
}

bool Cut::rows_are_independent(std::span<const Shape> feed_shapes) const {
  return feed_shapes.size() == impl_->feeds.size() &&
         program::rows_are_independent(*impl_->program, feed_shapes);
}

std::vector<Tensor> Cut::run(std::span<const Tensor> feeds, const Threads* threads) const {
  std::vector<Shape> shapes;
  shapes.reserve(feeds.size());
  for (const Tensor& feed : feeds) shapes.push_back(feed.shape());
  const Plan compiled = plan(shapes);

  std::vector<Tensor> converted(feeds.begin(), feeds.end());
  std::vector<std::vector<std::string_view>> strings;
  std::vector<const void*> feed_pointers;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const TensorInfo& wanted = compiled.feeds()[i];
    if ((wanted.dtype == DType::kString) != (feeds[i].dtype() == DType::kString)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} is fed, but the tensor is {}", dtype_name(feeds[i].dtype()),
                              dtype_name(wanted.dtype)),
                  wanted.name);
    }
    if (wanted.dtype == DType::kString) {
      strings.push_back(feeds[i].strings());
      feed_pointers.push_back(strings.back().data());
      continue;
    }
    converted[i] = feeds[i].cast(wanted.dtype);
    feed_pointers.push_back(converted[i].data());
  }
  std::vector<std::shared_ptr<std::byte[]>> storages;
  std::vector<void*> fetch_pointers;
  std::vector<std::size_t> sizes;
  for (const TensorInfo& fetch : compiled.fetches()) {
    const std::size_t bytes =
        static_cast<std::size_t>(fetch.shape.element_count()) * element_size(fetch.dtype);
    sizes.push_back(bytes);
    storages.emplace_back(new std::byte[std::max<std::size_t>(bytes, 1)]);
    fetch_pointers.push_back(storages.back().get());
  }
  compiled.run(feed_pointers, fetch_pointers, thread_workspace(), threads);
  std::vector<Tensor> results;
  for (std::size_t i = 0; i < storages.size(); ++i) {
    const TensorInfo& fetch = compiled.fetches()[i];
    if (fetch.dtype == DType::kString) {
      const auto* elements = reinterpret_cast<const std::string_view*>(storages[i].get());
      results.push_back(Tensor::of_strings(
          fetch.shape, {elements, static_cast<std::size_t>(fetch.shape.element_count())}));
      continue;
    }
    results.emplace_back(fetch.dtype, fetch.shape,
                         std::shared_ptr<const void>(storages[i], storages[i].get()), sizes[i]);
  }
  return results;
}

void Cut::write(const std::filesystem::path& file) const { formats::write_keras(impl_->cut, file); }

std::string Cut::program_text() const {
  return impl_->program->to_string() + engine::describe_placements(*impl_->program);
}

}  // namespace kerf
