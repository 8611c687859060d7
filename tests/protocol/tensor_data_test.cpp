#include "protocol/tensor_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "kerf/error.h"
#include "protocol/infer_request.h"

namespace kerf::protocol {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <typename T>
std::vector<T> read(std::string text, DType declared, DType wanted, const Shape& shape) {
  const std::size_t size = text.size();
  text.resize(size + kBodyPadding, '1');
  std::vector<T> values(static_cast<std::size_t>(shape.element_count()));
  Buffer unescaped;
  read_json_data({text.data(), size}, declared, wanted, shape,
                 reinterpret_cast<std::byte*>(values.data()), unescaped);
  return values;
}

std::vector<float> floats(const std::string& text, const Shape& shape) {
  return read<float>(text, DType::kFloat32, DType::kFloat32, shape);
}

template <typename Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(TensorData, ReadsFlatAndNestedArrays) {
  const Shape shape{2, 3};
  for (const char* text : {"[1,2,3,4,5,6]", "[[1,2,3],[4,5,6]]", " [ 1 , 2,\n3 ,\t4, 5 , 6 ] ",
                           "[ [ 1.0, 2e0 , 3 ] ,\r\n [4, 5, 60e-1]]"}) {
    std::string trimmed(text);
    trimmed = trimmed.substr(trimmed.find('['));
    trimmed = trimmed.substr(0, trimmed.rfind(']') + 1);
    EXPECT_THAT(floats(trimmed, shape), ElementsAre(1, 2, 3, 4, 5, 6)) << text;
  }
  EXPECT_THAT(floats("[7]", Shape{}), ElementsAre(7));
  EXPECT_THAT(floats("[[[[7]]]]", Shape{1, 1, 1, 1}), ElementsAre(7));
  EXPECT_THAT(floats("[[[1],[2]],[[3],[4]]]", Shape{2, 2, 1}), ElementsAre(1, 2, 3, 4));
}

TEST(TensorData, ReadsEmptyArrays) {
  EXPECT_TRUE(floats("[]", Shape{0}).empty());
  EXPECT_TRUE(floats("[]", Shape{0, 5}).empty());
  EXPECT_TRUE(floats("[[],[]]", Shape{2, 0}).empty());
  EXPECT_TRUE(floats("[ ]", Shape{3, 0, 2}).empty());
}

TEST(TensorData, RefusesCountsAndNestingThatContradictTheShape) {
  const Shape shape{2, 3};
  const auto error = [&](const std::string& text) {
    return error_of([&] { floats(text, shape); });
  };
  EXPECT_THAT(error("[1,2,3,4,5]"), HasSubstr("has 5 elements, but shape (2, 3) needs 6"));
  EXPECT_THAT(error("[1,2,3,4,5,6,7]"), HasSubstr("more elements than the 6"));
  EXPECT_THAT(error("[]"), HasSubstr("has 0 elements"));
  EXPECT_THAT(error("[[1,2],[3,4],[5,6]]"), HasSubstr("2 entries"));
  EXPECT_THAT(error("[[1,2,3]]"), HasSubstr("1 entries"));
  EXPECT_THAT(error("[[[1,2,3],[4,5,6]]]"), HasSubstr("nested deeper"));
  EXPECT_THAT(error("[[1,2,3],4,5,6]"), HasSubstr("mixes"));
  EXPECT_THAT(error("[1,2,3,[4,5,6]]"), HasSubstr("mixes"));
  EXPECT_THAT(error("[1, 2, 3, [4,5,6]]"), HasSubstr("mixes"));
  EXPECT_THAT(error("[1 , [4,5,6]]"), HasSubstr("mixes"));
  EXPECT_THAT(error_of([] { floats("[[1],[2]]", Shape{2, 1, 1}); }), HasSubstr("nested 2 deep"));
  EXPECT_THAT(error_of([] { floats("[[5]]", Shape{}); }), HasSubstr("nested deeper"));
  EXPECT_THAT(error_of([] { floats(std::string(1000, '[') + std::string(1000, ']'), Shape{1}); }),
              HasSubstr("nested deeper"));
}

TEST(TensorData, RefusesWhatAreNoNumbers) {
  const auto error = [&](const std::string& text) {
    return error_of([&] { floats(text, Shape{2}); });
  };
  EXPECT_THAT(error("[1,\"2\"]"), HasSubstr("element 1 is not a number in range: \"2\""));
  EXPECT_THAT(error("[null,2]"), HasSubstr("element 0 is not a number in range: null"));
  EXPECT_THAT(error("[1,true]"), HasSubstr("element 1"));
  EXPECT_THAT(error("[1,1e39]"), HasSubstr("element 1 is not a number in range: 1e39"));
  EXPECT_THAT(error("[1,]"), HasSubstr("element 1"));
  EXPECT_THAT(error("[,1]"), HasSubstr("element 0"));
  EXPECT_THAT(error("[1 2]"), HasSubstr("',' or ']' is missing"));
  EXPECT_THAT(error("[1}"), HasSubstr("',' or ']' is missing"));
  EXPECT_THAT(error("[{},1]"), HasSubstr("element 0"));
}

TEST(TensorData, ReadsIntegersWholeAndChecksTheirRange) {
  EXPECT_THAT(read<std::int64_t>("[-9223372036854775808,9007199254740993]", DType::kInt64,
                                 DType::kInt64, Shape{2}),
              ElementsAre(std::numeric_limits<std::int64_t>::min(), 9007199254740993));
  EXPECT_THAT(
      read<std::uint64_t>("[18446744073709551615]", DType::kUInt64, DType::kUInt64, Shape{1}),
      ElementsAre(std::numeric_limits<std::uint64_t>::max()));
  EXPECT_THAT(read<std::int32_t>("[3,-4]", DType::kInt64, DType::kInt32, Shape{2}),
              ElementsAre(3, -4));
  const auto error = [](const std::string& text, DType declared, DType wanted) {
    return error_of([&] { read<std::int64_t>(text, declared, wanted, Shape{1}); });
  };
  EXPECT_THAT(error("[2147483648]", DType::kInt64, DType::kInt32), HasSubstr("element 0"));
  EXPECT_THAT(error("[256]", DType::kUInt8, DType::kInt32),
              HasSubstr("is not an integer that fits UINT8: 256"));
  EXPECT_THAT(error("[-1]", DType::kUInt8, DType::kInt32), HasSubstr("UINT8: -1"));
  EXPECT_THAT(error("[1.0]", DType::kInt32, DType::kInt32), HasSubstr("not an integer"));
  EXPECT_THAT(error("[1e3]", DType::kInt32, DType::kInt32), HasSubstr("not an integer"));
}

TEST(TensorData, ReadsBooleans) {
  EXPECT_THAT(read<std::uint8_t>("[true, false,true]", DType::kBool, DType::kBool, Shape{3}),
              ElementsAre(1, 0, 1));
  EXPECT_THAT(error_of([] { read<std::uint8_t>("[1]", DType::kBool, DType::kBool, Shape{1}); }),
              HasSubstr("element 0 is not true or false: 1"));
}

TEST(TensorData, RoundsToHalfTypesAndRefusesThemAsJson) {
  // 1 + 2^-11 lies between the halves 1 and 1 + 2^-10: to even.
  EXPECT_THAT(
      read<std::uint16_t>("[1.00048828125,65504]", DType::kFloat32, DType::kFloat16, Shape{2}),
      ElementsAre(0x3C00, 0x7BFF));
  EXPECT_THAT(error_of([] { read<float>("[1]", DType::kFloat16, DType::kFloat32, Shape{1}); }),
              HasSubstr("FP16 data cannot be given as JSON"));
  EXPECT_THAT(error_of([] { read<float>("[1]", DType::kBFloat16, DType::kFloat32, Shape{1}); }),
              HasSubstr("BF16 data cannot be given as JSON"));
}

TEST(TensorData, ComparesDeclaredTypes) {
  EXPECT_NO_THROW(check_datatype(DType::kInt64, DType::kInt32));
  EXPECT_NO_THROW(check_datatype(DType::kFloat64, DType::kFloat32));
  EXPECT_NO_THROW(check_datatype(DType::kBool, DType::kBool));
  EXPECT_THAT(error_of([] { check_datatype(DType::kInt32, DType::kFloat32); }),
              HasSubstr("the tensor is FP32, but the request declares INT32"));
  EXPECT_THROW(check_datatype(DType::kFloat32, DType::kInt32), Error);
  EXPECT_THROW(check_datatype(DType::kString, DType::kFloat32), Error);
  EXPECT_THROW(check_datatype(DType::kBool, DType::kInt32), Error);
}

template <typename From, typename To>
std::vector<To> convert(const std::vector<From>& values, DType declared, DType wanted) {
  // At an odd address, where a blob behind JSON may well stand.
  std::vector<std::byte> bytes(values.size() * sizeof(From) + 1);
  std::memcpy(bytes.data() + 1, values.data(), values.size() * sizeof(From));
  std::vector<To> out(values.size());
  read_binary_data(std::span(bytes).subspan(1), declared, wanted, values.size(),
                   reinterpret_cast<std::byte*>(out.data()));
  return out;
}

TEST(TensorData, ConvertsBinaryData) {
  EXPECT_THAT((convert<float, float>({1, -2.5F}, DType::kFloat32, DType::kFloat32)),
              ElementsAre(1, -2.5F));
  EXPECT_THAT((convert<double, float>({0.1, -2.5}, DType::kFloat64, DType::kFloat32)),
              ElementsAre(0.1F, -2.5F));
  EXPECT_THAT((convert<std::uint16_t, float>({0x3C00, 0xC100}, DType::kFloat16, DType::kFloat32)),
              ElementsAre(1, -2.5F));
  EXPECT_THAT((convert<std::uint16_t, float>({0x3F80, 0xC020}, DType::kBFloat16, DType::kFloat32)),
              ElementsAre(1, -2.5F));
  EXPECT_THAT((convert<std::int64_t, std::int32_t>({5, -6}, DType::kInt64, DType::kInt32)),
              ElementsAre(5, -6));
  EXPECT_THAT(error_of([] {
                convert<std::int64_t, std::int32_t>({5, std::int64_t{1} << 31U}, DType::kInt64,
                                                    DType::kInt32);
              }),
              HasSubstr("element 1 does not fit INT32: 2147483648"));
  EXPECT_THAT(error_of([] {
                convert<std::uint8_t, std::uint8_t>({0, 1, 2}, DType::kBool, DType::kBool);
              }),
              HasSubstr("element 2 is not 0 or 1"));
}

TEST(TensorData, WritesJson) {
  const auto written = [](DType dtype, const auto& values) {
    Buffer out;
    append_json_data(out, dtype, reinterpret_cast<const std::byte*>(values.data()), values.size());
    return std::string(out.view());
  };
  EXPECT_EQ(written(DType::kFloat32, std::vector<float>{1, 0.1F, -2.5e-9F}), "[1.0,0.1,-2.5e-09]");
  EXPECT_EQ(written(DType::kFloat64, std::vector<double>{0.1}), "[0.1]");
  EXPECT_EQ(written(DType::kInt64, std::vector<std::int64_t>{-5, 1LL << 60U}),
            "[-5,1152921504606846976]");
  EXPECT_EQ(written(DType::kUInt8, std::vector<std::uint8_t>{255}), "[255]");
  EXPECT_EQ(written(DType::kBool, std::vector<std::uint8_t>{1, 0}), "[true,false]");
  EXPECT_EQ(written(DType::kFloat32, std::vector<float>{}), "[]");
  std::vector<float> many(1000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i) * 1.37F;
  EXPECT_EQ(floats(written(DType::kFloat32, many), Shape{1000}), many);
  EXPECT_THAT(error_of([&] { written(DType::kFloat16, std::vector<std::uint16_t>{1}); }),
              HasSubstr("FP16 cannot be written as JSON"));
}

// What a JSON array of strings reads as, in storage of its own.
std::vector<std::string> strings(std::string text, const Shape& shape) {
  const std::size_t size = text.size();
  text.resize(size + kBodyPadding, '"');
  std::vector<std::string_view> views(static_cast<std::size_t>(shape.element_count()));
  Buffer unescaped;
  unescaped.reserve(size);
  read_json_data({text.data(), size}, DType::kString, DType::kString, shape,
                 reinterpret_cast<std::byte*>(views.data()), unescaped);
  return {views.begin(), views.end()};
}

TEST(TensorData, ReadsStringsFromJson) {
  EXPECT_THAT(strings(R"(["a","","b c"])", Shape{3}), ElementsAre("a", "", "b c"));
  EXPECT_THAT(strings(R"([ ["[x],"], [ "été 日本 😀" ] ])", Shape{2, 1}),
              ElementsAre("[x],", "été 日本 😀"));
  EXPECT_THAT(strings("[]", Shape{0}), ElementsAre());
  EXPECT_THAT(strings(R"(["\"\\\/\b\f\n\r\t","x\u0041\u00e9\u65e5\ud83d\ude00y","z\\"])", Shape{3}),
              ElementsAre("\"\\/\b\f\n\r\t", "xAé日😀y", "z\\"));
  EXPECT_THAT(strings(R"(["\u0000"])", Shape{1}), ElementsAre(std::string(1, '\0')));
}

TEST(TensorData, SaysWhichStringIsWrong) {
  for (const char* text :
       {R"(["a", 1])", R"(["a", "\x"])", R"(["a", "\u12g4"])", R"(["a", "\ud83d"])",
        R"(["a", "\ude00"])", R"(["a", "\ud83d\u0041"])", R"(["a", "\u+123"])", R"(["a", null])"}) {
    EXPECT_THAT(error_of([&] { strings(text, Shape{2}); }), HasSubstr("element 1 is not a string"))
        << text;
  }
  EXPECT_THAT(error_of([] { strings(R"(["a"])", Shape{2}); }), HasSubstr("has 1 elements"));
  EXPECT_THAT(error_of([] { strings(R"(["a","b","c"])", Shape{2}); }), HasSubstr("more elements"));
  EXPECT_THAT(error_of([] { strings(R"([["a"],"b"])", Shape{2, 1}); }), HasSubstr("mixes"));
}

TEST(TensorData, ReadsAndWritesStringsAsBytes) {
  const std::string packed("\2\0\0\0ab\0\0\0\0\1\0\0\0\xFF", 15);
  std::vector<std::string_view> views(3);
  auto* const out = reinterpret_cast<std::byte*>(views.data());
  const auto read = [&](std::string_view bytes) {
    read_binary_data(std::as_bytes(std::span(bytes)), DType::kString, DType::kString, views.size(),
                     out);
  };
  read(packed);
  EXPECT_THAT(views, ElementsAre("ab", "", "\xFF"));
  EXPECT_EQ(binary_size(DType::kString, out, views.size()), packed.size());
  Buffer written;
  append_binary_data(written, DType::kString, out, views.size());
  EXPECT_EQ(written.view(), packed);
  Buffer json;
  append_json_data(json, DType::kString, out, 2);
  EXPECT_EQ(json.view(), R"(["ab",""])");
  EXPECT_THAT(error_of([&] { append_json_data(json, DType::kString, out, 3); }),
              HasSubstr("not UTF-8"));
  EXPECT_THAT(error_of([&] { read(packed.substr(0, 14)); }), HasSubstr("element 2 announces 1"));
  EXPECT_THAT(error_of([&] { read(packed.substr(0, 9)); }), HasSubstr("before element 1 of 3"));
  EXPECT_THAT(error_of([&] { read(packed + "x"); }), HasSubstr("1 bytes follow"));
}

}  // namespace
}  // namespace kerf::protocol
