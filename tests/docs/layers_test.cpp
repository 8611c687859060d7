#include <gmock/gmock.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "layers/registry.h"

// The README names every layer that kerf knows, and says of none that it is missing.
namespace kerf::layers {
namespace {

std::string readme() {
  std::ifstream stream(KERF_SOURCE_DIR "/README.md");
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// The words that look like a class name in the README from `start` to `end`.
std::set<std::string> classes_between(const std::string& start, const std::string& end) {
  const std::string text = readme();
  const std::size_t from = text.find(start);
  const std::size_t to = text.find(end, from);
  EXPECT_NE(to, std::string::npos) << start << " ... " << end;
  const std::string part = text.substr(from + start.size(), to - from - start.size());
  const std::regex word("[A-Z][A-Za-z0-9]+");
  return {std::sregex_token_iterator(part.begin(), part.end(), word), {}};
}

TEST(ReadmeTest, NamesExactlyTheLayersThatAreThere) {
  std::set<std::string> registered;
  for (const std::string_view name : Registry::instance().class_names()) registered.emplace(name);
  // Older or distributed names of what is named.
  for (const char* other : {"BatchNormalizationV1", "BatchNormalizationV2",
                            "SyncBatchNormalization", "GroupedQueryAttention"}) {
    EXPECT_EQ(registered.erase(other), 1U);
  }
  EXPECT_EQ(classes_between("- **Layers**: ", "- **Machines**"), registered)
      << "a new layer is to be named in README.md, under \"What it supports\"";
}

TEST(ReadmeTest, SaysOfNoLayerThatItIsMissing) {
  for (const std::string& name : classes_between("are refused when", "- It computes")) {
    EXPECT_EQ(Registry::instance().find(name, false), nullptr) << name;
  }
}

}  // namespace
}  // namespace kerf::layers
