#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/plan.h"
#include "engine/thread_pool.h"
#include "graph/cut.h"
#include "graph/graph.h"
#include "kerf/model.h"
#include "program/program.h"

// What the public handles of kerf/model.h point to. All of it is immutable but the plan cache,
// which has a lock of its own.
namespace kerf {

struct Model::Impl {
  std::shared_ptr<const graph::Graph> graph;
  std::shared_ptr<program::ConstantCache> constants = std::make_shared<program::ConstantCache>();
  Precision precision = Precision::kFloat32;
  bool keep_exact = true;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
};

struct Cut::Impl {
  std::shared_ptr<const graph::Graph> graph;
  std::shared_ptr<program::ConstantCache> constants;
  Precision precision = Precision::kFloat32;
  bool keep_exact = true;
  graph::Cut cut;
  std::shared_ptr<const program::Program> program;
  std::vector<TensorInfo> feeds;
  std::vector<TensorInfo> fetches;
  std::vector<std::string> unused_feeds;

  // The plans used last, newest first. Few shapes are in use at a time, so a list is enough.
  static constexpr std::size_t kMaxPlans = 32;
  struct CachedPlan {
    std::vector<Shape> shapes;
    Plan plan;
  };
  mutable std::mutex mutex;
  mutable std::list<CachedPlan> plans;
};

struct Plan::Impl {
  std::shared_ptr<const engine::Plan> plan;
  std::vector<TensorInfo> feeds;
  std::vector<TensorInfo> fetches;
};

struct Threads::Impl {
  explicit Impl(unsigned count) : pool(count) {}
  engine::ThreadPool pool;
};

struct Workspace::Impl {
  engine::Workspace memory;
};

}  // namespace kerf
