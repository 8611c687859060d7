#include "protocol/json_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

namespace kerf::protocol {
namespace {

template <typename T>
std::string written(T value) {
  Buffer out;
  append_float(out, value);
  return std::string(out.view());
}

// What Python's json.dumps writes for the same doubles, and repr(numpy.float32(x)) for floats.
TEST(JsonText, WritesTheShortestDecimal) {
  EXPECT_EQ(written(0.1F), "0.1");
  EXPECT_EQ(written(1.0F), "1.0");
  EXPECT_EQ(written(-3.0F), "-3.0");
  EXPECT_EQ(written(0.0F), "0.0");
  EXPECT_EQ(written(-0.0F), "-0.0");
  EXPECT_EQ(written(1.732774F), "1.732774");
  EXPECT_EQ(written(16777216.0F), "16777216.0");
  EXPECT_EQ(written(123456.79F), "123456.79");
  EXPECT_EQ(written(0.0001F), "0.0001");
  EXPECT_EQ(written(0.00001F), "1e-05");
  EXPECT_EQ(written(1.25e-7F), "1.25e-07");
  EXPECT_EQ(written(1e16F), "1e+16");
  EXPECT_EQ(written(3.4028235e38F), "3.4028235e+38");
  EXPECT_EQ(written(1e-45F), "1e-45");
  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(1e15), "1000000000000000.0");
  EXPECT_EQ(written(123456789.12345678), "123456789.12345678");
  EXPECT_EQ(written(5e-324), "5e-324");
  EXPECT_EQ(written(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(written(0.30000000000000004), "0.30000000000000004");
}

TEST(JsonText, WritesTokensForWhatJsonHasNoNumberFor) {
  EXPECT_EQ(written(std::numeric_limits<float>::quiet_NaN()), "NaN");
  EXPECT_EQ(written(std::numeric_limits<float>::infinity()), "Infinity");
  EXPECT_EQ(written(-std::numeric_limits<double>::infinity()), "-Infinity");
}

TEST(JsonText, FloatsReadBackAsTheyWere) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200000; ++i) {
    const auto single = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isfinite(single)) {
      EXPECT_EQ(std::strtof(written(single).c_str(), nullptr), single);
    }
    const auto twice = std::bit_cast<double>(random());
    if (std::isfinite(twice)) {
      EXPECT_EQ(std::strtod(written(twice).c_str(), nullptr), twice);
    }
  }
}

TEST(JsonText, EscapesStrings) {
  const auto text = [](std::string_view value) {
    Buffer out;
    append_string(out, value);
    return std::string(out.view());
  };
  EXPECT_EQ(text("dense_1"), "\"dense_1\"");
  EXPECT_EQ(text("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(text("line\nend\ttab\r"), "\"line\\nend\\ttab\\r\"");
  EXPECT_EQ(text(std::string_view("\0\x1f", 2)), "\"\\u0000\\u001f\"");
  EXPECT_EQ(text("größe 層 😀"), "\"größe 層 😀\"");
  EXPECT_EQ(text("\xff\xc0\xaf ok"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD ok\"");
  EXPECT_EQ(text("cut\xe5\xb1"), "\"cut\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(JsonText, WritesIntegersWhole) {
  Buffer out;
  append_integer(out, std::numeric_limits<std::int64_t>::min());
  out.push_back(' ');
  append_integer(out, std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(out.view(), "-9223372036854775808 18446744073709551615");
}

}  // namespace
}  // namespace kerf::protocol
