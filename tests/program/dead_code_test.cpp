#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;

TEST(RemoveDeadCode, DropsWhatNothingReads) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId unused_feed = p.feed({kUnknown, 2});
  p.linear(p.linear(x, 8), 3);
  const ValueId y = p.linear(x, 5);
  const Program before = p.build({y, unused_feed});
  const Program program = after({}, before);
  EXPECT_THAT(ops_of(program), ElementsAre("Linear +bias"));
  EXPECT_EQ(program.values.size(), 5U) << "two feeds, two weights, one result";
  expect_same_results(before, program, true);
}

TEST(RemoveDeadCode, KeepsFeedsThatNothingReads) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  p.feed({kUnknown, 7});
  const ValueId y = p.relu(x);
  const Program program = after({}, p.build({y}));
  ASSERT_EQ(program.feeds.size(), 2U);
  EXPECT_EQ(program.values[program.feeds[1]].type.shape, (Shape{kUnknown, 7}));
}

TEST(RemoveDeadCode, KeepsAllResultsOfAnInstructionOneOfWhichIsRead) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {kUnknown, 5, 2}});
  const auto weight = [&](const Shape& shape) {
    const std::vector<float> zeros(static_cast<std::size_t>(shape.element_count()));
    return builder.constant(Tensor::floats(shape, zeros));
  };
  const std::vector<ValueId> results =
      builder.append_all(Recurrent{}, {x, weight({2, 12}), weight({3, 12})});
  builder.fetch(results[2]);
  const Program program = after({}, builder.build());
  ASSERT_EQ(program.instructions.size(), 1U);
  EXPECT_EQ(program.instructions[0].results.size(), 3U);
  EXPECT_EQ(program.fetches[0], program.instructions[0].results[2]);
}

TEST(RemoveDeadCode, AFetchMayNameAFeedOrAConstantOrAValueTwice) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId c = p.constant({2});
  const ValueId y = p.relu(x);
  const Program program = after({}, p.build({y, c, x, y}));
  ASSERT_EQ(program.fetches.size(), 4U);
  EXPECT_TRUE(program.is_constant(program.fetches[1]));
  EXPECT_EQ(program.fetches[2], program.feeds[0]);
  EXPECT_EQ(program.fetches[0], program.fetches[3]);
}

}  // namespace
}  // namespace kerf::program
