#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "engine/plan.h"
#include "graph/cut.h"
#include "layers/lower.h"
#include "program/program.h"
#include "tests/support/run_memory.h"

namespace kerf::testing_support {

// Lowers, optimises, compiles and runs a cut once, on this thread.
inline std::vector<Tensor> run(const graph::Cut& cut, std::span<const Tensor> feeds,
                               program::ConstantCache& cache) {
  const auto program =
      std::make_shared<const program::Program>(program::optimize(layers::lower(cut, cache), cache));
  std::vector<Shape> shapes;
  for (const Tensor& feed : feeds) shapes.push_back(feed.shape());
  const auto plan = engine::Plan::compile(program, shapes, cache);
  std::vector<std::vector<std::byte>> converted;
  std::vector<const void*> feed_data;
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    converted.push_back(run_memory(feeds[i].cast(plan->feeds()[i].dtype)));
    feed_data.push_back(converted.back().data());
  }
  std::vector<std::vector<std::byte>> results;
  std::vector<void*> fetch_data;
  for (const program::ValueType& type : plan->fetches()) {
    results.emplace_back(static_cast<std::size_t>(type.shape.element_count()) *
                         element_size(type.dtype));
    fetch_data.push_back(results.back().data());
  }
  engine::Workspace workspace;
  const engine::RunStatus status =
      plan->run(feed_data, fetch_data, workspace.reserve(plan->workspace_bytes()));
  if (!status.ok) throw Error(ErrorCode::kInvalidArgument, status.message, status.source);
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < results.size(); ++i) {
    tensors.push_back(run_result(plan->fetches()[i], results[i]));
  }
  return tensors;
}

}  // namespace kerf::testing_support
