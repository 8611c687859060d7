#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;
using Kind = Binary::Kind;

Program check(const Program& before) {
  Program program = after({fuse_chains}, before);
  expect_same_results(before, program);
  return program;
}

TEST(FuseChains, RunsOfElementWiseOperations) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 4});
  const ValueId other = p.feed({kUnknown, 6, 4});
  ValueId y = p.relu(p.affine(x));
  y = p.add(Binary{Kind::kMultiply}, {y, p.scalar(3)});
  y = p.add(Binary{Kind::kSubtract}, {p.constant({4}), y});
  y = p.add(Binary{Kind::kMaximum}, {y, p.feed({kUnknown, 6, 4})});
  y = p.add(Binary{Kind::kDivide}, {y, p.constant({1, 1, 4})});
  y = p.add(Unary{{Function::kTanh}}, {p.add(Binary{Kind::kAdd}, {p.affine(y), x})});
  const Program program = check(p.build({y, other}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Chain affine, relu, multiply, swapped_subtract, maximum, divide, "
                          "affine, add, tanh"));
}

TEST(FuseChains, OneOperationIsNoChain) {
  TestProgram p;
  EXPECT_THAT(ops_of(check(p.build({p.relu(p.feed({kUnknown, 4}))}))), ElementsAre("Unary relu"));
}

TEST(FuseChains, AValueThatOthersReadEndsAChain) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId fetched = p.relu(p.affine(x));
  const ValueId y = p.add(Unary{{Function::kExp}}, {p.add(Unary{{Function::kTanh}}, {fetched})});
  EXPECT_THAT(ops_of(check(p.build({fetched, y}))),
              ElementsAre("Chain affine, relu", "Chain tanh, exp"));
}

TEST(FuseChains, OfTwoRunsTheLaterGoesOn) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId a = p.relu(p.affine(x));
  const ValueId b = p.add(Unary{{Function::kExp}}, {p.affine(x)});
  const ValueId y = p.add(Binary{Kind::kSubtract}, {a, b});
  EXPECT_THAT(ops_of(check(p.build({y}))),
              ElementsAre("Chain affine, relu", "Chain affine, exp, swapped_subtract"));
}

TEST(FuseChains, SquaresAndSumsOfTheSameValue) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId y = p.relu(p.add(Binary{Kind::kMultiply}, {x, x}));
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Chain multiply, relu"));
}

TEST(FuseChains, ScalarsOnTheLeftStayOnTheLeft) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4});
  const ValueId y =
      p.add(Unary{{Function::kTanh}}, {p.add(Binary{Kind::kSubtract}, {p.scalar(1), x})});
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Chain swapped_subtract, tanh"));
}

TEST(FuseChains, OperandsThatBroadcastOtherwiseStayOutside) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 6, 4});
  const ValueId gate = p.feed({kUnknown, 1, 4});
  const ValueId row = p.feed({4});
  const ValueId gated = p.relu(p.add(Binary{Kind::kMultiply}, {p.relu(x), gate}));
  const ValueId spread = p.relu(p.add(Binary{Kind::kAdd}, {p.relu(row), x}));
  const ValueId tested = p.add(Binary{Kind::kGreater}, {p.relu(x), p.scalar(0)});
  const Program program = check(p.build({gated, spread, tested}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Unary relu", "Binary multiply", "Unary relu", "Unary relu",
                          "Chain swapped_add, relu", "Unary relu", "Binary greater"));
}

}  // namespace
}  // namespace kerf::program
