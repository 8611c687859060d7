#include <gmock/gmock.h>

#include "kerf/error.h"
#include "program/op.h"

namespace kerf::program {
namespace {

constexpr std::int64_t kUnknown = Shape::kUnknown;

ValueType f(const Shape& shape) { return {DType::kFloat32, shape}; }
ValueType b(const Shape& shape) { return {DType::kBool, shape}; }

Shape shape_of(const Op& op, const std::vector<ValueType>& operands) {
  return infer(op, operands).front().shape;
}

// The message of the error that infer() gives.
std::string refusal(const Op& op, const std::vector<ValueType>& operands) {
  try {
    infer(op, operands);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.message();
  }
  ADD_FAILURE() << describe(op) << " was not refused";
  return {};
}

Window window(std::int64_t size, std::int64_t stride, Padding padding) {
  return {.rank = 2, .size = {size, size, 1}, .strides = {stride, stride, 1}, .padding = padding};
}

TEST(Infer, LinearReplacesTheLastDimension) {
  EXPECT_EQ(shape_of(Linear{}, {f({kUnknown, 7, 3}), f({3, 5})}), (Shape{kUnknown, 7, 5}));
  EXPECT_EQ(refusal(Linear{}, {f({kUnknown, 4}), f({3, 5})}),
            "an input of shape (?, 4) does not fit a kernel of shape (3, 5)");
  EXPECT_THAT(refusal(Linear{}, {b({2, 3}), f({3, 5})}), testing::HasSubstr("must be float32"));
}

TEST(Infer, EveryOpChecksHowManyOperandsItHas) {
  EXPECT_EQ(refusal(Linear{}, {f({1, 3})}), "Linear takes 2 operands, not 1");
  EXPECT_EQ(refusal(Linear{{.bias = true}}, {f({1, 3}), f({3, 5})}),
            "Linear takes 3 operands, not 2");
  EXPECT_EQ(refusal(Binary{}, {f({1})}), "Binary takes 2 operands, not 1");
  EXPECT_EQ(refusal(Select{}, {b({1}), f({1})}), "Select takes 3 operands, not 2");
  EXPECT_EQ(refusal(Unary{}, {f({1}), f({1})}), "Unary takes 1 operands, not 2");
  EXPECT_EQ(refusal(Concat{}, {}), "Concat takes 1 operands, not 0");
  EXPECT_EQ(refusal(Recurrent{.bias = true, .initial_state = true}, {f({1, 2, 3})}),
            "Recurrent takes 6 operands, not 1");
}

TEST(Infer, EpiloguesMustFitTheResult) {
  const Linear biased{{.bias = true}};
  EXPECT_EQ(shape_of(biased, {f({2, 3}), f({3, 5}), f({5})}), (Shape{2, 5}));
  EXPECT_EQ(refusal(biased, {f({2, 3}), f({3, 5}), f({4})}),
            "the bias has the shape (4,), but 5 channels are computed");
  const Linear summed{{.residual = true}};
  EXPECT_EQ(shape_of(summed, {f({kUnknown, 3}), f({3, 5}), f({2, 5})}), (Shape{kUnknown, 5}));
  EXPECT_EQ(refusal(summed, {f({2, 3}), f({3, 5}), f({1, 5})}),
            "the residual has the shape (1, 5), but the result has (2, 5)");
}

TEST(Infer, ConvolutionsFollowKerasPaddings) {
  // Output lengths by Keras: same ceil(n / s), valid floor((n - k) / s) + 1.
  const ValueType x = f({kUnknown, 9, 8, 4});
  const ValueType w = f({3, 3, 4, 6});
  EXPECT_EQ(shape_of(Conv{window(3, 2, Padding::kSame)}, {x, w}), (Shape{kUnknown, 5, 4, 6}));
  EXPECT_EQ(shape_of(Conv{window(3, 2, Padding::kValid)}, {x, w}), (Shape{kUnknown, 4, 3, 6}));
  Window wide = window(3, 1, Padding::kExplicit);
  wide.before = {1, 2, 0};
  wide.after = {0, 1, 0};
  EXPECT_EQ(shape_of(Conv{wide}, {x, w}), (Shape{kUnknown, 8, 9, 6}));
  EXPECT_EQ(shape_of(DepthwiseConv{window(3, 1, Padding::kSame)}, {x, f({3, 3, 4, 2})}),
            (Shape{kUnknown, 9, 8, 8}));
  const Conv causal{{.rank = 1, .size = {3}, .padding = Padding::kCausal}};
  EXPECT_EQ(shape_of(causal, {f({1, kUnknown, 2}), f({3, 2, 4})}), (Shape{1, kUnknown, 4}));
}

TEST(Infer, ConvolutionsRefuseWhatDoesNotFit) {
  const ValueType w = f({3, 3, 2, 6});
  EXPECT_EQ(shape_of(Conv{window(3, 1, Padding::kValid), 2}, {f({1, 5, 5, 4}), w}),
            (Shape{1, 3, 3, 6}));
  EXPECT_EQ(refusal(Conv{window(3, 1, Padding::kValid)}, {f({1, 5, 5, 4}), w}),
            "an input with 4 channels does not fit a kernel of shape (3, 3, 2, 6) in 1 groups");
  EXPECT_EQ(refusal(Conv{window(3, 1, Padding::kValid), 4}, {f({1, 5, 5, 8}), w}),
            "6 filters cannot be divided into 4 groups");
  EXPECT_EQ(refusal(Conv{window(3, 1, Padding::kValid)}, {f({1, 2, 5, 2}), w}),
            "a window of 3 does not fit into 2 cells");
  EXPECT_THAT(refusal(Conv{window(3, 0, Padding::kValid)}, {f({1, 5, 5, 2}), w}),
              testing::HasSubstr("out of range"));
  EXPECT_THAT(refusal(Pool{.window = {.rank = 4}}, {f({1, 5, 5, 5, 5, 2})}),
              testing::HasSubstr("1 to 3 axes"));
}

TEST(Infer, BroadcastsAsNumPyDoes) {
  EXPECT_EQ(shape_of(Binary{}, {f({kUnknown, 1, 3}), f({4, 3})}), (Shape{kUnknown, 4, 3}));
  EXPECT_EQ(shape_of(Binary{}, {f({kUnknown, 3}), f({})}), (Shape{kUnknown, 3}));
  EXPECT_EQ(infer(Binary{Binary::Kind::kLess}, {f({2}), f({1})}).front(), b({2}));
  EXPECT_EQ(refusal(Binary{}, {f({2, 3}), f({2, 4})}),
            "the shapes (2, 3) and (2, 4) do not fit together");
  EXPECT_EQ(refusal(Binary{}, {f({2}), b({2})}), "float32 and bool tensors cannot be combined");
  EXPECT_EQ(refusal(Binary{Binary::Kind::kAnd}, {f({2}), f({2})}),
            "and and or need bool tensors, not float32");
  EXPECT_EQ(refusal(Not{}, {f({2})}), "not needs a bool tensor, not float32");
  EXPECT_EQ(shape_of(Select{}, {b({kUnknown, 1}), f({1, 3}), f({})}), (Shape{kUnknown, 3}));
  EXPECT_THAT(refusal(Select{}, {f({2}), f({2}), f({2})}), testing::HasSubstr("not possible"));
}

TEST(Infer, ChainsCheckTheOperandsOfEveryStep) {
  using Step = Chain::Step;
  const Chain chain{{{.kind = Step::Kind::kUnary},
                     {.kind = Step::Kind::kBinary, .binary = Binary::Kind::kMultiply},
                     {.kind = Step::Kind::kAffine}}};
  const ValueType x = f({kUnknown, 3});
  EXPECT_EQ(shape_of(chain, {x, x, f({3}), f({3})}), (Shape{kUnknown, 3}));
  EXPECT_EQ(shape_of(chain, {x, f({}), f({3}), f({3})}), (Shape{kUnknown, 3}));
  EXPECT_EQ(shape_of(chain, {x, f({3}), f({3}), f({3})}), (Shape{kUnknown, 3}));
  EXPECT_EQ(refusal(chain, {x, f({}), f({3})}), "Chain takes 4 operands, not 3");
  EXPECT_THAT(refusal(chain, {x, f({2}), f({3}), f({3})}), testing::HasSubstr("does not fit"));
  EXPECT_THAT(refusal(chain, {x, f({}), f({3}), f({4})}), testing::HasSubstr("does not fit"));
  const Chain comparison{{{.kind = Step::Kind::kBinary, .binary = Binary::Kind::kLess}}};
  EXPECT_EQ(refusal(comparison, {x, x}), "a step of a chain must give floats");
}

TEST(Infer, ReshapeTakesDimensionsOfAnother) {
  const Reshape unfold{{Reshape::like(0), Reshape::like(1), Reshape::copy(1)}};
  EXPECT_EQ(shape_of(unfold, {f({kUnknown, 6}), f({kUnknown, kUnknown, 4})}),
            (Shape{kUnknown, kUnknown, 6}));
  EXPECT_EQ(shape_of(unfold, {f({6, 4}), f({2, 3, 9})}), (Shape{2, 3, 4}));
  EXPECT_THAT(refusal(unfold, {f({7, 4}), f({2, 3, 9})}), testing::HasSubstr("cannot be reshaped"));
  EXPECT_EQ(refusal(unfold, {f({6, 4})}), "Reshape takes 2 operands, not 1");
}

TEST(Infer, AttentionDividesChannelsIntoHeads) {
  const Attention op{.heads = 2, .key_heads = 1, .mask = true};
  const ValueType mask{DType::kBool, {1, 1, 5, 7}};
  EXPECT_EQ(shape_of(op, {f({kUnknown, 5, 8}), f({kUnknown, 7, 4}), f({kUnknown, 7, 3}), mask}),
            (Shape{kUnknown, 5, 6}));
  EXPECT_THAT(refusal(op, {f({1, 5, 8}), f({1, 7, 5}), f({1, 7, 3}), mask}),
              testing::HasSubstr("do not fit together"));
  EXPECT_THAT(refusal(op, {f({1, 4, 8}), f({1, 7, 4}), f({1, 7, 3}), mask}),
              testing::HasSubstr("does not fit scores"));
}

TEST(Infer, ReshapeWorksWithUnknownDimensions) {
  const auto copy = [](std::size_t axis) { return Reshape::copy(axis); };
  EXPECT_EQ(shape_of(Reshape{{copy(0), Reshape::kInfer}}, {f({kUnknown, 4, 5})}),
            (Shape{kUnknown, 20}));
  EXPECT_EQ(shape_of(Reshape{{copy(0), 2, Reshape::kInfer}}, {f({kUnknown, kUnknown, 4})}),
            (Shape{kUnknown, 2, kUnknown}));
  EXPECT_EQ(shape_of(Reshape{{copy(0), 5, 4}}, {f({0, 4, 5})}), (Shape{0, 5, 4}));
  EXPECT_EQ(refusal(Reshape{{copy(0), 3, 7}}, {f({kUnknown, 4, 5})}),
            "an input of shape (?, 4, 5) cannot be reshaped to (?, 3, 7)");
  EXPECT_EQ(refusal(Reshape{{copy(0), 3, Reshape::kInfer}}, {f({kUnknown, 4, 5})}),
            "an input of shape (?, 4, 5) cannot be reshaped to (?, 3, ?)");
  EXPECT_THAT(refusal(Reshape{{Reshape::kInfer, Reshape::kInfer}}, {f({4})}),
              testing::HasSubstr("more than one"));
  EXPECT_THAT(refusal(Reshape{{copy(3)}}, {f({4})}), testing::HasSubstr("does not have"));
}

TEST(Infer, SlicesConcatenationsAndPaddings) {
  EXPECT_EQ(shape_of(Slice{.axis = -1, .begin = 1, .end = -1}, {f({kUnknown, 6})}),
            (Shape{kUnknown, 4}));
  EXPECT_EQ(shape_of(Slice{.axis = 0, .begin = 1, .end = {}}, {f({kUnknown, 6})}),
            (Shape{kUnknown, 6}));
  EXPECT_EQ(shape_of(Slice{.axis = 1, .begin = 4, .end = 2}, {f({1, 6})}), (Shape{1, 0}));
  EXPECT_EQ(shape_of(Concat{1}, {f({kUnknown, 2}), f({3, 4})}), (Shape{3, 6}));
  EXPECT_EQ(shape_of(Concat{1}, {f({1, 2}), f({1, kUnknown})}), (Shape{1, kUnknown}));
  EXPECT_THAT(refusal(Concat{1}, {f({2, 2}), f({3, 4})}),
              testing::HasSubstr("cannot be concatenated along axis 1"));
  EXPECT_EQ(shape_of(Pad{{0, 1}, {0, 2}}, {f({kUnknown, 4})}), (Shape{kUnknown, 7}));
  EXPECT_THAT(refusal(Pad{{0, -1}, {0, 2}}, {f({1, 4})}), testing::HasSubstr("negative"));
  EXPECT_THAT(refusal(Slice{.axis = 2}, {f({1, 4})}), testing::HasSubstr("no axis 2"));
}

TEST(Infer, ReductionsKeepOrDropAxes) {
  EXPECT_EQ(shape_of(Reduce{Reduce::Kind::kMean, {1, 2}, false}, {f({kUnknown, 4, 5, 6})}),
            (Shape{kUnknown, 6}));
  EXPECT_EQ(shape_of(Reduce{Reduce::Kind::kMean, {1, 2}, true}, {f({kUnknown, 4, 5, 6})}),
            (Shape{kUnknown, 1, 1, 6}));
  EXPECT_THAT(refusal(Reduce{Reduce::Kind::kSum, {2, 1}, false}, {f({1, 2, 3})}),
              testing::HasSubstr("ascend"));
  EXPECT_THAT(refusal(Reduce{Reduce::Kind::kSum, {-1}, false}, {f({1, 2, 3})}),
              testing::HasSubstr("ascend"));
  EXPECT_THAT(refusal(Reduce{Reduce::Kind::kAny, {0}, false}, {f({1})}),
              testing::HasSubstr("bool"));
}

TEST(Infer, RecurrencesGiveSequencesAndStates) {
  const Recurrent lstm{.sequences = true, .bias = true, .mask = true};
  const std::vector<ValueType> operands{f({kUnknown, kUnknown, 3}), f({3, 16}), f({4, 16}), f({16}),
                                        b({kUnknown, kUnknown})};
  const std::vector<ValueType> results = infer(lstm, operands);
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].shape, (Shape{kUnknown, kUnknown, 4}));
  EXPECT_EQ(results[2].shape, (Shape{kUnknown, 4}));
  std::vector<ValueType> wrong = operands;
  wrong[3] = f({12});
  EXPECT_THAT(refusal(lstm, wrong), testing::HasSubstr("a bias of shape (12,) does not fit"));
  wrong = operands;
  wrong[4] = f({1, 2});
  EXPECT_THAT(refusal(lstm, wrong), testing::HasSubstr("a mask must be bool"));
}

TEST(Infer, SizesThatCouldOverflowAreRefused) {
  const std::int64_t large = kMaxDimension;
  EXPECT_EQ(shape_of(Unary{}, {f({large})}), (Shape{large}));
  EXPECT_THAT(refusal(Unary{}, {f({large + 1})}), testing::HasSubstr("too large"));
  EXPECT_THAT(refusal(Concat{0}, {f({large}), f({large})}), testing::HasSubstr("too large"));
  EXPECT_THAT(refusal(Tile{.axis = 0, .times = large}, {f({large})}),
              testing::HasSubstr("too large"));
  EXPECT_THAT(refusal(Pad{{large}, {large}}, {f({large})}), testing::HasSubstr("too large"));
  EXPECT_THAT(refusal(Reshape{{Reshape::kInfer}}, {f({large, large})}),
              testing::HasSubstr("too large"));
  EXPECT_THAT(refusal(DepthwiseConv{window(1, 1, Padding::kSame)},
                      {f({1, 1, 1, large}), f({1, 1, large, large})}),
              testing::HasSubstr("too large"));
}

TEST(Infer, TransposedConvolutionsAndResampling) {
  const ConvTranspose op{.window = window(3, 2, Padding::kValid), .extent = {3, 2, 1}};
  EXPECT_EQ(shape_of(op, {f({kUnknown, 4, kUnknown, 2}), f({3, 3, 2, 5})}),
            (Shape{kUnknown, 9, kUnknown, 5}));
  EXPECT_EQ(shape_of(op, {f({1, 0, 4, 2}), f({3, 3, 2, 5})}), (Shape{1, 0, 8, 5}));
  EXPECT_THAT(refusal(op, {f({1, 4, 4, 3}), f({3, 3, 2, 5})}), testing::HasSubstr("does not fit"));
  ConvTranspose far = op;
  far.crop[0] = -1;
  EXPECT_THAT(refusal(far, {f({1, 4, 4, 2}), f({3, 3, 2, 5})}), testing::HasSubstr("out of range"));
  using Kind = Resample::Kind;
  EXPECT_EQ(shape_of(Resample{.axis = 1, .factor = 3}, {f({kUnknown, 4})}), (Shape{kUnknown, 12}));
  EXPECT_EQ(shape_of(Resample{.kind = Kind::kMean, .axis = 1, .size = 3}, {f({2, kUnknown})}),
            (Shape{2, 3}));
  EXPECT_THAT(refusal(Resample{.axis = 0, .size = 3}, {f({0})}), testing::HasSubstr("no elements"));
  EXPECT_THAT(refusal(Resample{.axis = 2}, {f({1, 1})}), testing::HasSubstr("no axis"));
  EXPECT_THAT(refusal(Resample{.kind = Kind::kLinear}, {b({1})}), testing::HasSubstr("float32"));
  EXPECT_THAT(refusal(Resample{.factor = kMaxDimension}, {f({kMaxDimension})}),
              testing::HasSubstr("too large"));
}

TEST(Describe, NamesWhatIsFused) {
  Conv conv{window(3, 2, Padding::kSame)};
  conv.epilogue = {.bias = true, .residual = true, .activation = {Function::kRelu, 0, 6, 0}};
  EXPECT_EQ(describe(conv), "Conv 3x3/2 same +bias +residual +relu(max 6)");
  EXPECT_EQ(describe(Reduce{Reduce::Kind::kMean, {1, 2}, true}), "Reduce mean over 1,2 kept");
  EXPECT_EQ(describe(Reshape{{Reshape::copy(0), 3, Reshape::kInfer}}), "Reshape (#0, 3, ?)");
}

}  // namespace
}  // namespace kerf::program
