#include "protocol/compression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kerf/error.h"

namespace kerf::protocol {
namespace {

std::string compressed(Coding coding, std::string_view text) {
  Buffer out;
  compress(coding, text, out);
  return std::string(out.view());
}

std::string decompressed(Coding coding, std::string_view body, std::size_t limit = 1 << 24) {
  Buffer out;
  decompress(coding, {body.data(), body.size()}, limit, out);
  return std::string(out.view());
}

TEST(Compression, BringsBackWhatWasCompressed) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += std::to_string(i * 7919 % 1000003) + ",";
  for (const Coding coding : {Coding::kGzip, Coding::kDeflate}) {
    for (const std::string& body : {std::string(), std::string("{}"), text}) {
      EXPECT_EQ(decompressed(coding, compressed(coding, body)), body);
    }
  }
  EXPECT_LT(compressed(Coding::kGzip, text).size(), text.size());
}

// printf '{"a":1}' | gzip -n, and Python's zlib.compress of the same.
TEST(Compression, ReadsWhatOthersWrite) {
  using std::string_literals::operator""s;
  EXPECT_EQ(decompressed(Coding::kGzip,
                         "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x4a\x54\xb2\x32\xac\x05"
                         "\x00\xaf\xac\x1b\x56\x07\x00\x00\x00"s),
            "{\"a\":1}");
  EXPECT_EQ(decompressed(Coding::kDeflate,
                         "\x78\x9c\xab\x56\x4a\x54\xb2\x32\xac\x05\x00\x08\x2a\x02\x09"s),
            "{\"a\":1}");
}

TEST(Compression, ReadsSeveralGzipMembers) {
  EXPECT_EQ(decompressed(Coding::kGzip,
                         compressed(Coding::kGzip, "one ") + compressed(Coding::kGzip, "two")),
            "one two");
}

TEST(Compression, StopsBombs) {
  const std::string bomb = compressed(Coding::kGzip, std::string(50 << 20, '0'));
  EXPECT_LT(bomb.size(), 1U << 20U);
  try {
    decompressed(Coding::kGzip, bomb, 1 << 20);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
    EXPECT_THAT(error.what(), testing::HasSubstr("1048576 bytes once decompressed"));
  }
  const std::string exact = compressed(Coding::kDeflate, std::string(1 << 20, '0'));
  EXPECT_EQ(decompressed(Coding::kDeflate, exact, 1 << 20).size(), 1U << 20U);
}

TEST(Compression, RefusesDamage) {
  const std::string whole = compressed(Coding::kGzip, "some text that is long enough to cut");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(decompressed(Coding::kGzip, whole.substr(0, size)), Error) << size;
  }
  EXPECT_THROW(decompressed(Coding::kGzip, whole + "x"), Error);
  EXPECT_THROW(decompressed(Coding::kDeflate, whole), Error);
  EXPECT_THROW(decompressed(Coding::kGzip, "{\"inputs\":[]}"), Error);
}

TEST(Compression, ReadsHeaders) {
  EXPECT_EQ(content_coding(""), Coding::kIdentity);
  EXPECT_EQ(content_coding("identity"), Coding::kIdentity);
  EXPECT_EQ(content_coding("GZIP"), Coding::kGzip);
  EXPECT_EQ(content_coding("deflate"), Coding::kDeflate);
  EXPECT_EQ(content_coding("br"), std::nullopt);
  EXPECT_EQ(content_coding("gzip, gzip"), std::nullopt);
  EXPECT_EQ(accepted_coding("gzip"), Coding::kGzip);
  EXPECT_EQ(accepted_coding("deflate"), Coding::kDeflate);
  EXPECT_EQ(accepted_coding("gzip, deflate, br"), Coding::kGzip);
  EXPECT_EQ(accepted_coding("gzip;q=0.5, deflate;q=0.8"), Coding::kDeflate);
  EXPECT_EQ(accepted_coding("gzip;q=0, identity"), Coding::kIdentity);
  EXPECT_EQ(accepted_coding("br"), Coding::kIdentity);
  EXPECT_EQ(accepted_coding(""), Coding::kIdentity);
  EXPECT_EQ(accepted_coding(",,;q=1,gzip;q=oops"), Coding::kIdentity);
}

}  // namespace
}  // namespace kerf::protocol
