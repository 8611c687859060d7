#include "tests/formats/zoo.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

// The zoo must not be redistributed, so it is beside the repository on the project's machines only.
// tests/formats/zoo_table prints the table for another folder.
namespace kerf::test {
namespace {

TEST(Zoo, IsComputedAsByKerasOrRefused) {
  const char* given = std::getenv("KERF_ZOO");
  const std::filesystem::path folder = given != nullptr ? given : KERF_SOURCE_DIR "/../shared/zoo";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "there is no zoo beside this repository";
  }
  const std::vector<ZooResult> results = try_zoo(folder);
  std::cout << table_of(results);
  for (const ZooResult& result : results) {
    SCOPED_TRACE(result.name);
    EXPECT_NE(result.outcome, ZooResult::Outcome::kWrong) << result.detail;
    EXPECT_NE(result.outcome, ZooResult::Outcome::kServedBlindly);
    EXPECT_FALSE(result.converted.starts_with("WRONG")) << result.converted;
  }
}

}  // namespace
}  // namespace kerf::test
