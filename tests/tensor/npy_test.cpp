#include "tensor/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kerf/error.h"

namespace kerf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::filesystem::path data(const std::string& name) {
  return std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/npy" / name;
}

std::filesystem::path scratch(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / name;
}

std::vector<std::string> strings_of(const Tensor& tensor) {
  const std::vector<std::string_view> strings = tensor.strings();
  return {strings.begin(), strings.end()};
}

// A file with this header and data, as version 1.
std::vector<std::byte> file_with(const std::string& header, std::size_t data_bytes = 0) {
  std::string text = "\x93NUMPY";
  text += '\x01';
  text += '\0';
  text += static_cast<char>(header.size() & 0xFFU);
  text += static_cast<char>(header.size() >> 8U);
  text += header + std::string(data_bytes, '\0');
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

Error refusal_of(std::span<const std::byte> bytes) {
  try {
    parse_npy(bytes, "x.npy");
  } catch (const Error& error) {
    EXPECT_THAT(error.where(), HasSubstr("x.npy"));
    return error;
  }
  ADD_FAILURE() << "the file was accepted";
  return {ErrorCode::kInternal, ""};
}

struct Numbers {
  std::string code;
  DType dtype;
};

class NumPyNumbersTest : public testing::TestWithParam<Numbers> {};

// The arrays are arange(24).reshape(2, 3, 4), plus 3 where unsigned and minus 5 where signed.
TEST_P(NumPyNumbersTest, ReadsBothByteOrders) {
  const auto& [code, dtype] = GetParam();
  for (const char* order : {"le_", "be_"}) {
    const auto file = data(order + code + ".npy");
    if (code[1] == '1' && order[0] == 'b') continue;
    const Tensor tensor = read_npy(file);
    EXPECT_EQ(tensor.dtype(), dtype);
    ASSERT_EQ(tensor.shape(), (Shape{2, 3, 4}));
    const Tensor wide = tensor.cast(DType::kFloat64);
    for (std::size_t i = 0; i < 24; ++i) {
      EXPECT_EQ(wide.as<double>()[i], static_cast<double>(i) + (code[0] == 'u' ? 3 : -5));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, NumPyNumbersTest,
    testing::Values(Numbers{"u1", DType::kUInt8}, Numbers{"u2", DType::kUInt16},
                    Numbers{"u4", DType::kUInt32}, Numbers{"u8", DType::kUInt64},
                    Numbers{"i1", DType::kInt8}, Numbers{"i2", DType::kInt16},
                    Numbers{"i4", DType::kInt32}, Numbers{"i8", DType::kInt64},
                    Numbers{"f2", DType::kFloat16}, Numbers{"f4", DType::kFloat32},
                    Numbers{"f8", DType::kFloat64}),
    [](const auto& test) { return test.param.code; });

TEST(NpyTest, ReadsFortranOrder) {
  const Tensor floats = read_npy(data("fortran_f4.npy"));
  const Tensor shorts = read_npy(data("fortran_be_i2.npy"));
  ASSERT_EQ(floats.shape(), (Shape{2, 3, 4}));
  for (std::size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(floats.as<float>()[i], static_cast<float>(i));
    EXPECT_EQ(shorts.as<std::int16_t>()[i], static_cast<std::int16_t>(i));
  }
}

TEST(NpyTest, ReadsEveryVersion) {
  for (const char* name : {"version2_f4.npy", "version3_f4.npy"}) {
    const Tensor tensor = read_npy(data(name));
    EXPECT_EQ(tensor.shape(), (Shape{2, 3, 4}));
    EXPECT_EQ(tensor.as<float>()[23], 23);
  }
}

TEST(NpyTest, ReadsScalarsVectorsAndEmptyArrays) {
  const Tensor scalar = read_npy(data("scalar_f8.npy"));
  EXPECT_EQ(scalar.shape(), Shape{});
  EXPECT_EQ(scalar.as<double>()[0], 2.5);
  EXPECT_THAT(read_npy(data("vector_f4.npy")).as<float>(), ElementsAre(1, 2, 3));
  EXPECT_EQ(read_npy(data("empty_f4.npy")).shape(), (Shape{0, 5}));
}

TEST(NpyTest, ReadsBool) {
  const Tensor tensor = read_npy(data("bool.npy"));
  EXPECT_EQ(tensor.dtype(), DType::kBool);
  for (std::size_t i = 0; i < 24; ++i) {
    EXPECT_EQ(tensor.as<std::uint8_t>()[i], i % 3 == 0 ? 1 : 0);
  }
}

TEST(NpyTest, ReadsTextAsStrings) {
  const Tensor bytes = read_npy(data("bytes.npy"));
  EXPECT_EQ(bytes.dtype(), DType::kString);
  EXPECT_EQ(bytes.shape(), (Shape{2, 2}));
  EXPECT_THAT(strings_of(bytes), ElementsAre("a", "bcd", "", "xy"));
  EXPECT_THAT(strings_of(read_npy(data("text.npy"))), ElementsAre("kerf", "été", "日本", "😀", ""));
  EXPECT_THAT(strings_of(read_npy(data("text_be.npy"))), ElementsAre("kerf", "é"));
}

TEST(NpyTest, RefusesWhatIsNoArrayOfNumbersOrText) {
  for (const auto& [name, reason] :
       {std::pair{"object.npy", "pickled Python objects"}, std::pair{"complex.npy", "'<c16'"},
        std::pair{"records.npy", "records"}, std::pair{"date.npy", "'<M8[D]'"}}) {
    try {
      read_npy(data(name));
      ADD_FAILURE() << name << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_THAT(error.message(), HasSubstr(reason));
      EXPECT_THAT(error.where(), HasSubstr(name));
    }
  }
}

TEST(NpyTest, NamesAFileThatIsNotThere) {
  try {
    read_npy("/no/such/file.npy");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  }
}

TEST(NpyTest, EveryDTypeSurvivesARoundTrip) {
  for (int i = 0; i < static_cast<int>(DType::kString); ++i) {
    const auto dtype = static_cast<DType>(i);
    const Tensor tensor = Tensor::floats({3, 2}, std::vector<float>{0, 1, 1, 0, 1, 1}).cast(dtype);
    const Tensor back = parse_npy(format_npy(tensor), "x.npy");
    EXPECT_EQ(back.dtype(), dtype);
    EXPECT_EQ(back.shape(), tensor.shape());
    EXPECT_TRUE(std::ranges::equal(back.bytes(), tensor.bytes())) << dtype_name(dtype);
  }
}

TEST(NpyTest, StringsAndShapesSurviveARoundTrip) {
  const Tensor text = read_npy(data("text.npy"));
  EXPECT_EQ(strings_of(parse_npy(format_npy(text), "x")), strings_of(text));
  const Tensor blank =
      Tensor::of<std::uint32_t>(DType::kString, {2}, std::vector<std::uint32_t>(2));
  EXPECT_THAT(strings_of(parse_npy(format_npy(blank), "x")), ElementsAre("", ""));
  for (const Shape& shape :
       {Shape{}, Shape{1}, Shape{0}, Shape{2, 0, 3}, Shape{1, 1, 1, 1, 1, 1}}) {
    const std::vector<float> values(static_cast<std::size_t>(shape.element_count()), 1);
    EXPECT_EQ(parse_npy(format_npy(Tensor::floats(shape, values)), "x").shape(), shape);
  }
}

// What NumPy 1.24 itself writes for the same array, byte for byte.
TEST(NpyTest, WritesWhatNumPyWrites) {
  for (const char* name :
       {"le_f4.npy", "vector_f4.npy", "scalar_f8.npy", "bool.npy", "le_u8.npy"}) {
    std::ifstream stream(data(name), std::ios::binary);
    const std::string expected{std::istreambuf_iterator<char>(stream), {}};
    const std::vector<std::byte> written = format_npy(read_npy(data(name)));
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(written.data()), written.size()), expected)
        << name;
  }
}

TEST(NpyTest, RefusesDamagedHeaders) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  EXPECT_EQ(parse_npy(file_with(good, 8), "x").shape(), (Shape{2}));
  EXPECT_EQ(
      parse_npy(file_with("{'descr':'<f4','fortran_order':False,'shape':(2L,)}\n", 8), "x").shape(),
      (Shape{2}));
  const std::vector<std::byte> whole = file_with(good, 8);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(refusal_of(std::span(whole).first(size)).code(), ErrorCode::kInvalidFile) << size;
  }
  for (const char* header :
       {"", "{", "{}", "[]", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2.0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,", "{'descr': '<f4",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (9000000000,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}"}) {
    const ErrorCode code = refusal_of(file_with(header, 8)).code();
    EXPECT_TRUE(code == ErrorCode::kInvalidFile || code == ErrorCode::kResourceExhausted) << header;
  }
  for (const char* descr :
       {"", "<", "f", "<f", "<f3", "<f16", "<i16", "<fx", "<S99999999999", "|O"}) {
    const std::string header =
        std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (2,)}";
    EXPECT_EQ(refusal_of(file_with(header, 8)).code(), ErrorCode::kUnsupported) << descr;
  }
  EXPECT_EQ(refusal_of(file_with("{'descr': '<f4', 'fortran_order': False, "
                                 "'shape': (1,1,1,1,1,1,1,1,1)}",
                                 4))
                .code(),
            ErrorCode::kUnsupported);
  std::vector<std::byte> future = whole;
  future[6] = std::byte{9};
  EXPECT_EQ(refusal_of(future).code(), ErrorCode::kUnsupported);
}

TEST(NpyTest, NoFlippedByteDoesMoreThanFail) {
  const std::vector<std::byte> whole =
      file_with("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }", 8);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (const unsigned bit : {1U, 16U, 128U}) {
      std::vector<std::byte> flipped = whole;
      flipped[i] ^= static_cast<std::byte>(bit);
      try {
        parse_npy(flipped, "x");
      } catch (const Error&) {
      }
    }
  }
}

TEST(NpzTest, ReadsWhatNumPyWrites) {
  const NamedTensors stored = read_npz(data("stored.npz"));
  ASSERT_EQ(stored.size(), 2U);
  EXPECT_EQ(stored[0].first, "a");
  EXPECT_EQ(stored[0].second.shape(), (Shape{2, 3, 4}));
  EXPECT_THAT(stored[1].second.as<std::int64_t>(), ElementsAre(1, 2));
  const NamedTensors packed = read_npz(data("packed.npz"));
  ASSERT_EQ(packed.size(), 2U);
  EXPECT_EQ(packed[0].second.shape(), (Shape{1000}));
  EXPECT_THAT(packed[1].second.as<std::int32_t>(), ElementsAre(7));
}

TEST(NpzTest, SurvivesARoundTripAndReplacesFiles) {
  const auto file = scratch("round_trip.npz");
  const Tensor one = Tensor::floats({1}, std::vector<float>{1});
  write_npz(file, std::vector<std::pair<std::string, Tensor>>{{"old", one}});
  // Tensor addresses hold slashes and colons.
  const NamedTensors arrays{{"encoder/conv2d", one}, {"shared:1:0", read_npy(data("le_u2.npy"))}};
  write_npz(file, arrays);
  const NamedTensors back = read_npz(file);
  ASSERT_EQ(back.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back[i].first, arrays[i].first);
    EXPECT_EQ(back[i].second.dtype(), arrays[i].second.dtype());
    EXPECT_TRUE(std::ranges::equal(back[i].second.bytes(), arrays[i].second.bytes()));
  }
}

TEST(NpzTest, RefusesEqualNamesAndPlacesThatCannotBeWritten) {
  const Tensor one = Tensor::floats({1}, std::vector<float>{1});
  const NamedTensors twice{{"a", one}, {"a", one}};
  EXPECT_THROW(write_npz(scratch("twice.npz"), twice), Error);
  try {
    write_npz("/no/such/folder/x.npz", std::span(twice).first(1));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
}

TEST(NpzTest, RefusesDamagedFiles) {
  std::ifstream stream(data("packed.npz"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(stream), {}};
  const auto file = scratch("damaged.npz");
  const auto read = [&](const std::string& content) {
    std::ofstream(file, std::ios::binary) << content;
    return read_npz(file).size();
  };
  EXPECT_EQ(read(whole), 2U);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{20}, whole.size() / 2, whole.size() - 1}) {
    EXPECT_THROW(read(whole.substr(0, size)), Error) << size;
  }
  // Whatever a flipped byte does, it is an error or harmless.
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x11);
    try {
      read(flipped);
    } catch (const Error&) {
    }
  }
  EXPECT_THROW(read_npz("/no/such/file.npz"), Error);
}

}  // namespace
}  // namespace kerf
