#include "program/lookup_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kerf/error.h"
#include "program/fingerprint.h"

namespace kerf::program {
namespace {

TEST(LookupTable, FindsWhatItHolds) {
  std::vector<std::string> keys{"", std::string(1000, 'x'), std::string("a\0b", 3)};
  for (int i = 0; i < 5000; ++i) keys.push_back("key " + std::to_string(i));
  std::vector<LookupTable::Entry> entries;
  for (const std::string& key : keys) {
    entries.push_back({.key = key, .value = std::ssize(entries) * 3});
  }
  const Tensor packed = LookupTable::pack(entries);
  const LookupTable table(packed.data());
  EXPECT_EQ(table.longest(), 1000U);
  for (const LookupTable::Entry& entry : entries) {
    ASSERT_NE(table.find(entry.key), nullptr) << entry.key;
    EXPECT_EQ(*table.find(entry.key), entry.value);
  }
  for (const char* other : {"key", "key 5000", "a", "x"}) EXPECT_EQ(table.find(other), nullptr);
}

TEST(LookupTable, TakesIntegers) {
  const std::int64_t keys[]{0, -1, std::int64_t{1} << 62};
  std::vector<LookupTable::Entry> entries;
  for (const std::int64_t& key : keys) {
    entries.push_back(
        {.key = {reinterpret_cast<const char*>(&key), sizeof(key)}, .value = key + 1});
  }
  const Tensor packed = LookupTable::pack(entries);
  const LookupTable table(packed.data());
  for (const std::int64_t key : keys) EXPECT_EQ(*table.find(key), key + 1);
  EXPECT_EQ(table.find(std::int64_t{5}), nullptr);
}

TEST(LookupTable, MayBeEmpty) {
  const Tensor packed = LookupTable::pack({});
  EXPECT_EQ(LookupTable(packed.data()).find(""), nullptr);
}

TEST(LookupTable, RefusesKeysThatStandTwice) {
  const std::vector<LookupTable::Entry> entries{{"a", 1}, {"b", 2}, {"a", 3}};
  EXPECT_THROW(LookupTable::pack(entries), Error);
}

// tf.strings.to_hash_bucket_fast(["Hello", "TensorFlow", "2.x"], 3), from its documentation.
TEST(Fingerprint, IsTensorFlows) {
  EXPECT_EQ(fingerprint("Hello") % 3, 0U);
  EXPECT_EQ(fingerprint("TensorFlow") % 3, 2U);
  EXPECT_EQ(fingerprint("2.x") % 3, 2U);
}

// The vectors of SipHash's reference implementation: the bytes 0 to n under the key 0 to 15.
TEST(Fingerprint, KeyedIsSipHash) {
  constexpr HashKey kKey{0x0706050403020100U, 0x0F0E0D0C0B0A0908U};
  std::string text;
  for (char c = 0; c < 15; ++c) text += c;
  EXPECT_EQ(keyed_hash(std::string_view(text).substr(0, 0), kKey), 0x726FDB47DD0E0E31U);
  EXPECT_EQ(keyed_hash(std::string_view(text).substr(0, 1), kKey), 0x74F839C593DC67FDU);
  EXPECT_EQ(keyed_hash(std::string_view(text).substr(0, 8), kKey), 0x93F5F5799A932462U);
  EXPECT_EQ(keyed_hash(text, kKey), 0xA129CA6149BE45E5U);
}

}  // namespace
}  // namespace kerf::program
