#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/layers/run_layer.h"

// Operations that order, transform, segment and picture: against sums written out by hand.
namespace kerf::layers {
namespace {

using testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

LayerCase operation(const std::string& class_name, const std::string& config,
                    const std::string& args, std::vector<Tensor> inputs,
                    const std::string& kwargs = "{}") {
  return {.class_name = class_name,
          .config = config,
          .inputs = std::move(inputs),
          .arguments = R"({"args": [)" + args + R"(], "kwargs": )" + kwargs + "}",
          .module = "keras.src.ops"};
}

std::vector<Tensor> run_all(const std::string& class_name, const std::string& config,
                            const std::string& args, std::vector<Tensor> inputs) {
  return run_layer(operation(class_name, config, args, std::move(inputs))).outputs;
}
Tensor run(const std::string& class_name, const std::string& config, const std::string& args,
           std::vector<Tensor> inputs) {
  return run_all(class_name, config, args, std::move(inputs)).at(0);
}

std::string array(const std::string& values) {
  return R"({"class_name": "__numpy__", "config": {"value": )" + values +
         R"(, "dtype": "float32"}})";
}

TEST(OrderingTest, SortsAlongAnyAxis) {
  const Tensor x = floats({2, 3}, {3, 1, 2, 1, 5, 1});
  expect_tensor(run("Sort", R"({"axis": -1})", "$0", {x}), {2, 3}, Floats{1, 2, 3, 1, 1, 5});
  expect_tensor(run("Sort", R"({"axis": 0})", "$0", {x}), {2, 3}, Floats{1, 1, 1, 3, 5, 2});
  expect_tensor(run("Sort", R"({"axis": null})", "$0", {x}), {6}, Floats{1, 1, 1, 2, 3, 5});
  const Tensor order = run("Argsort", "{}", "$0", {x});
  EXPECT_EQ(order.dtype(), DType::kInt32);
  expect_tensor(order, {2, 3}, Floats{1, 2, 0, 0, 2, 1});
}

TEST(OrderingTest, GivesTheLargest) {
  const auto top = run_all("TopK", R"({"k": 2, "sorted": true})", "$0",
                           {floats({2, 4}, {1, 9, 3, 9, 0, -1, -2, 7})});
  expect_tensor(top.at(0), {2, 2}, Floats{9, 9, 7, 0});
  EXPECT_EQ(top.at(1).dtype(), DType::kInt32);
  expect_tensor(top.at(1), {2, 2}, Floats{1, 3, 3, 0});
  EXPECT_THAT(
      refusal_of(operation("TopK", R"({"k": 5})", "$0", {floats({1, 4}, {1, 2, 3, 4})})).what(),
      HasSubstr("5 elements of 4"));
  expect_tensor(run("InTopK", R"({"k": 2})", "$0, $1",
                    {ints({3}, {0, 1, 2}), floats({3, 3}, {1, 2, 3, 1, 2, 3, 1, 2, 3})}),
                {3}, Floats{0, 1, 1});
}

TEST(OrderingTest, TakesAlongAnAxis) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(run("TakeAlongAxis", R"({"axis": 1})", "$0, $1", {x, ints({2, 1}, {2, -3})}),
                {2, 1}, Floats{3, 4});
  expect_tensor(run("TakeAlongAxis", R"({"axis": 0})", "$0, $1", {x, ints({1, 3}, {1, 0, 1})}),
                {1, 3}, Floats{4, 2, 6});
}

TEST(OrderingTest, KnowsQuantiles) {
  const Tensor x = floats({2, 4}, {4, 1, 3, 2, 0, 10, 20, 30});
  expect_tensor(run("Median", R"({"axis": 1})", "$0", {x}), {2}, Floats{2.5F, 15});
  expect_tensor(run("Quantile", R"({"axis": 1, "method": "linear", "keepdims": true})",
                    "$0, " + array("[0.0, 0.25]"), {x}),
                {2, 2, 1}, Floats{1, 0, 1.75F, 7.5F});
  expect_tensor(run("Percentile", R"({"axis": 1, "method": "lower"})", "$0, 50.0", {x}), {2},
                Floats{2, 10});
  expect_tensor(run("SearchSorted", R"({"side": "left"})", array("[1, 3, 3, 5]") + ", $0",
                    {floats({1, 3}, {0, 3, 9})}),
                {1, 3}, Floats{0, 1, 4});
  expect_tensor(run("Digitize", "{}", "$0, " + array("[1, 3, 5]"), {floats({1, 3}, {0, 3, 9})}),
                {1, 3}, Floats{0, 2, 3});
}

TEST(SpectralTest, TransformsThereAndBack) {
  const Tensor x = floats({1, 4}, {1, 2, 0, -1});
  const auto bins = run_all("RFFT", R"({"fft_length": null})", "$0", {x});
  expect_tensor(bins.at(0), {1, 3}, Floats{2, 1, 0});
  expect_tensor(bins.at(1), {1, 3}, Floats{0, -3, 0});
  expect_tensor(run("IRFFT", "{}", "[$0, $1]", {bins[0], bins[1]}), {1, 4}, Floats{1, 2, 0, -1});
  const auto whole = run_all("FFT", "{}", "[$0, $1]", {x, floats({1, 4}, {0, 1, 0, 0})});
  // i times the second wave beside the transform of x.
  expect_tensor(whole.at(0), {1, 4}, Floats{2, 2, 0, 0});
  expect_tensor(whole.at(1), {1, 4}, Floats{1, -3, -1, 3});
  const auto square = run_all("FFT2", "{}", "[$0, $1]",
                              {floats({1, 2, 2}, {1, 2, 3, 4}), floats({1, 2, 2}, {0, 0, 0, 0})});
  expect_tensor(square.at(0), {1, 2, 2}, Floats{10, -2, -4, 0});
  const auto back = run_all("IFFT2", "{}", "[$0, $1]", {square[0], square[1]});
  expect_tensor(back.at(0), {1, 2, 2}, Floats{1, 2, 3, 4});
}

TEST(SpectralTest, CutsSequences) {
  expect_tensor(run("ExtractSequences", R"({"sequence_length": 3, "sequence_stride": 2})", "$0",
                    {floats({2, 5}, ramp(10, 0, 1))}),
                {2, 2, 3}, Floats{0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9});
  const auto stft = run_all("STFT",
                            R"({"sequence_length": 2, "sequence_stride": 2, "fft_length": 2,
                                "window": null, "center": false})",
                            "$0", {floats({1, 4}, {1, 2, 3, 5})});
  expect_tensor(stft.at(0), {1, 2, 2}, Floats{3, -1, 8, -2});
  EXPECT_EQ(stft.size(), 2U);
}

TEST(SegmentsTest, ReduceTheRowsOfOneId) {
  const Tensor rows = floats({4, 2}, {1, 2, 3, 4, 5, 6, -7, 8});
  const Tensor ids = ints({4}, {0, 2, 0, 2});
  const std::string config = R"({"num_segments": 3, "sorted": false})";
  expect_tensor(run("SegmentSum", config, "$0, $1", {rows, ids}), {3, 2},
                Floats{6, 8, 0, 0, -4, 12});
  expect_tensor(run("SegmentMax", config, "$0, $1", {rows, ids}), {3, 2},
                Floats{5, 6, -kInfinity, -kInfinity, 3, 8});
  expect_tensor(run("SegmentMin", config, "$0, $1", {rows, ids}), {3, 2},
                Floats{1, 2, kInfinity, kInfinity, -7, 4});
  expect_tensor(run("SegmentProd", config, "$0, $1", {ints({4}, {2, 3, 4, 5}), ids}), {3},
                Floats{8, 1, 15});
}

TEST(DiagonalsTest, AreTakenAndMade) {
  const Tensor x = floats({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(run("Tril", R"({"k": 0})", "$0", {x}), {1, 2, 3}, Floats{1, 0, 0, 4, 5, 0});
  expect_tensor(run("Triu", R"({"k": 1})", "$0", {x}), {1, 2, 3}, Floats{0, 2, 3, 0, 0, 6});
  const std::string last = R"({"offset": 1, "axis1": 1, "axis2": 2})";
  expect_tensor(run("Diagonal", last, "$0", {x}), {1, 2}, Floats{2, 6});
  expect_tensor(run("Diagonal", R"({"offset": -1, "axis1": 1, "axis2": 2})", "$0", {x}), {1, 1},
                Floats{4});
  expect_tensor(run("Trace", R"({"offset": 0, "axis1": 1, "axis2": 2})", "$0", {x}), {1},
                Floats{6});
}

TEST(ConvolutionOperationsTest, TakeAKernelFromTheFile) {
  const Tensor x = floats({1, 4, 1}, {1, 2, 3, 4});
  const std::string kernel = array("[[[1]], [[10]]]");
  expect_tensor(run("Conv", R"({"strides": 1, "padding": "valid"})", "$0, " + kernel, {x}),
                {1, 3, 1}, Floats{21, 32, 43});
  expect_tensor(run("Conv", R"({"padding": "same", "data_format": "channels_first"})",
                    "$0, " + kernel, {floats({1, 1, 4}, {1, 2, 3, 4})}),
                {1, 1, 4}, Floats{21, 32, 43, 4});
  expect_tensor(run("DepthwiseConv", R"({"padding": "valid"})", "$0, " + kernel, {x}), {1, 3, 1},
                Floats{21, 32, 43});
  expect_tensor(run("SeparableConv", R"({"padding": "valid"})",
                    "$0, " + kernel + ", " + array("[[[2, 3]]]"), {x}),
                {1, 3, 2}, Floats{42, 63, 64, 96, 86, 129});
  expect_tensor(run("ConvTranspose", R"({"strides": 2, "padding": "valid"})", "$0, " + kernel,
                    {floats({1, 2, 1}, {1, 2})}),
                {1, 4, 1}, Floats{1, 10, 2, 20});
  EXPECT_THAT(refusal_of(operation("Conv", "{}", "$0, $1", {x, floats({2, 1, 1}, {1, 2})})).what(),
              HasSubstr("computed"));
}

TEST(AttentionOperationTest, WeighsValuesByTheirKeys) {
  const Tensor q = floats({1, 1, 1, 2}, {1, 0});
  const Tensor k = floats({1, 2, 1, 2}, {2, 0, 0, 2});
  const Tensor v = floats({1, 2, 1, 1}, {10, 20});
  const float share = 1 / (1 + std::exp(-2.0F / std::sqrt(2.0F)));
  const std::string args = "$0, $1, $2, null, null, null";
  expect_tensor(run("DotProductAttention", "{}", args, {q, k, v}), {1, 1, 1, 1},
                Floats{10 * share + 20 * (1 - share)});
  expect_tensor(
      run("DotProductAttention", "{}", "$0, $1, $2, " + array("[[[[0, 100]]]]"), {q, k, v}),
      {1, 1, 1, 1}, Floats{20});
  expect_tensor(run("DotProductAttention", R"({"is_causal": true})", args, {q, k, v}), {1, 1, 1, 1},
                Floats{10});
}

TEST(ImageOperationsTest, ConvertColours) {
  const Tensor x = floats({1, 1, 2, 3}, {1, 0.5F, 0, 0.2F, 0.2F, 0.4F});
  expect_tensor(run("RGBToGrayscale", "{}", "$0", {x}), {1, 1, 2, 1},
                Floats{0.2989F + 0.2935F, 0.2F * 0.8859F + 0.4F * 0.114F});
  const Tensor hsv = run("RGBToHSV", "{}", "$0", {x});
  expect_tensor(hsv, {1, 1, 2, 3}, Floats{1.0F / 12, 1, 1, 2.0F / 3, 0.5F, 0.4F});
  expect_tensor(run("HSVToRGB", "{}", "$0", {hsv}), {1, 1, 2, 3},
                Floats{1, 0.5F, 0, 0.2F, 0.2F, 0.4F});
}

TEST(ImageOperationsTest, CutAndPad) {
  const Tensor x = floats({1, 2, 2, 1}, {1, 2, 3, 4});
  expect_tensor(run("PadImages", R"({"top_padding": 1, "left_padding": 0, "bottom_padding": 0,
                                     "right_padding": 1})",
                    "$0", {x}),
                {1, 3, 3, 1}, Floats{0, 0, 0, 1, 2, 0, 3, 4, 0});
  expect_tensor(run("CropImages", R"({"top_cropping": 1, "left_cropping": 0,
                                      "target_height": 1, "target_width": 1})",
                    "$0", {x}),
                {1, 1, 1, 1}, Floats{3});
  expect_tensor(run("ExtractPatches", R"({"size": [2, 1], "strides": null,
                                          "dilation_rate": 1, "padding": "valid"})",
                    "$0", {x}),
                {1, 1, 2, 2}, Floats{1, 3, 2, 4});
  expect_tensor(run("SpaceToDepth", R"({"block_size": 2})", "$0", {x}), {1, 1, 1, 4},
                Floats{1, 2, 3, 4});
  expect_tensor(
      run("DepthToSpace", R"({"block_size": 2})", "$0", {floats({1, 1, 2, 4}, ramp(8, 0, 1))}),
      {1, 2, 4, 1}, Floats{0, 1, 4, 5, 2, 3, 6, 7});
}

TEST(MoreOperationsTest, WorkElementByElement) {
  const Tensor x = floats({1, 3}, {-1, 0, 0.5F});
  expect_tensor(run("Erfc", "{}", "$0", {x}), {1, 3}, Floats{std::erfc(-1.0F), 1, std::erfc(0.5F)});
  expect_tensor(run("Erfinv", "{}", "$0", {x}), {1, 3}, Floats{-kInfinity, 0, 0.47693628F});
  expect_tensor(run("Cbrt", "{}", "$0", {floats({1, 2}, {-8, 27})}), {1, 2}, Floats{-2, 3});
  expect_tensor(run("Deg2rad", "{}", "$0", {floats({1, 1}, {180})}), {1, 1}, Floats{3.1415927F});
  expect_tensor(run("Sinc", "{}", "$0", {x}), {1, 3}, Floats{0, 1, 0.63661975F});
  expect_tensor(run("NanToNum", R"({"nan": 7.0, "posinf": 8.0, "neginf": null})", "$0",
                    {floats({1, 3}, {kNan, kInfinity, 1})}),
                {1, 3}, Floats{7, 8, 1});
  expect_tensor(run("Logaddexp", "{}", "$0, 0", {x}), {1, 3},
                Floats{std::log1p(std::exp(-1.0F)), std::log(2.0F), 0.974077F});
  expect_tensor(run("Hypot", "{}", "$0, $1", {floats({1, 2}, {3, 0}), floats({1, 2}, {-4, 0})}),
                {1, 2}, Floats{5, 0});
  expect_tensor(run("Heaviside", "{}", "$0, 0.25", {x}), {1, 3}, Floats{0, 0.25F, 1});
  expect_tensor(run("Fmax", "{}", "$0, 0", {floats({1, 3}, {kNan, -1, 2})}), {1, 3},
                Floats{0, 0, 2});
  expect_tensor(run("Fmod", "{}", "$0, 3", {floats({1, 2}, {-7, 7})}), {1, 2}, Floats{-1, 1});
  expect_tensor(run("Isclose", "{}", "$0, 1", {floats({1, 3}, {1, 1.000001F, 1.1F})}), {1, 3},
                Floats{1, 1, 0});
  expect_tensor(run("Select", "{}", "[$0, $1], [1, 2], 3",
                    {ints({1, 3}, {0, 1, 1}), ints({1, 3}, {0, 0, 1})}),
                {1, 3}, Floats{3, 1, 1});
  const Tensor i = ints({1, 3}, {6, -1, 3});
  expect_tensor(run("BitwiseAnd", "{}", "$0, 5", {i}), {1, 3}, Floats{4, 5, 1});
  expect_tensor(run("BitwiseInvert", "{}", "$0", {i}), {1, 3}, Floats{-7, 0, -4});
  expect_tensor(run("RightShift", "{}", "$0, 1", {i}), {1, 3}, Floats{3, -1, 1});
}

TEST(MoreOperationsTest, ReduceAndCompare) {
  const Tensor x = floats({2, 3}, {1, kNan, 3, 4, 5, 9});
  expect_tensor(run("Nansum", R"({"axis": 1})", "$0", {x}), {2}, Floats{4, 18});
  expect_tensor(run("Nanmean", R"({"axis": 1, "keepdims": true})", "$0", {x}), {2, 1},
                Floats{2, 6});
  expect_tensor(run("Nanmax", R"({"axis": 0})", "$0", {x}), {3}, Floats{4, 5, 9});
  expect_tensor(run("Nanvar", R"({"axis": 1})", "$0", {x}), {2}, Floats{1, 14.0F / 3});
  const Tensor y = floats({2, 3}, {1, 2, 4, 8, 16, 32});
  expect_tensor(run("Ptp", R"({"axis": 1})", "$0", {y}), {2}, Floats{3, 24});
  expect_tensor(run("Average", R"({"axis": 1})", "$0, " + array("[1, 1, 2]"), {y}), {2},
                Floats{2.75F, 22});
  expect_tensor(run("Diff", R"({"n": 1, "axis": -1})", "$0", {y}), {2, 2}, Floats{1, 2, 8, 16});
  expect_tensor(run("Trapezoid", R"({"dx": 2.0, "axis": -1})", "$0", {y}), {2}, Floats{9, 72});
}

TEST(MoreOperationsTest, StackTurnAndMultiply) {
  const Tensor x = floats({2, 2}, {1, 2, 3, 4});
  expect_tensor(run("Hstack", "{}", "[$0, $0]", {x}), {2, 4}, Floats{1, 2, 1, 2, 3, 4, 3, 4});
  expect_tensor(run("Dstack", "{}", "[$0, $0]", {x}), {2, 2, 2}, Floats{1, 1, 2, 2, 3, 3, 4, 4});
  expect_tensor(run("Append", R"({"axis": null})", "$0, 5.0", {x}), {5}, Floats{1, 2, 3, 4, 5});
  expect_tensor(run("Rot90", R"({"k": 1, "axes": [0, 1]})", "$0", {x}), {2, 2}, Floats{2, 4, 1, 3});
  expect_tensor(run("Rot90", R"({"k": -1})", "$0", {x}), {2, 2}, Floats{3, 1, 4, 2});
  expect_tensor(run("Fliplr", "{}", "$0", {x}), {2, 2}, Floats{2, 1, 4, 3});
  const auto parts = run_all("ArraySplit", R"({"indices_or_sections": 2, "axis": 1})", "$0",
                             {floats({1, 3}, {1, 2, 3})});
  expect_tensor(parts.at(0), {1, 2}, Floats{1, 2});
  expect_tensor(parts.at(1), {1, 1}, Floats{3});
  expect_tensor(run("Inner", "{}", "$0, $0", {x}), {2, 2}, Floats{5, 11, 11, 25});
  expect_tensor(run("Vdot", "{}", "$0, $0", {x}), {}, Floats{30});
  expect_tensor(
      run("Cross", R"({"axis": -1})", "$0, " + array("[[0, 1, 0]]"), {floats({1, 3}, {1, 0, 2})}),
      {1, 3}, Floats{-2, 0, 1});
  expect_tensor(run("Kron", "{}", "$0, " + array("[[1, 10]]"), {x}), {2, 4},
                Floats{1, 10, 2, 20, 3, 30, 4, 40});
  expect_tensor(
      run("MultiHot", R"({"num_classes": 4, "axis": -1})", "$0", {ints({2, 2}, {0, 2, 3, 3})}),
      {2, 4}, Floats{1, 0, 1, 0, 0, 0, 0, 1});
}

}  // namespace
}  // namespace kerf::layers
