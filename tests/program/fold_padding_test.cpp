#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

using testing::ElementsAre;

Program check(const Program& before) {
  Program program = after({fold_padding}, before);
  expect_same_results(before, program);
  return program;
}

TEST(FoldPadding, ZerosBecomePaddingOfTheWindow) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 7, 6, 2});
  const ValueId padded = p.add(Pad{{0, 1, 2, 0}, {0, 0, 3, 0}}, {x});
  const ValueId y = p.conv(padded, 3, 3, Padding::kValid);
  const ValueId z = p.add(DepthwiseConv{.window = TestProgram::square(3, Padding::kValid)},
                          {padded, p.constant({3, 3, 2, 2})});
  const Program program = check(p.build({y, z}));
  EXPECT_THAT(ops_of(program),
              ElementsAre("Conv 3x3 padded 1x2:0x3 +bias", "DepthwiseConv 3x3 padded 1x2:0x3"));
}

TEST(FoldPadding, PaddingsAddUp) {
  TestProgram p;
  ValueId x = p.feed({kUnknown, 7, 6, 2});
  x = p.add(Pad{{0, 1, 1, 0}, {0, 1, 1, 0}}, {x});
  Window window = TestProgram::square(3, Padding::kExplicit);
  window.before = {1, 0, 0};
  const ValueId y = p.add(Conv{.window = window}, {x, p.constant({3, 3, 2, 3})});
  EXPECT_THAT(ops_of(check(p.build({y}))), ElementsAre("Conv 3x3 padded 2x1:1x1"));
}

TEST(FoldPadding, OtherPaddingsStay) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 7, 6, 2});
  const auto padded_conv = [&](Pad pad, Padding padding) {
    return p.conv(p.add(std::move(pad), {x}), 3, 3, padding);
  };
  const Program program =
      check(p.build({padded_conv({{0, 1, 1, 0}, {0, 1, 1, 0}}, Padding::kSame),
                     padded_conv({{0, 1, 1, 0}, {0, 1, 1, 0}, 2.0F}, Padding::kValid),
                     padded_conv({{0, 1, 1, 1}, {0, 1, 1, 0}}, Padding::kValid)}));
  EXPECT_EQ(program.instructions.size(), 6U);
}

TEST(FoldPadding, AMaximumOfWhatIsNeverNegativeMayLeaveZerosOut) {
  const auto pooled = [](const Activation& activation, std::int64_t cells) {
    TestProgram p;
    ValueId x = p.add(Unary{activation}, {p.feed({kUnknown, 7, 6, 2})});
    x = p.add(Pad{{0, cells, cells, 0}, {0, cells, cells, 0}}, {x});
    Window window = TestProgram::square(3, Padding::kValid);
    window.strides = {2, 2, 1};
    return check(p.build({p.add(Pool{.kind = Pool::Kind::kMax, .window = window}, {x})}))
        .instructions.size();
  };
  EXPECT_EQ(pooled(kRelu, 1), 2U);
  EXPECT_EQ(pooled({Function::kRelu, 0.1F, 6, 0}, 1), 3U) << "a slope lets negatives through";
  EXPECT_EQ(pooled({Function::kTanh}, 1), 3U);
  EXPECT_EQ(pooled(kRelu, 3), 3U) << "some windows lie in the padding alone";
}

TEST(FoldPadding, AFetchedPaddedTensorIsStillGiven) {
  TestProgram p;
  const ValueId x = p.feed({kUnknown, 7, 6, 2});
  const ValueId padded = p.add(Pad{{0, 1, 1, 0}, {0, 1, 1, 0}}, {x});
  const ValueId y = p.conv(padded, 3, 3, Padding::kValid);
  EXPECT_EQ(check(p.build({y, padded})).instructions.size(), 2U);
}

}  // namespace
}  // namespace kerf::program
