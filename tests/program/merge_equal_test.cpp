#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;

TEST(MergeEqual, TheSameMaskIsComputedOnce) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 5, 3});
  std::vector<ValueId> fetches;
  for (int i = 0; i < 3; ++i) {
    const ValueId differs = p.add(Binary{Binary::Kind::kNotEqual}, {x, p.scalar(0)});
    fetches.push_back(p.add(Reduce{Reduce::Kind::kAny, {2}, false}, {differs}));
  }
  const Program before = p.build(fetches);
  const Program program = after({merge_equal}, before);
  EXPECT_THAT(ops_of(program), ElementsAre("Binary not_equal", "Reduce any over 2"));
  expect_same_results(before, program, true);
}

TEST(MergeEqual, DifferentAttributesOperandsAndOrdersStayApart) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId y = p.feed({kUnknown, 4});
  const Program before = p.build(
      {p.add(Binary{Binary::Kind::kSubtract}, {x, y}),
       p.add(Binary{Binary::Kind::kSubtract}, {y, x}), p.add(Unary{{Function::kElu, 1}}, {x}),
       p.add(Unary{{Function::kElu, 2}}, {x}), p.add(Binary{Binary::Kind::kAdd}, {x, p.scalar(1)}),
       p.add(Binary{Binary::Kind::kAdd}, {x, p.scalar(2)})});
  const Program program = after({merge_equal}, before);
  EXPECT_EQ(program.instructions.size(), 6U);
  expect_same_results(before, program, true);
}

TEST(MergeEqual, SharedWeightsAreOneConstant) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {kUnknown, 40}});
  const std::vector<float> zeros(1600);
  const Constant weights = Tensor::floats({40, 40}, zeros);
  const Constant others = Tensor::floats({40, 40}, zeros);
  for (const Constant& tensor : {weights, weights, others}) {
    builder.fetch(builder.append(Linear{}, {x, builder.constant(tensor)}));
  }
  const Program program = after({merge_equal}, builder.build());
  EXPECT_EQ(program.instructions.size(), 2U) << "large constants are told by their identity";
}

}  // namespace
}  // namespace kerf::program
