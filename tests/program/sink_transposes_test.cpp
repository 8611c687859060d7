#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Transpose kToLast{{0, 2, 3, 1}};
const Transpose kToFirst{{0, 3, 1, 2}};

// A convolution of a channels_first layer.
ValueId conv_first(TestProgram& p, ValueId x, std::int64_t filters) {
  return p.add(kToFirst, {p.conv(p.add(kToLast, {x}), filters, 3)});
}

Program check(const Program& before) {
  Program program = after({sink_transposes}, before);
  expect_same_results(before, program);
  return program;
}

TEST(SinkTransposes, InversePairsCancel) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 2, 3, 4});
  const ValueId y = p.add(kToFirst, {p.add(kToLast, {x})});
  const Program program = check(p.build({y}));
  EXPECT_THAT(program.instructions, IsEmpty());
  EXPECT_EQ(program.fetches, program.feeds);
}

TEST(SinkTransposes, MovesPastResampling) {
  TestProgram p;
  const ValueId conv = conv_first(p, p.feed({kUnknown, 2, 3, 4}), 5);
  const Resample wider{.kind = Resample::Kind::kLinear, .axis = 3, .factor = 2};
  const Program program = check(p.build({conv_first(p, p.add(wider, {conv}), 2)}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Transpose (0,2,3,1)", "Conv 3x3 same +bias", "Resample linear by 2 of 2",
                          "Conv 3x3 same +bias", "Transpose (0,3,1,2)"));
}

TEST(SinkTransposes, AScalarMayBeTransposedToo) {
  TestProgram p;
  const ValueId sum = p.add(Reduce{Reduce::Kind::kSum, {0, 1}, false}, {p.feed({kUnknown, 2})});
  const Program program = check(p.build({p.relu(p.add(Transpose{}, {sum}))}));
  EXPECT_THAT(ops_of(program), ElementsAre("Reduce sum over 0,1", "Unary relu"));
}

TEST(SinkTransposes, TwoBecomeOne) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 2, 3, 4});
  const ValueId y = p.add(Transpose{{0, 2, 1, -1}}, {p.add(kToLast, {x})});
  const Program program = check(p.build({y}));
  EXPECT_THAT(ops_of(program), ElementsAre("Transpose (0,3,2,1)"));
}

TEST(SinkTransposes, ChannelsFirstLayersMeetAtTheEdgesOnly) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 3, 6, 6});
  const ValueId stem = p.relu(conv_first(p, x, 4));
  ValueId y = p.relu(conv_first(p, stem, 4));
  y = p.add(kToFirst, {p.affine(p.add(kToLast, {conv_first(p, y, 4)}))});
  y = p.relu(p.add(Binary{}, {y, stem}));
  y = p.add(Concat{1}, {y, p.add(Pad{{0, 0, 0, 0}, {0, 0, 0, 0}}, {stem})});
  const Program program = check(p.build({y}));
  EXPECT_THAT(
      ops_of(program),
      ElementsAre("Transpose (0,2,3,1)", "Conv 3x3 same +bias", "Unary relu", "Conv 3x3 same +bias",
                  "Unary relu", "Conv 3x3 same +bias", "Affine", "Binary add", "Unary relu",
                  "Pad (0,0,0,0):(0,0,0,0)", "Concat along 3", "Transpose (0,3,1,2)"));
}

TEST(SinkTransposes, ReductionsTakeTheAxesWhereTheyLie) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4, 6, 3});
  const ValueId first = p.add(kToFirst, {x});
  const ValueId pooled = p.add(Reduce{Reduce::Kind::kMean, {2, 3}, false}, {first});
  const ValueId kept = p.add(Reduce{Reduce::Kind::kMax, {2, 3}, true}, {first});
  const ValueId rows = p.add(Reduce{Reduce::Kind::kSum, {2}, false}, {first});
  const Program program = check(p.build({pooled, kept, rows}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Reduce mean over 1,2", "Reduce max over 1,2 kept", "Reduce sum over 1",
                          "Transpose (0,3,1,2)", "Transpose (0,2,1)"));
}

TEST(SinkTransposes, PaddingSlicesAndTilesFollowTheirAxes) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4, 6, 3});
  ValueId y = p.add(kToFirst, {x});
  y = p.add(Pad{{0, 0, 1, 2}, {0, 0, 0, 1}}, {y});
  y = p.add(Slice{.axis = 1, .begin = 1, .end = {}}, {y});
  y = p.add(Tile{.axis = -1, .times = 2}, {y});
  const Program program = check(p.build({y}));
  EXPECT_THAT(ops_of(program), ElementsAre("Pad (0,1,2,0):(0,0,1,0)", "Slice [1:] of 3",
                                           "Tile 2 times along 2", "Transpose (0,3,1,2)"));
}

TEST(SinkTransposes, OperationsAlongTheLastAxisStayWhereItIs) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 4, 6});
  const ValueId y = p.add(Softmax{}, {p.add(Transpose{{0, 2, 1}}, {x})});
  const ValueId z = p.affine(p.add(Transpose{{0, 2, 1}}, {x}));
  const Program program = check(p.build({y, z}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Transpose (0,2,1)", "Softmax over -1", "Transpose (0,2,1)", "Affine"));
}

TEST(SinkTransposes, DifferentOrdersAreNotMixed) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 3, 3, 3});
  const ValueId y = p.feed({kUnknown, 3, 3, 3});
  const ValueId z = p.add(Binary{}, {p.add(kToLast, {x}), p.add(kToFirst, {y})});
  const Program program = check(p.build({z}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Transpose (0,2,3,1)", "Transpose (0,3,1,2)", "Binary add"));
}

TEST(SinkTransposes, ProductsReadSwappedMatrices) {
  TestProgram p;
  const ValueId a = p.feed({kUnknown, 4, 6});
  const ValueId b = p.feed({kUnknown, 4, 5});
  const ValueId y = p.add(MatMul{.transpose_b = true},
                          {p.add(Transpose{{0, 2, 1}}, {a}), p.add(Transpose{{0, 2, 1}}, {b})});
  const Program program = check(p.build({y}));
  EXPECT_THAT(ops_of(program), ElementsAre("MatMul a^T"));
}

TEST(SinkTransposes, AFetchedTranspositionIsStillGiven) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 2, 3, 4});
  const ValueId turned = p.add(kToLast, {x});
  const ValueId y = p.relu(turned);
  const Program program = check(p.build({turned, y}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Unary relu", "Transpose (0,2,3,1)", "Transpose (0,2,3,1)"));
}

}  // namespace
}  // namespace kerf::program
