#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;

Program check(const Program& before) {
  Program program = after({fuse_epilogues}, before);
  expect_same_results(before, program);
  return program;
}

TEST(FuseEpilogues, FunctionsOfAProduct) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 6, 4});
  const ValueId conv = p.relu(p.conv(x, 5, 3));
  const ValueId depthwise = p.add(
      Unary{{Function::kTanh}},
      {p.add(DepthwiseConv{.window = TestProgram::square(3)}, {x, p.constant({3, 3, 4, 1})})});
  const ValueId linear = p.add(Unary{{Function::kSigmoid}}, {p.linear(x, 3)});
  const Program program = check(p.build({conv, depthwise, linear}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Conv 3x3 same +bias +relu", "DepthwiseConv 3x3 same +tanh",
                          "Linear +bias +sigmoid"));
}

TEST(FuseEpilogues, AResidualIsAddedBeforeTheFunction) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 6, 4});
  const ValueId y = p.relu(p.add(Binary{}, {x, p.conv(p.relu(p.conv(x, 4, 3)), 4, 3)}));
  const Program program = check(p.build({y}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Conv 3x3 same +bias +relu", "Conv 3x3 same +bias +residual +relu"));
  EXPECT_EQ(program.instructions[1].operands.back(), program.feeds[0]);
}

TEST(FuseEpilogues, AResidualStandsBeforeTheScale) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 6, 4});
  const Program before = p.build({p.relu(p.add(Binary{}, {x, p.affine(p.conv(p.relu(x), 4, 3))}))});
  const Program program = after({fold_affine, fuse_epilogues}, before);
  expect_same_results(before, program);
  EXPECT_THAT(ops_of(program),
              ElementsAre("Unary relu", "Conv 3x3 same *scale +bias +residual +relu"));
  expect_engine_agrees(program);
}

TEST(FuseEpilogues, AFunctionBeforeTheSumKeepsItOut) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId y = p.add(Binary{}, {p.relu(p.linear(x, 4)), x});
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Linear +bias +relu", "Binary add"));
}

TEST(FuseEpilogues, OnlyOneFunctionAndOneResidual) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId twice = p.add(Unary{{Function::kTanh}}, {p.relu(p.linear(x, 4))});
  const ValueId sums = p.add(Binary{}, {p.add(Binary{}, {p.linear(x, 4), x}), x});
  EXPECT_THAT(
      ops_of(check(p.build({twice, sums}))),
      ElementsAre("Linear +bias +relu", "Unary tanh", "Linear +bias +residual", "Binary add"));
}

TEST(FuseEpilogues, OfTwoProductsTheLaterOneAdds) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId first = p.linear(x, 3);
  const ValueId second = p.linear(x, 3);
  const Program program = check(p.build({p.add(Binary{}, {second, first})}));
  EXPECT_THAT(ops_of(program), ElementsAre("Linear +bias", "Linear +bias +residual"));
}

TEST(FuseEpilogues, AProductAddedToItselfStays) {
  TestProgram p;
  const ValueId y = p.linear(p.feed({kUnknown, 4}), 3);
  EXPECT_EQ(check(p.build({p.add(Binary{}, {y, y})})).instructions.size(), 2U);
}

TEST(FuseEpilogues, WhatOthersReadStays) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId fetched = p.linear(x, 3);
  const ValueId shared = p.linear(x, 3);
  const Program program =
      check(p.build({p.relu(fetched), fetched, p.relu(shared), p.affine(shared)}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Linear +bias", "Linear +bias", "Unary relu", "Unary relu", "Affine"));
}

TEST(FuseEpilogues, ASummandOfAnotherShapeIsNoResidual) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, kUnknown, 4});
  const ValueId one_step = p.feed({kUnknown, 1, 4});
  const ValueId other_length = p.feed({kUnknown, kUnknown, 4});
  const Program program = check(p.build({p.add(Binary{}, {p.linear(x, 4), one_step}),
                                         p.add(Binary{}, {p.linear(x, 4), p.constant({4})}),
                                         p.add(Binary{}, {p.linear(x, 4), other_length}),
                                         p.add(Binary{}, {p.linear(x, 4), x})}));
  EXPECT_EQ(program.instructions.size(), 7U) << program.to_string();
}

TEST(FuseEpilogues, UnknownSizesThatMustBeEqualAreEqual) {
  TestProgram p;
  const ValueId image = p.feed({kUnknown, kUnknown, kUnknown, 3});
  Window halving = TestProgram::square(3);
  halving.strides = {2, 2, 1};
  const auto halved = [&] {
    return p.add(Conv{.window = halving}, {image, p.constant({3, 3, 3, 4})});
  };
  const ValueId a = halved();
  const ValueId y = p.add(Binary{}, {p.conv(a, 4, 3), halved()});
  EXPECT_THAT(ops_of(check(p.build({y}))),
              ElementsAre("Conv 3x3/2 same", "Conv 3x3 same +bias", "Conv 3x3/2 same +residual"));
}

}  // namespace
}  // namespace kerf::program
