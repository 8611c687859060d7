#include "tests/program/programs.h"

#include <gmock/gmock.h>

#include <cmath>
#include <memory>

#include "engine/plan.h"
#include "tests/engine/reference.h"

namespace kerf::program {
namespace {

// Random numbers, of the kind that a dtype takes.
Tensor random_tensor(const ValueType& type, std::mt19937& random) {
  Shape shape = type.shape;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] == kUnknown) shape[i] = 3;
  }
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
  std::uniform_real_distribution<float> distribution(-2, 2);
  for (float& value : values) value = distribution(random);
  const Tensor floats = Tensor::floats(shape, values);
  return type.dtype == DType::kFloat32 ? floats : floats.cast(type.dtype);
}

std::vector<Tensor> random_feeds(const Program& program) {
  std::mt19937 random{7};
  std::vector<Tensor> feeds;
  for (const ValueId feed : program.feeds) {
    feeds.push_back(random_tensor(program.values[feed].type, random));
  }
  return feeds;
}

void expect_equal(const std::vector<Tensor>& wanted, const std::vector<Tensor>& given, bool exact) {
  ASSERT_EQ(wanted.size(), given.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(wanted[i].dtype(), given[i].dtype()) << "fetch " << i;
    ASSERT_EQ(wanted[i].shape(), given[i].shape()) << "fetch " << i;
    if (exact || wanted[i].dtype() != DType::kFloat32) {
      EXPECT_TRUE(std::ranges::equal(wanted[i].bytes(), given[i].bytes())) << "fetch " << i;
      continue;
    }
    const auto a = wanted[i].as<float>();
    const auto b = given[i].as<float>();
    float largest = 0;
    for (const float value : a) largest = std::max(largest, std::abs(value));
    for (std::size_t k = 0; k < a.size(); ++k) {
      ASSERT_NEAR(a[k], b[k], 1e-5F * largest) << "fetch " << i << ", element " << k;
    }
  }
}

}  // namespace

void expect_same_results(const Program& expected, const Program& actual, bool exact) {
  SCOPED_TRACE(expected.to_string() + "----\n" + actual.to_string());
  ASSERT_EQ(expected.feeds.size(), actual.feeds.size());
  for (std::size_t i = 0; i < expected.feeds.size(); ++i) {
    ASSERT_EQ(expected.values[expected.feeds[i]].type, actual.values[actual.feeds[i]].type);
  }
  const std::vector<Tensor> feeds = random_feeds(expected);
  expect_equal(reference::evaluate(expected, feeds), reference::evaluate(actual, feeds), exact);
}

void expect_engine_agrees(const Program& program) {
  SCOPED_TRACE(program.to_string());
  const std::vector<Tensor> feeds = random_feeds(program);
  ConstantCache cache;
  std::vector<Shape> shapes;
  std::vector<const void*> inputs;
  for (const Tensor& feed : feeds) {
    shapes.push_back(feed.shape());
    inputs.push_back(feed.data());
  }
  const auto plan = engine::Plan::compile(std::make_shared<const Program>(program), shapes, cache);
  std::vector<std::vector<std::byte>> memory;
  std::vector<void*> outputs;
  for (const ValueType& fetch : plan->fetches()) {
    memory.emplace_back(static_cast<std::size_t>(fetch.shape.element_count()) *
                        dtype_size(fetch.dtype));
    outputs.push_back(memory.back().data());
  }
  engine::Workspace workspace;
  const engine::RunStatus status =
      plan->run(inputs, outputs, workspace.reserve(plan->workspace_bytes()));
  EXPECT_TRUE(status.ok) << status.message;
  std::vector<Tensor> results;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const ValueType& fetch = plan->fetches()[i];
    results.push_back(Tensor::copy_of(fetch.dtype, fetch.shape, memory[i]));
  }
  expect_equal(reference::evaluate(program, feeds), results, false);
}

}  // namespace kerf::program
