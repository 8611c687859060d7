#include "protocol/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <set>
#include <string>

#include "protocol/route.h"

namespace kerf::protocol {
namespace {

void collect_references(const boost::json::value& value, std::set<std::string>& found) {
  if (const auto* object = value.if_object()) {
    for (const auto& [key, member] : *object) {
      if (key == "$ref") {
        found.insert(std::string(member.as_string()));
      } else {
        collect_references(member, found);
      }
    }
  } else if (const auto* array = value.if_array()) {
    for (const auto& member : *array) collect_references(member, found);
  }
}

boost::json::value document() {
  Buffer buffer;
  write_openapi(buffer);
  return boost::json::parse(buffer.view());
}

TEST(OpenApi, NamesOnlyWhatIsThere) {
  const boost::json::value api = document();
  std::set<std::string> references;
  collect_references(api, references);
  EXPECT_FALSE(references.empty());
  for (const std::string& reference : references) {
    ASSERT_TRUE(reference.starts_with("#/"));
    EXPECT_NO_THROW(static_cast<void>(api.at_pointer(reference.substr(1)))) << reference;
  }
  std::set<std::string> operations;
  for (const auto& [path, item] : api.at("paths").as_object()) {
    Route route;
    route.read(path);
    EXPECT_NE(route.endpoint, Endpoint::kUnknown) << path;
    for (const char* method : {"get", "post"}) {
      const auto* operation = item.as_object().if_contains(method);
      if (operation == nullptr) continue;
      const std::string wanted = std::string(method) == "get" ? "GET" : "POST";
      EXPECT_THAT(std::string(allowed_methods(route.endpoint)), testing::HasSubstr(wanted)) << path;
      EXPECT_TRUE(operations.insert(std::string(operation->at("operationId").as_string())).second);
    }
  }
}

TEST(OpenApi, ThePageLoadsNothingFromElsewhere) {
  Buffer buffer;
  write_api_page(buffer);
  const std::string page(buffer.view());
  EXPECT_THAT(page, testing::HasSubstr("openapi.json"));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("://")));
}

}  // namespace
}  // namespace kerf::protocol
