#include "serving/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

namespace kerf::serving {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Snapshot served() {
  Snapshot::Models models;
  models["a \"b\""].load_failures = 2;
  models["a \"b\""].versions.push_back(
      {.version = "3",
       .state = VersionState::kReady,
       .reason = {},
       .model = std::make_shared<const ServedModel>(
           "a \"b\"", "3",
           Model::load(std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden/conv1d.keras"),
           Limits{})});
  return Snapshot(std::move(models));
}

TEST(Metrics, SayWhatWasCounted) {
  const Snapshot models = served();
  Statistics& whole = models.find("a \"b\"")->statistics().front()->statistics;
  whole.count_request(Outcome::kOk);
  whole.count_request(Outcome::kOk);
  whole.count_request(Outcome::kUnavailable);
  whole.count_run(20us, 3);
  std::string text;
  write_metrics(models, text);
  const std::string labels = R"(model="a \"b\"",version="3",cut="")";
  EXPECT_THAT(text, HasSubstr("kerf_requests_total{" + labels + ",code=\"OK\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("kerf_requests_total{" + labels + ",code=\"UNAVAILABLE\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("kerf_compute_seconds_bucket{" + labels + ",le=\"1.6e-05\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("kerf_compute_seconds_bucket{" + labels + ",le=\"3.2e-05\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("kerf_compute_seconds_bucket{" + labels + ",le=\"+Inf\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("kerf_compute_seconds_sum{" + labels + "} 2e-05\n"));
  EXPECT_THAT(text, HasSubstr("kerf_batch_rows_bucket{" + labels + ",le=\"2\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("kerf_batch_rows_bucket{" + labels + ",le=\"4\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("kerf_model_ready{model=\"a \\\"b\\\"\",version=\"3\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(R"(kerf_model_loads_total{model="a \"b\"",result="failed"} 2)"));
}

// The form that Prometheus reads: every sample belongs to the family declared before it.
TEST(Metrics, AreWellFormed) {
  std::string text;
  write_metrics(served(), text);
  std::istringstream lines(text);
  std::string family;
  std::set<std::string> families;
  std::set<std::string> samples;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << line;
      continue;
    }
    EXPECT_TRUE(line.starts_with(family)) << line;
    const std::size_t value = line.rfind(' ');
    ASSERT_NE(value, std::string::npos);
    EXPECT_NO_THROW(std::stod(line.substr(value + 1))) << line;
    EXPECT_TRUE(samples.insert(line.substr(0, value)).second) << line;
  }
  for (const char* name : {"process_resident_memory_bytes", "process_open_fds", "process_threads",
                           "process_cpu_seconds_total"}) {
    EXPECT_TRUE(families.contains(name)) << name;
  }
}

}  // namespace
}  // namespace kerf::serving
