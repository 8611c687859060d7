#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Program check(const Program& before) {
  Program program = after({simplify}, before);
  expect_same_results(before, program, true);
  return program;
}

std::int64_t copy(std::size_t axis) { return Reshape::copy(axis); }

TEST(Simplify, WhatChangesNothingGoes) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 2, 3});
  ValueId y = p.add(Unary{}, {x});
  y = p.add(Cast{DType::kFloat32}, {y});
  y = p.add(Reshape{{copy(0), 2, Reshape::kInfer}}, {y});
  y = p.add(Slice{.axis = 1, .begin = 0, .end = 2}, {y});
  y = p.add(Slice{.axis = 0}, {y});
  y = p.add(Pad{{0, 0, 0}, {0, 0, 0}}, {y});
  y = p.add(Tile{.axis = 2, .times = 1}, {y});
  y = p.add(Concat{-1}, {y});
  const Program program = check(p.build({y}));
  EXPECT_THAT(program.instructions, IsEmpty());
}

TEST(Simplify, NeutralConstantsGo) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 3});
  ValueId y = p.add(Binary{Binary::Kind::kAdd}, {p.scalar(0), x});
  y = p.add(Binary{Binary::Kind::kSubtract}, {y, p.scalar(0)});
  y = p.add(Binary{Binary::Kind::kMultiply}, {y, p.scalar(1)});
  y = p.add(Binary{Binary::Kind::kDivide}, {y, p.scalar(1)});
  const Program program = check(p.build({y}));
  EXPECT_THAT(program.instructions, IsEmpty());
}

TEST(Simplify, WhatLooksNeutralButIsNotStays) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 3});
  ValueId y = p.add(Binary{Binary::Kind::kSubtract}, {p.scalar(0), x});
  y = p.add(Binary{Binary::Kind::kDivide}, {p.scalar(1), y});
  y = p.add(Binary{Binary::Kind::kMultiply}, {y, p.scalar(0)});
  const float one = 1;
  ProgramBuilder wide;  // broadcasting to more dimensions is a change
  const ValueId narrow = wide.feed({DType::kFloat32, {3}});
  const ValueId ones = wide.constant(Tensor::floats(Shape{1, 1}, std::span(&one, 1)));
  wide.fetch(wide.append(Binary{Binary::Kind::kMultiply}, {narrow, ones}));
  EXPECT_EQ(check(p.build({y})).instructions.size(), 3U);
  EXPECT_EQ(check(wide.build()).instructions.size(), 1U);
}

TEST(Simplify, OneReshapeOfTwo) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4, 6});
  ValueId y = p.add(Reshape{{copy(0), 2, 2, copy(2)}}, {x});
  y = p.add(Reshape{{copy(0), Reshape::kInfer}}, {y});
  const ValueId z =
      p.add(Reshape{{copy(0), 2, copy(1)}}, {p.add(Reshape{{copy(0), Reshape::kInfer, 2}}, {x})});
  const Program program = check(p.build({y, z}));
  EXPECT_THAT(ops_of(program), ElementsAre("Reshape (#0, ?)", "Reshape (#0, 2, 12)"));
}

TEST(Simplify, ThereAndBackAgainIsNothing) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4, 6});
  ValueId y = p.add(Reshape{{copy(0), 24}}, {x});
  y = p.add(Reshape{{copy(0), 4, 6}}, {y});
  EXPECT_THAT(check(p.build({y})).instructions, IsEmpty());
}

TEST(Simplify, FoldingUndoesUnfolding) {
  TestProgram p;
  const ValueId x = p.feed({6, 5});
  const ValueId like = p.feed({2, 3, 4});
  ValueId y = p.add(Reshape{{Reshape::like(0), Reshape::like(1), copy(1)}}, {x, like});
  y = p.add(Reshape{{Reshape::kInfer, copy(2)}}, {y});
  EXPECT_THAT(check(p.build({y})).instructions, IsEmpty());
}

TEST(Simplify, ReshapesThatWouldLeaveTwoDimensionsOpenStay) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, kUnknown, 4});
  ValueId y = p.add(Reshape{{Reshape::kInfer, 2}}, {x});
  y = p.add(Reshape{{copy(0), 1, Reshape::kInfer}}, {y});
  EXPECT_EQ(check(p.build({y})).instructions.size(), 2U);
}

TEST(Simplify, AFetchOfWhatGoesIsAFetchOfItsOperand) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 3});
  const ValueId y = p.relu(x);
  const ValueId same = p.add(Unary{}, {y});
  const Program program = check(p.build({same, y}));
  EXPECT_EQ(program.fetches[0], program.fetches[1]);
}

}  // namespace
}  // namespace kerf::program
