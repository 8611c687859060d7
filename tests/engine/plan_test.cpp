#include "engine/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <thread>

#include "kerf/error.h"
#include "tests/engine/reference.h"
#include "tests/engine/support.h"

namespace {
// Calls of operator new by the thread that counts them.
thread_local bool counting = false;
thread_local std::size_t allocations = 0;

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (counting) ++allocations;
  const std::size_t rounded =
      (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* memory = alignment <= alignof(std::max_align_t) ? std::malloc(rounded)
                                                        : std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

#ifdef __GNUC__
// gcc sees free() in an inlined operator delete, but not malloc() in its operator new.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif
void* operator new(std::size_t bytes) { return allocate(bytes, 1); }
void* operator new[](std::size_t bytes) { return allocate(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace kerf::engine {
namespace {

using program::Binary;
using program::Function;
using program::ProgramBuilder;
using program::Unary;
using program::ValueId;
using testing::HasSubstr;

const program::Op kTanh = Unary{{Function::kTanh}};
const program::Op kSquare = Unary{{Function::kSquare}};
const program::Op kAdd = Binary{Binary::Kind::kAdd};
const program::Op kMultiply = Binary{Binary::Kind::kMultiply};

void expect_reference(const program::Program& program, std::span<const Tensor> feeds) {
  SCOPED_TRACE(program.to_string());
  const std::vector<Tensor> got = run_program(program, feeds);
  const std::vector<Tensor> expected = reference::evaluate(program, feeds);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) expect_near(got[i], expected[i], 1e-5);
}

template <typename Body>
Error error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::kInternal, ""};
}

// Fetches of every kind at once: a feed, a constant, both twice, values that later steps read, and
// reshaped ones of all of these.
TEST(Plan, FetchesWhateverIsAskedFor) {
  Random random;
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {Shape::kUnknown, 6}});
  const ValueId constant = builder.constant(random.floats({6}));
  const program::Reshape split{{program::Reshape::copy(0), 2, 3}};
  const program::Reshape flat{{program::Reshape::kInfer}};
  const ValueId sum = builder.append(kAdd, {x, constant});
  const ValueId view = builder.append(split, {sum});
  const ValueId bent = builder.append(kTanh, {view});
  const ValueId flat_bent = builder.append(flat, {bent});
  const ValueId feed_view = builder.append(split, {x});
  const ValueId constant_view = builder.append(flat, {constant});
  const ValueId square = builder.append(kSquare, {feed_view});
  const ValueId total = builder.append(kAdd, {square, bent});
  for (const ValueId id : {x, constant, sum, view, sum, bent, flat_bent, feed_view, constant_view,
                           x, total, constant, flat_bent}) {
    builder.fetch(id);
  }
  const program::Program program = builder.build();
  for (const std::int64_t batch : {0, 1, 5}) {
    const std::vector<Tensor> feeds{random.floats({batch, 6})};
    expect_reference(program, feeds);
  }
}

TEST(Plan, FetchesAFeedWithoutAnyStep) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kInt64, {Shape::kUnknown}});
  builder.fetch(x);
  builder.fetch(builder.append(program::Reshape{{1, program::Reshape::kInfer}}, {x}));
  const std::vector<Tensor> feeds{Random().tensor(DType::kInt64, {4})};
  expect_reference(builder.build(), feeds);
}

// Straight-line programs of random ops, fetching random values: whatever the memory plan shares
// must not show.
TEST(Plan, RandomProgramsEqualTheReference) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto dim = [&] { return random.integer(1, 9); };
    ProgramBuilder builder;
    std::vector<ValueId> ids;
    std::vector<Tensor> feeds;
    for (std::int64_t i = random.integer(1, 3); i > 0; --i) {
      feeds.push_back(random.floats({dim(), dim()}));
      ids.push_back(builder.feed({DType::kFloat32, feeds.back().shape()}));
    }
    ids.push_back(builder.constant(random.floats({dim(), dim()})));
    for (std::int64_t i = random.integer(0, 25); i > 0; --i) {
      const auto any = [&] {
        return ids[static_cast<std::size_t>(
            random.integer(0, static_cast<std::int64_t>(ids.size()) - 1))];
      };
      const ValueId a = any();
      const Shape& shape = builder.type(a).shape;
      switch (random.integer(0, 9)) {
        case 0:
        case 1:
          ids.push_back(builder.append(kTanh, {a}));
          break;
        case 2:
          ids.push_back(builder.append(program::Transpose{{1, 0}}, {a}));
          break;
        case 3:
          ids.push_back(builder.append(program::Reshape{{shape[1], shape[0]}}, {a}));
          break;
        case 4:
          ids.push_back(builder.append(program::Concat{.axis = 0}, {a, a}));
          break;
        case 5:
          ids.push_back(builder.append(program::Slice{.axis = 1, .begin = -3}, {a}));
          break;
        case 6:
          ids.push_back(builder.append(program::Softmax{}, {a}));
          break;
        case 7:
          ids.push_back(
              builder.append(program::Reduce{program::Reduce::Kind::kMean, {1}, true}, {a}));
          break;
        default: {
          const ValueId b = any();
          const Shape& other = builder.type(b).shape;
          const bool fits = (shape[0] == other[0] || shape[0] == 1 || other[0] == 1) &&
                            (shape[1] == other[1] || shape[1] == 1 || other[1] == 1);
          ids.push_back(fits ? builder.append(i % 2 == 0 ? kAdd : kMultiply, {a, b})
                             : builder.append(kSquare, {builder.append(kTanh, {a})}));
        }
      }
      if (builder.type(ids.back()).shape.element_count() > 2000) ids.pop_back();
    }
    for (std::int64_t i = random.integer(1, 4); i > 0; --i) {
      builder.fetch(ids[static_cast<std::size_t>(
          random.integer(0, static_cast<std::int64_t>(ids.size()) - 1))]);
    }
    expect_reference(builder.build(), feeds);
    if (HasFailure()) return;
  }
}

TEST(Plan, OverwritesWhatDies) {
  ProgramBuilder builder;
  ValueId x = builder.feed({DType::kFloat32, {1000, 1000}});
  for (int i = 0; i < 10; ++i) x = builder.append(i % 2 == 0 ? kTanh : kSquare, {x});
  builder.fetch(builder.append(program::Reduce{program::Reduce::Kind::kSum, {0, 1}, false}, {x}));
  const std::vector<Shape> shapes{{1000, 1000}};
  const auto plan = compile(builder.build(), shapes);
  EXPECT_LT(plan->workspace_bytes(), 4'000'000U + 10'000U);
}

TEST(Plan, GivesReshapedValuesNoMemoryOfTheirOwn) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {100, 100}});
  const ValueId y = builder.append(kTanh, {x});
  const ValueId flat = builder.append(program::Reshape{{10000}}, {y});
  builder.fetch(builder.append(program::Reshape{{10, 1000}}, {flat}));
  const std::vector<Shape> shapes{{100, 100}};
  EXPECT_LT(compile(builder.build(), shapes)->workspace_bytes(), 1000U);
}

program::Program mixed_program() {
  Random random;
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {Shape::kUnknown, 16, 12}});
  ValueId y = builder.append(kTanh, {x});
  y = builder.append(program::Transpose{{0, 2, 1}}, {y});
  y = builder.append(program::LayerNorm{}, {y});
  const ValueId sums = builder.append(program::Reduce{program::Reduce::Kind::kSum, {2}, true}, {y});
  y = builder.append(kMultiply, {y, sums});
  y = builder.append(program::Concat{.axis = -1}, {y, y});
  y = builder.append(program::Softmax{}, {y});
  y = builder.append(kMultiply, {y, builder.constant(random.floats({32}))});
  builder.fetch(builder.append(program::L2Normalize{}, {y}));
  builder.fetch(sums);
  return builder.build();
}

TEST(Plan, ConcurrentRunsAreBitIdentical) {
  Random random;
  const std::vector<Tensor> feeds{random.floats({64, 16, 12})};
  const auto plan = compile(mixed_program(), shapes_of(feeds));
  const Outcome alone = run_plan(*plan, feeds);
  ThreadPool pool(3);
  std::atomic<int> different{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 10; ++round) {
        const Outcome outcome = run_plan(*plan, feeds, t % 2 == 0 ? &pool : nullptr);
        for (std::size_t i = 0; i < alone.fetches.size(); ++i) {
          if (!same_bits(outcome.fetches[i], alone.fetches[i])) ++different;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(different, 0);
}

TEST(Plan, RunsWithoutAllocating) {
  Random random;
  const std::vector<Tensor> feeds{random.floats({8, 16, 12})};
  const auto plan = compile(mixed_program(), shapes_of(feeds));
  Workspace workspace;
  workspace.reserve(plan->workspace_bytes());
  const std::vector<const void*> in{feeds[0].data()};
  std::vector<std::vector<float>> storage;
  std::vector<void*> out;
  for (const program::ValueType& type : plan->fetches()) {
    storage.emplace_back(static_cast<std::size_t>(type.shape.element_count()));
    out.push_back(storage.back().data());
  }
  ThreadPool pool(2);
  allocations = 0;
  counting = true;
  for (int i = 0; i < 3; ++i) {
    void* memory = workspace.reserve(plan->workspace_bytes());
    plan->run(in, out, memory);
    plan->run(in, out, memory, &pool);
  }
  counting = false;
  EXPECT_EQ(allocations, 0U);
}

TEST(Plan, ReportsBadDataByLayer) {
  Random random;
  ProgramBuilder builder;
  const ValueId ids = builder.feed({DType::kInt32, {Shape::kUnknown}});
  const ValueId floats = builder.feed({DType::kFloat32, {Shape::kUnknown}});
  const ValueId table = builder.constant(random.floats({1000, 4}));
  builder.set_source("embedding");
  builder.fetch(builder.append(program::Gather{}, {ids, table}));
  builder.set_source("other_embedding");
  builder.fetch(builder.append(program::Gather{}, {floats, table}));
  const std::vector<Shape> shapes{{3}, {2}};
  const auto plan = compile(builder.build(), shapes);
  const auto run = [&](std::vector<std::int32_t> a, std::vector<float> b) {
    const std::vector<Tensor> feeds{Tensor::of<std::int32_t>(DType::kInt32, {3}, a),
                                    Tensor::floats({2}, b)};
    return run_plan(*plan, feeds).status;
  };
  EXPECT_TRUE(run({0, 999, 5}, {0, 999.5F}).ok);
  RunStatus status = run({0, 1041, -1}, {0, 0});
  EXPECT_FALSE(status.ok);
  EXPECT_EQ(status.message, "id 1041 is outside the table of 1000 rows");
  EXPECT_EQ(status.source, "embedding");
  EXPECT_EQ(run({0, -3, 1041}, {0, 0}).message, "id -3 is outside the table of 1000 rows");
  status = run({0, 0, 0}, {0, std::nanf("")});
  EXPECT_EQ(status.message, "id nan is outside the table of 1000 rows");
  EXPECT_EQ(status.source, "other_embedding");
  EXPECT_FALSE(run({0, 0, 0}, {0, 1e30F}).ok);
  EXPECT_FALSE(run({0, 0, 0}, {0, -1}).ok);
}

TEST(Plan, RefusesShapesThatDoNotFit) {
  const std::vector<std::vector<Shape>> wrong{
      {}, {{2, 16}}, {{2, 16, 13}}, {{2, -1, 12}}, {{2, 16, 12}, {1}}};
  for (const std::vector<Shape>& shapes : wrong) {
    const Error error = error_of([&] { compile(mixed_program(), shapes); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
  }
}

TEST(Plan, RefusesWhatIsTooLarge) {
  const auto limited = [](const Shape& shape, std::size_t limit) {
    program::ConstantCache cache;
    const std::vector<Shape> shapes{shape};
    return Plan::compile(std::make_shared<program::Program>(mixed_program()), shapes, cache,
                         {.memory_limit = limit});
  };
  EXPECT_NO_THROW(limited({4, 16, 12}, 1 << 20));
  const auto code = [&](const Shape& shape, std::size_t limit) {
    return error_of([&] { limited(shape, limit); }).code();
  };
  EXPECT_EQ(code({4, 16, 12}, 3000), ErrorCode::kResourceExhausted);  // one tensor
  EXPECT_EQ(code({4, 16, 12}, 7000), ErrorCode::kResourceExhausted);  // all that live at once
  EXPECT_EQ(code({std::int64_t{1} << 40, 16, 12}, std::size_t{1} << 34),
            ErrorCode::kResourceExhausted);
  EXPECT_EQ(code({std::int64_t{1} << 60, 16, 12}, ~std::size_t{0}), ErrorCode::kResourceExhausted);
}

TEST(Plan, NamesTheLayerThatCannotBeCompiled) {
  ProgramBuilder builder;
  const ValueId a = builder.feed({DType::kFloat32, {Shape::kUnknown, 3}});
  const ValueId b = builder.feed({DType::kFloat32, {Shape::kUnknown, 3}});
  builder.set_source("add_7");
  builder.fetch(builder.append(kAdd, {a, b}));
  const std::vector<Shape> shapes{{2, 3}, {5, 3}};
  const program::Program program = builder.build();
  const Error error = error_of([&] { compile(program, shapes); });
  EXPECT_EQ(error.where(), "add_7");
  EXPECT_THAT(error.message(), HasSubstr("(2, 3)"));
}

TEST(Plan, ProfilesEachStep) {
  Random random;
  const std::vector<Tensor> feeds{random.floats({3, 16, 12})};
  const auto plan = compile(mixed_program(), shapes_of(feeds));
  std::vector<float> first(3 * 12 * 32);
  std::vector<float> second(3 * 12);
  const std::vector<const void*> in{feeds[0].data()};
  const std::vector<void*> out{first.data(), second.data()};
  Workspace workspace;
  std::vector<ProfileEntry> profile;
  ASSERT_TRUE(plan->run(in, out, workspace.reserve(plan->workspace_bytes()), nullptr, &profile).ok);
  ASSERT_EQ(profile.size(), 9U);
  EXPECT_EQ(profile[0].op, program::describe(kTanh));
  EXPECT_EQ(profile[0].flops, 3 * 16 * 12);
  double flops = 0;
  for (const ProfileEntry& entry : profile) {
    EXPECT_GE(entry.seconds, 0);
    flops += entry.flops;
  }
  EXPECT_EQ(flops, plan->flops());
  EXPECT_GT(plan->estimated_seconds(), 0);
}

TEST(Workspace, GrowsAndMoves) {
  Workspace workspace;
  void* first = workspace.reserve(100);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % Plan::kAlignment, 0U);
  EXPECT_EQ(workspace.reserve(50), first);
  EXPECT_NE(workspace.reserve(100000), nullptr);
  Workspace other = std::move(workspace);
  EXPECT_NE(other.reserve(100000), nullptr);
  EXPECT_NE(workspace.reserve(10), nullptr);  // NOLINT(bugprone-use-after-move)
}

}  // namespace
}  // namespace kerf::engine
