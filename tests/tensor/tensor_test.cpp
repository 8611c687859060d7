#include "kerf/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

#include "kerf/error.h"

namespace kerf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <typename Action>
Error error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::kInternal, ""};
}

TEST(DTypeTest, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(DType::kString); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    EXPECT_EQ(dtype_from_protocol_name(dtype_protocol_name(dtype)), dtype);
  }
  EXPECT_EQ(dtype_name(DType::kBFloat16), "bfloat16");
  EXPECT_EQ(dtype_protocol_name(DType::kFloat32), "FP32");
  EXPECT_EQ(dtype_protocol_name(DType::kString), "BYTES");
  EXPECT_EQ(dtype_from_name("FP32"), std::nullopt);
  EXPECT_EQ(dtype_size(DType::kString), 0U);
}

TEST(DTypeTest, EachIsBoolStringIntegerOrFloating) {
  EXPECT_TRUE(is_floating(DType::kFloat16));
  EXPECT_FALSE(is_integer(DType::kFloat16));
  EXPECT_TRUE(is_integer(DType::kUInt8));
  EXPECT_FALSE(is_integer(DType::kBool));
  EXPECT_FALSE(is_integer(DType::kString));
}

TEST(ShapeTest, ReadsAsPythonWritesIt) {
  EXPECT_EQ(Shape{}.to_string(), "()");
  EXPECT_EQ((Shape{3}).to_string(), "(3,)");
  EXPECT_EQ((Shape{Shape::kUnknown, 28, 1}).to_string(), "(?, 28, 1)");
}

TEST(ShapeTest, AcceptsWhatFitsItsUnknownDimensions) {
  const Shape declared{Shape::kUnknown, 3};
  EXPECT_TRUE(declared.accepts(Shape{7, 3}));
  EXPECT_FALSE(declared.accepts(Shape{7, 4}));
  EXPECT_FALSE(declared.accepts(Shape{7, 3, 1}));
}

TEST(ShapeTest, InsertsAndErases) {
  Shape shape{1, 2, 3};
  shape.insert(1, 9);
  EXPECT_EQ(shape, (Shape{1, 9, 2, 3}));
  shape.erase(0);
  EXPECT_EQ(shape, (Shape{9, 2, 3}));
}

TEST(ShapeTest, CountsWithoutOverflow) {
  EXPECT_EQ(Shape{}.element_count(), 1);
  EXPECT_EQ((Shape{2, 3}).element_count(), 6);
  const std::int64_t huge = std::int64_t{1} << 62;
  EXPECT_EQ((Shape{huge, huge, 0}).element_count(), 0);
  EXPECT_EQ(error_of([&] {
              static_cast<void>(Shape{huge, 4}.element_count());
            }).code(),
            ErrorCode::kResourceExhausted);
}

TEST(ShapeTest, RefusesNegativeAndTooManyDimensions) {
  EXPECT_EQ(error_of([] { Shape{-2}; }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }).code(), ErrorCode::kUnsupported);
}

TEST(TensorTest, SharesItsStorage) {
  const Tensor a = Tensor::floats({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  const Tensor b = a;
  const Tensor c = a.reshaped({3, 2});
  EXPECT_EQ(a.data(), b.data());
  EXPECT_EQ(a.data(), c.data());
  EXPECT_EQ(c.shape(), (Shape{3, 2}));
  EXPECT_EQ(error_of([&] {
              static_cast<void>(a.reshaped({4, 2}));
            }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(TensorTest, NeedsAsManyBytesAsItsShapeSays) {
  const Error error = error_of([] { Tensor::floats({3}, std::vector<float>{1, 2}); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message(), HasSubstr("float32 tensor of shape (3,) needs 12 bytes, not 8"));
  EXPECT_EQ(error_of([] { Tensor::floats({Shape::kUnknown}, std::vector<float>{1}); }).code(),
            ErrorCode::kInvalidArgument);
  const Shape huge{std::int64_t{1} << 62};
  EXPECT_EQ(error_of([&] { Tensor::floats(huge, {}); }).code(), ErrorCode::kResourceExhausted);
}

TEST(TensorTest, AnEmptyTensorHasStorage) {
  const Tensor none = Tensor::floats({0, 4}, {});
  EXPECT_FALSE(none.empty());
  EXPECT_TRUE(Tensor().empty());
}

TEST(CastTest, TruncatesAndSaturatesLikeAClampedCast) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor floats = Tensor::floats(
      {7}, std::vector<float>{1.9F, -1.9F, 300, -300, infinity, -infinity, std::nanf("")});
  EXPECT_THAT(floats.cast(DType::kInt8).as<std::int8_t>(),
              ElementsAre(1, -1, 127, -128, 127, -128, 0));
  EXPECT_THAT(floats.cast(DType::kUInt8).as<std::uint8_t>(), ElementsAre(1, 0, 255, 0, 255, 0, 0));
  EXPECT_THAT(floats.cast(DType::kBool).as<std::uint8_t>(), ElementsAre(1, 1, 1, 1, 1, 1, 1));
}

TEST(CastTest, KeepsSixtyFourBitIntegersExact) {
  const std::vector<std::int64_t> values{(std::int64_t{1} << 53) + 1, -5};
  const Tensor ints = Tensor::of<std::int64_t>(DType::kInt64, {2}, values);
  EXPECT_THAT(ints.cast(DType::kUInt64).cast(DType::kInt64).as<std::int64_t>(),
              ElementsAre(values[0], values[1]));
}

TEST(CastTest, AnyNonZeroByteIsTrue) {
  const std::vector<std::uint8_t> bytes{0, 1, 2, 255};
  const Tensor bools = Tensor::of<std::uint8_t>(DType::kBool, {4}, bytes);
  EXPECT_THAT(bools.cast(DType::kFloat32).as<float>(), ElementsAre(0, 1, 1, 1));
}

// Values and bit patterns of IEEE 754 binary16, and of the upper half of binary32.
TEST(CastTest, RoundsHalvesToNearestEven) {
  struct Case {
    float value;
    std::uint16_t half;
    std::uint16_t bfloat;
  };
  for (const Case& c :
       {Case{0.0F, 0x0000, 0x0000}, Case{-0.0F, 0x8000, 0x8000}, Case{1.0F, 0x3C00, 0x3F80},
        Case{-2.5F, 0xC100, 0xC020}, Case{65504.0F, 0x7BFF, 0x4780}, Case{65520.0F, 0x7C00, 0x4780},
        Case{5.9604645e-8F, 0x0001, 0x3380}, Case{2.9802322e-8F, 0x0000, 0x3300},
        Case{1.0009766F, 0x3C01, 0x3F80}, Case{1.00048828125F, 0x3C00, 0x3F80},
        Case{1.00390625F, 0x3C04, 0x3F80}, Case{1.01171875F, 0x3C0C, 0x3F82}}) {
    const Tensor one = Tensor::floats({1}, std::span(&c.value, 1));
    EXPECT_EQ(one.cast(DType::kFloat16).as<std::uint16_t>()[0], c.half) << c.value;
    EXPECT_EQ(one.cast(DType::kBFloat16).as<std::uint16_t>()[0], c.bfloat) << c.value;
  }
}

TEST(CastTest, EveryHalfSurvivesTheWayToFloatAndBack) {
  std::vector<std::uint16_t> bits;
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const bool nan = (i & 0x7C00U) == 0x7C00U && (i & 0x3FFU) != 0;
    if (!nan) bits.push_back(static_cast<std::uint16_t>(i));
  }
  const auto count = static_cast<std::int64_t>(bits.size());
  const Tensor halves = Tensor::of<std::uint16_t>(DType::kFloat16, {count}, bits);
  const Tensor back = halves.cast(DType::kFloat32).cast(DType::kFloat16);
  EXPECT_TRUE(std::ranges::equal(back.as<std::uint16_t>(), bits));
}

TEST(CastTest, StringsAreNotNumbers) {
  const Tensor text = Tensor::copy_of(DType::kString, {0}, {});
  EXPECT_EQ(error_of([&] { static_cast<void>(text.cast(DType::kFloat32)); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(ErrorTest, SaysWhereFromTheOutsideIn) {
  const Error inner(ErrorCode::kInvalidFile, "it is damaged", "layer 'a'");
  const Error outer = inner.within("model.keras");
  EXPECT_STREQ(outer.what(), "model.keras, layer 'a': it is damaged");
  EXPECT_EQ(outer.code(), ErrorCode::kInvalidFile);
  EXPECT_STREQ(Error(ErrorCode::kNotFound, "gone").what(), "gone");
  EXPECT_EQ(error_code_name(ErrorCode::kResourceExhausted), "RESOURCE_EXHAUSTED");
}

TEST(TensorTest, HoldsStrings) {
  const std::vector<std::string_view> texts{"a", "", std::string_view("x\0y", 3), "日本"};
  const Tensor tensor = Tensor::of_strings(Shape{2, 2}, texts);
  EXPECT_EQ(tensor.dtype(), DType::kString);
  EXPECT_EQ(tensor.byte_size(), 4 * texts.size() + 1 + 3 + 6);
  EXPECT_EQ(tensor.strings(), texts);
  EXPECT_EQ(tensor.reshaped(Shape{4}).strings(), texts);
  EXPECT_TRUE(Tensor::of_strings(Shape{0, 3}, {}).strings().empty());
  EXPECT_THROW(Tensor::of_strings(Shape{3}, texts), Error);
  EXPECT_THROW(static_cast<void>(Tensor::floats(Shape{}, std::vector<float>{1}).strings()), Error);
}

TEST(TensorTest, NoticesStringsThatAreNotThere) {
  const auto of_bytes = [](const Shape& shape, std::string_view bytes) {
    return Tensor::copy_of(DType::kString, shape, std::as_bytes(std::span(bytes)));
  };
  using namespace std::string_view_literals;
  EXPECT_EQ(of_bytes(Shape{1}, "\1\0\0\0x"sv).strings().at(0), "x");
  for (const std::string_view bytes :
       {""sv, "\1\0\0"sv, "\1\0\0\0"sv, "\1\0\0\0xy"sv, "\xFF\xFF\xFF\xFFx"sv}) {
    EXPECT_THROW(static_cast<void>(of_bytes(Shape{1}, bytes).strings()), Error);
  }
  EXPECT_THROW(static_cast<void>(of_bytes(Shape{std::int64_t{1} << 40}, "x").strings()), Error);
}

}  // namespace
}  // namespace kerf
