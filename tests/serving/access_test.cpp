#include "serving/access.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace kerf::serving {
namespace {

using Verdict = Access::Verdict;
using namespace std::chrono_literals;

TEST(Access, HashesAsEverybodyDoes) {
  // FIPS 180-2, appendix B.1.
  const KeyHash hash = hash_key("abc");
  EXPECT_EQ(hash.front(), 0xba);
  EXPECT_EQ(hash[1], 0x78);
  EXPECT_EQ(hash.back(), 0xad);
}

TEST(Access, IsOpenWithoutKeys) {
  const Access access;
  EXPECT_TRUE(access.open());
  EXPECT_EQ(access.check("", Operation::kControl, "m").verdict, Verdict::kGranted);
}

TEST(Access, KeysAreGoodForWhatTheySay) {
  const auto now = std::chrono::system_clock::now();
  const Access access({{.name = "all", .hash = hash_key("secret-a"), .may_control = true},
                       {.name = "one", .hash = hash_key("secret-b"), .models = {"m"}},
                       {.name = "old", .hash = hash_key("secret-c"), .expires = now - 1s},
                       {.name = "new", .hash = hash_key("secret-d"), .expires = now + 1h}});
  const auto verdict = [&](const char* secret, Operation operation, const char* model) {
    return access.check(secret, operation, model).verdict;
  };
  for (const Operation operation :
       {Operation::kMetrics, Operation::kMetadata, Operation::kInfer, Operation::kControl}) {
    EXPECT_EQ(verdict("", operation, "m"), Verdict::kUnauthenticated);
    EXPECT_EQ(verdict("secret", operation, "m"), Verdict::kUnauthenticated);
    EXPECT_EQ(verdict("secret-c", operation, "m"), Verdict::kUnauthenticated);
    EXPECT_EQ(verdict("secret-a", operation, "m"), Verdict::kGranted);
    EXPECT_EQ(verdict("secret-b", operation, "n"), Verdict::kForbidden);
  }
  EXPECT_EQ(verdict("", Operation::kHealth, ""), Verdict::kGranted);
  EXPECT_EQ(verdict("secret-b", Operation::kInfer, "m"), Verdict::kGranted);
  EXPECT_EQ(verdict("secret-b", Operation::kMetadata, ""), Verdict::kGranted);
  EXPECT_EQ(verdict("secret-b", Operation::kControl, "m"), Verdict::kForbidden);
  EXPECT_EQ(verdict("secret-d", Operation::kInfer, "n"), Verdict::kGranted);
  EXPECT_EQ(access.check("secret-b", Operation::kInfer, "m").key->name, "one");
}

TEST(Access, HealthMayBeClosedAndMetricsOpen) {
  const Access access({{.name = "k", .hash = hash_key("x")}}, false, true);
  EXPECT_EQ(access.check("", Operation::kHealth, "").verdict, Verdict::kUnauthenticated);
  EXPECT_EQ(access.check("", Operation::kMetrics, "").verdict, Verdict::kGranted);
}

TEST(Access, KeysHaveRates) {
  const Access access({{.name = "slow", .hash = hash_key("x"), .requests_per_second = 0.001},
                       {.name = "burst", .hash = hash_key("y"), .requests_per_second = 3},
                       {.name = "free", .hash = hash_key("z")}});
  const auto granted = [&](const char* secret, int requests) {
    int count = 0;
    for (int i = 0; i < requests; ++i) {
      const Verdict verdict = access.check(secret, Operation::kInfer, "m").verdict;
      EXPECT_TRUE(verdict == Verdict::kGranted || verdict == Verdict::kTooMany);
      count += verdict == Verdict::kGranted ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(granted("x", 10), 1);
  EXPECT_EQ(granted("y", 10), 3);
  EXPECT_EQ(granted("z", 1000), 1000);
}

TEST(Access, FindsTheTokenOfAHeader) {
  EXPECT_EQ(bearer_token("Bearer abc"), "abc");
  EXPECT_EQ(bearer_token("bearer  abc"), "abc");
  EXPECT_EQ(bearer_token("Basic abc"), "");
  EXPECT_EQ(bearer_token("Bearer"), "");
  EXPECT_EQ(bearer_token("Bearer "), "");
  EXPECT_EQ(bearer_token(""), "");
}

}  // namespace
}  // namespace kerf::serving
