#include "protocol/json_number.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <string>

namespace kerf::protocol {
namespace {

// The number at the start of `text`, and how many characters it took; 0 where there is none.
template <typename T>
std::size_t read(std::string text, T& value) {
  const std::size_t size = text.size();
  text.resize(size + 32, ',');
  const char* end = read_float(text.c_str(), value);
  return end == nullptr ? 0 : static_cast<std::size_t>(end - text.c_str());
}

template <typename T>
void expect_as_from_chars(const std::string& text) {
  T expected{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), expected);
  T value{};
  const std::size_t used = read(text, value);
  if (error == std::errc::result_out_of_range) {
    // Too large fails, too small becomes zero.
    EXPECT_TRUE(used == 0 || value == 0) << text;
    return;
  }
  ASSERT_EQ(error, std::errc()) << text;
  EXPECT_EQ(used, static_cast<std::size_t>(end - text.data())) << text;
  EXPECT_EQ(value, expected) << text;
  EXPECT_EQ(std::signbit(value), std::signbit(expected)) << text;
}

TEST(JsonNumber, ReadsFloatsAsFromCharsDoes) {
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.0",
                           "1",
                           "-1",
                           "0.1",
                           "1.5",
                           "100000",
                           "3.4028235e38",
                           "1e-45",
                           "1.401298464324817e-45",
                           "7e-46",
                           "1.17549435e-38",
                           "16777217",
                           "16777217.0000000001",
                           "0.30000001192092896",
                           "8388608.5",
                           "8388609.5",
                           "123456789012345678901234567890",
                           "1e22",
                           "1e23",
                           "9007199254740993",
                           "0.000001",
                           "1E5",
                           "1e+5",
                           "1e-5",
                           "2.2250738585072014e-308",
                           "1.00000017881393432617187499",
                           "1.00000017881393432617187500",
                           "1.00000017881393432617187501",
                           "0.00000000000000000000000000000000000000000000001",
                           "179769313486231570000000000000000000000",
                           "1e00000000000000000005"}) {
    expect_as_from_chars<float>(text);
    expect_as_from_chars<double>(text);
  }
}

TEST(JsonNumber, ReadsRandomFloatsAsFromCharsDoes) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 200000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    const auto value = std::bit_cast<float>(bits);
    if (!std::isfinite(value)) continue;
    char text[64];
    char* const end = i % 2 == 0 ? std::to_chars(text, text + 64, value).ptr
                                 : std::to_chars(text, text + 64,
                                                 static_cast<double>(value) * (1 + 1e-9 * (i % 7)),
                                                 std::chars_format::scientific, i % 19)
                                       .ptr;
    expect_as_from_chars<float>(std::string(text, end));
    expect_as_from_chars<double>(std::string(text, end));
  }
}

// Decimals half way between two floats, and just beside: rounding twice would show.
TEST(JsonNumber, RoundsOnceAtMidpoints) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 20000; ++i) {
    const auto value =
        std::bit_cast<float>(static_cast<std::uint32_t>(0x3F000000U + (random() & 0x00FFFFFFU)));
    const double middle =
        (static_cast<double>(value) + static_cast<double>(std::nextafter(value, 2e9F))) / 2;
    char text[64];
    char* const end = std::to_chars(text, text + 64, middle, std::chars_format::fixed).ptr;
    const std::string exact(text, end);
    expect_as_from_chars<float>(exact);
    expect_as_from_chars<float>(exact + "00000000000000000000000000001");
  }
}

TEST(JsonNumber, ReadsWhatJsonHasNoNumberFor) {
  float value = 0;
  EXPECT_EQ(read("NaN", value), 3U);
  EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(read("Infinity", value), 8U);
  EXPECT_EQ(value, std::numeric_limits<float>::infinity());
  EXPECT_EQ(read("-Infinity", value), 9U);
  EXPECT_EQ(value, -std::numeric_limits<float>::infinity());
  EXPECT_EQ(read("Inf", value), 3U);
  EXPECT_EQ(read("-Inf", value), 4U);
}

TEST(JsonNumber, RefusesWhatIsNoJsonNumber) {
  float value = 0;
  for (const char* text :
       {"",  "+1",    ".5",   "-",    "-.5", "01",  "-01",  "1.",   "1.e5",   "1e",  "1e+",
        "x", "\"1\"", "null", "true", "nan", "inf", "-NaN", "1e39", "-1e400", "0x10"}) {
    const std::size_t used = read(text, value);
    EXPECT_TRUE(used == 0 || std::string(text) == "0x10") << text << " took " << used;
  }
  EXPECT_EQ(read("0x10", value), 1U);  // the caller sees that no comma follows
}

TEST(JsonNumber, TooSmallIsZero) {
  float value = 1;
  EXPECT_GT(read("1e-60", value), 0U);
  EXPECT_EQ(value, 0);
  EXPECT_GT(read("-1e-400", value), 0U);
  EXPECT_EQ(value, 0);
  EXPECT_TRUE(std::signbit(value));
  EXPECT_GT(read("0e999999999999", value), 0U);
  EXPECT_EQ(value, 0);
}

TEST(JsonNumber, ReadsIntegersOf64Bits) {
  const auto integer = [](std::string text, bool& negative, std::uint64_t& magnitude) {
    text.resize(text.size() + 32, ',');
    return read_integer(text.c_str(), negative, magnitude) != nullptr;
  };
  bool negative = false;
  std::uint64_t magnitude = 0;
  EXPECT_TRUE(integer("0", negative, magnitude));
  EXPECT_TRUE(integer("18446744073709551615", negative, magnitude));
  EXPECT_EQ(magnitude, std::numeric_limits<std::uint64_t>::max());
  EXPECT_TRUE(integer("-9223372036854775808", negative, magnitude));
  EXPECT_TRUE(negative);
  EXPECT_EQ(magnitude, std::uint64_t{1} << 63U);
  EXPECT_TRUE(integer("9007199254740993", negative, magnitude));
  EXPECT_EQ(magnitude, 9007199254740993U);
  for (const char* text : {"", "-", "01", "1.0", "1e3", "18446744073709551616", "NaN", "true",
                           "99999999999999999999999"}) {
    EXPECT_FALSE(integer(text, negative, magnitude)) << text;
  }
}

}  // namespace
}  // namespace kerf::protocol
