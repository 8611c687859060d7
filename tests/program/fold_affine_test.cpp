#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;

Program check(const Program& before) {
  Program program = after({fold_affine}, before);
  expect_same_results(before, program);
  return program;
}

TEST(FoldAffine, GoesIntoTheProductBefore) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 6, 4});
  const ValueId conv = p.affine(p.conv(x, 5, 3));
  const ValueId plain = p.affine(
      p.add(Conv{.window = TestProgram::square(1), .groups = 2}, {x, p.constant({1, 1, 2, 6})}));
  const ValueId depthwise = p.affine(
      p.add(DepthwiseConv{.window = TestProgram::square(3)}, {x, p.constant({3, 3, 4, 2})}));
  const ValueId linear = p.affine(p.linear(x, 3));
  ConvTranspose op{.window = TestProgram::square(3, Padding::kValid), .extent = {3, 3, 1}};
  const ValueId transposed = p.affine(p.add(op, {x, p.constant({3, 3, 4, 5})}));
  const Program program = check(p.build({conv, plain, depthwise, linear, transposed}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Conv 3x3 same *scale +bias", "Conv 1x1 same in 2 groups +bias",
                          "DepthwiseConv 3x3 same +bias", "Linear *scale +bias",
                          "ConvTranspose 3x3 +bias"));
}

TEST(FoldAffine, GoesIntoTheProductAfterWhereNoPaddingIsRead) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 6, 4});
  const auto grouped = [&](Padding padding) {
    return p.add(Conv{.window = TestProgram::square(2, padding), .groups = 2},
                 {p.affine(x), p.constant({2, 2, 2, 6})});
  };
  const ValueId depthwise = p.add(DepthwiseConv{.window = TestProgram::square(3, Padding::kValid)},
                                  {p.affine(x), p.constant({3, 3, 4, 2})});
  const ValueId linear = p.linear(p.affine(x), 3);
  const Program program =
      check(p.build({grouped(Padding::kValid), grouped(Padding::kSame), depthwise, linear}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("DepthwiseConv 3x3 +bias", "Linear +bias", "Conv 2x2 in 2 groups +bias",
                          "Affine", "Conv 2x2 same in 2 groups"));
}

TEST(FoldAffine, AFactorAlonePassesPadding) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 6, 4});
  const ValueId scaled = p.add(Binary{Binary::Kind::kDivide}, {x, p.scalar(255)});
  EXPECT_THAT(ops_of(check(p.build({p.conv(scaled, 3, 3)}))), ElementsAre("Conv 3x3 same +bias"));
}

TEST(FoldAffine, OnlyAFactorGoesIntoATransposedConvolution) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4, 4, 3});
  ConvTranspose op{.window = TestProgram::square(2, Padding::kValid), .extent = {3, 3, 1}};
  const auto transposed = [&](ValueId of) { return p.add(op, {of, p.constant({2, 2, 3, 5})}); };
  const ValueId scaled = p.add(Binary{Binary::Kind::kMultiply}, {x, p.constant({3})});
  EXPECT_THAT(ops_of(check(p.build({transposed(scaled), transposed(p.affine(x))}))),
              ElementsAre("ConvTranspose 2x2", "Affine", "ConvTranspose 2x2"));
}

TEST(FoldAffine, SumsAndProductsWithConstantsAreAffine) {
  TestProgram p;
  using Kind = Binary::Kind;
  ValueId y = p.linear(p.feed({kUnknown, 5}), 3);
  y = p.add(Binary{Kind::kMultiply}, {p.scalar(3), y});
  y = p.add(Binary{Kind::kAdd}, {y, p.constant({3})});
  y = p.add(Binary{Kind::kSubtract}, {y, p.constant({1, 3})});
  y = p.add(Binary{Kind::kDivide}, {y, p.scalar(7)});
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Linear *scale +bias"));
}

TEST(FoldAffine, FactorsOfInputsAndOutputsMeet) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 5});
  const ValueId y = p.affine(p.linear(p.affine(x), 3));
  const ValueId z = p.add(Binary{Binary::Kind::kMultiply},
                          {p.affine(p.add(Linear{}, {x, p.constant({5, 4})})), p.scalar(2)});
  const ValueId wider = p.add(Binary{Binary::Kind::kMultiply},
                              {p.add(Linear{}, {x, p.constant({5, 7})}), p.scalar(2)});
  EXPECT_THAT(ops_of(check(p.build({y, z, wider}))),
              ElementsAre("Linear *scale +bias", "Linear *scale +bias", "Linear *scale"));
}

TEST(FoldAffine, TwoBecomeOne) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 5});
  ValueId y = p.add(Binary{Binary::Kind::kMultiply}, {x, p.scalar(0.5F)});
  y = p.affine(p.affine(p.add(Binary{Binary::Kind::kAdd}, {y, p.scalar(-1)})));
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Affine"));
}

TEST(FoldAffine, AFactorGoesIntoAMatrixProduct) {
  TestProgram p;
  const ValueId a = p.feed({kUnknown, 4, 6});
  const ValueId b = p.feed({kUnknown, 6, 5});
  ValueId y = p.add(Binary{Binary::Kind::kMultiply}, {p.add(MatMul{}, {a, b}), p.scalar(0.25F)});
  y = p.add(Binary{Binary::Kind::kAdd}, {y, p.scalar(1)});
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("MatMul *0.25", "Binary add"));
}

TEST(FoldAffine, AProductWithoutChannelsFoldsToo) {
  TestProgram p;
  const ValueId y = p.linear(p.affine(p.linear(p.feed({kUnknown, 5}), 0)), 2);
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Linear *scale +bias", "Linear +bias"));
}

// Features like years: a mean of 2020, and a deviation of 2.
TEST(FoldAffine, ALargeMeanIsSubtractedBeforeAnythingElse) {
  TestProgram p;
  using Kind = Binary::Kind;
  const ValueId x = p.feed({kUnknown, 3});
  const ValueId years = p.add(Binary{Kind::kSubtract}, {x, p.vector(3, 2020)});
  const ValueId normal = p.add(Binary{Kind::kDivide}, {years, p.vector(3, 2)});
  const ValueId pixels = p.add(Binary{Kind::kSubtract}, {x, p.vector(3, 120)});
  const ValueId scaled = p.add(Binary{Kind::kDivide}, {pixels, p.vector(3, 60)});
  const ValueId shifted = p.linear(p.add(Binary{Kind::kSubtract}, {x, p.scalar(2020)}), 4);
  Program program = after({fold_affine}, p.build({normal, scaled, shifted}));
  EXPECT_THAT(ops_of(program), ElementsAre("Binary subtract", "Binary divide", "Affine",
                                           "Binary subtract", "Linear +bias"));
}

TEST(FoldAffine, WhatOthersReadStays) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 5});
  const ValueId fetched = p.linear(x, 3);
  const ValueId shared = p.linear(x, 4);
  const ValueId activated = p.relu(p.linear(x, 2));
  const Program program = check(
      p.build({p.affine(fetched), fetched, p.affine(shared), p.relu(shared), p.affine(activated)}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Linear +bias", "Linear +bias", "Linear +bias", "Unary relu", "Affine",
                          "Affine", "Unary relu", "Affine"));
}

TEST(FoldAffine, OperandsThatBroadcastTheResultAreLeftAlone) {
  TestProgram p;
  const ValueId x = p.linear(p.feed({kUnknown, 5}), 1);
  const ValueId y = p.add(Binary{}, {x, p.constant({3})});
  const ValueId z = p.add(Binary{}, {p.linear(p.feed({kUnknown, 5}), 3), p.constant({3, 3})});
  EXPECT_EQ(check(p.build({y, z})).instructions.size(), 4U);
}

TEST(FoldAffine, AllProgramsOfAModelShareWhatIsFolded) {
  TestProgram p;
  const ValueId y = p.add(Binary{Binary::Kind::kMultiply},
                          {p.affine(p.linear(p.feed({kUnknown, 5}), 3)), p.scalar(2)});
  const Program program = p.build({y});
  ConstantCache cache;
  const auto folded = [&] {
    Program copy = program;
    fold_affine(copy, cache);
    return copy.values[copy.instructions.back().operands.back()].constant.identity();
  };
  const void* first = folded();
  const std::size_t bytes = cache.byte_size();
  EXPECT_EQ(folded(), first);
  EXPECT_EQ(cache.byte_size(), bytes);
}

}  // namespace
}  // namespace kerf::program
