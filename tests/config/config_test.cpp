#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kerf/error.h"

namespace kerf::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

std::string error(const std::string& text, const std::vector<Override>& overrides = {}) {
  try {
    parse_config(text, "kerf.toml", overrides);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

constexpr std::string_view kWhole = R"(
[server]
address = "0.0.0.0"
port = 9000
idle_timeout = "2m"
drain_timeout = "1500ms"

[limits]
request_bytes = "128MiB"
reply_bytes = 1000

[models]
paths = ["a.keras", "x=b.keras"]
control = "poll"
precision = "bf16"

[models.ranker]
path = "/srv/ranker"
precision = "int8"
versions = "latest 2"
labels = { stable = 3, canary = "4" }

queue_length = 7

[models.ranker.batching]
max_rows = 32
delay = "200us"

[models.ranker.cuts.features]
fetches = ["concat"]
cache = "256MiB"

[models."with spaced.dots"]
path = "one.keras"
versions = [1, "7"]
load_at_start = false

[auth]
open_metrics = true

[auth.keys.shop]
sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
models = ["ranker"]
requests_per_second = 2.5
expires = 2027-01-31T12:00:00+01:00

[cors]
origins = ["https://example.org"]

[log]
level = "warn"
)";

TEST(Config, ReadsEveryKindOfValue) {
  std::string text(kWhole);
  text.replace(text.find("with spaced.dots"), 16, "with.dots");
  const Config config = parse_config(text, "/etc/kerf/kerf.toml");
  EXPECT_EQ(config.server.address, "0.0.0.0");
  EXPECT_EQ(config.server.port, 9000);
  EXPECT_EQ(config.server.idle_timeout, 120s);
  EXPECT_EQ(config.server.drain_timeout, 1500ms);
  EXPECT_EQ(config.server.limits.request_bytes, std::size_t{128} << 20);
  EXPECT_EQ(config.server.limits.reply_bytes, 1000U);
  EXPECT_EQ(config.models.control, serving::ModelControl::kPoll);
  const auto specs = config.specs();
  ASSERT_EQ(specs.size(), 4U);
  const auto find = [&](const std::string& name) {
    return *std::ranges::find(specs, name, &serving::ModelSpec::name);
  };
  EXPECT_EQ(find("ranker").path, "/srv/ranker");
  EXPECT_EQ(find("ranker").options.versions, (serving::VersionPolicy{.count = 2}));
  EXPECT_EQ(find("ranker").options.labels.at("canary"), "4");
  const serving::ModelSettings settings = find("ranker").options.serving;
  EXPECT_EQ(settings.batching, (serving::Batching{.max_rows = 32, .delay = 200us}));
  EXPECT_THAT(settings.cuts, ElementsAre(serving::NamedCut{.name = "features",
                                                           .feeds = {},
                                                           .fetches = {"concat"},
                                                           .cache_bytes = std::size_t{256} << 20}));
  EXPECT_EQ(settings.queue_length, 7U);
  EXPECT_EQ(settings.precision, Precision::kInt8);
  EXPECT_EQ(find("x").options.serving.precision, Precision::kBfloat16);
  EXPECT_EQ(find("with.dots").options.serving.precision, Precision::kBfloat16);
  EXPECT_EQ(find("with.dots").path, "/etc/kerf/one.keras");
  EXPECT_THAT(find("with.dots").options.versions->versions, ElementsAre("1", "7"));
  EXPECT_FALSE(find("with.dots").options.load_at_start);
  EXPECT_EQ(find("x").path, "b.keras");
  ASSERT_EQ(config.auth.keys.size(), 1U);
  const serving::AccessKey& key = config.auth.keys.front();
  EXPECT_EQ(key.name, "shop");
  EXPECT_EQ(key.hash, serving::hash_key("abc"));
  EXPECT_EQ(key.requests_per_second, 2.5);
  // 2027-01-31T11:00:00Z
  EXPECT_EQ(key.expires->time_since_epoch(), std::chrono::seconds(1801393200));
  EXPECT_EQ(config.log_level, "warn");
}

// What is printed reads as what it was printed from.
TEST(Config, PrintsWhatItReads) {
  for (const std::string& text : {std::string(), std::string(kWhole)}) {
    std::string good = text;
    if (const std::size_t at = good.find("with spaced.dots"); at != std::string::npos) {
      good.replace(at, 16, "with.dots");
    }
    const std::string printed = print_config(parse_config(good, "/etc/kerf/kerf.toml"));
    EXPECT_EQ(print_config(parse_config(printed, "printed")), printed);
  }
}

TEST(Config, SaysWhereItIsWrong) {
  EXPECT_THAT(error("[server]\nprot = 1\n"),
              HasSubstr("kerf.toml:2:1: server.prot: there is no such key; did you mean 'port'?"));
  EXPECT_THAT(error("[sever]\n"), HasSubstr("did you mean 'server'?"));
  EXPECT_THAT(error("[server]\nzzzzzzzzzz = 1\n"), HasSubstr("no such key here, but address"));
  EXPECT_THAT(error("[server]\n  port = 70000\n"),
              HasSubstr("kerf.toml:2:10: server.port: a whole"));
  EXPECT_THAT(error("[server]\nport = \"x\"\n"), HasSubstr("from 0 to 65535"));
  EXPECT_THAT(error("[models]\nprecision = \"fp16\"\n"),
              HasSubstr("kerf.toml: models.precision: \"float32\", \"bf16\" or \"int8\""));
  EXPECT_THAT(error("[models.a]\npath = \"a.keras\"\nprecision = 8\n"),
              HasSubstr("kerf.toml:3:13: models.a.precision: \"float32\", \"bf16\" or"));
  EXPECT_THAT(error("[server]\nidle_timeout = 3\n"), HasSubstr("a duration is wanted"));
  EXPECT_THAT(error("[server]\nidle_timeout = \"99999999999999h\"\n"), HasSubstr("a duration"));
  EXPECT_THAT(error("[limits]\nrequest_bytes = \"3 pounds\"\n"), HasSubstr("a size is wanted"));
  EXPECT_THAT(error("[models.m]\n"), HasSubstr("kerf.toml:1:1: models.m: a 'path' is missing"));
  EXPECT_THAT(error("[models.m]\npath = \"x\"\nversions = \"newest\"\n"), HasSubstr("\"latest\""));
  EXPECT_THAT(error("[models.m]\npath = \"x\"\nversions = \"latest 0\"\n"),
              HasSubstr("\"latest\""));
  EXPECT_THAT(error("[models.\"../m\"]\npath = \"x\"\n"), HasSubstr("a name has no"));
  EXPECT_THAT(error("[models.m]\npth = \"x\"\n"), HasSubstr("did you mean 'path'?"));
  EXPECT_THAT(error("[auth.keys.k]\nsha256 = \"abc\"\n"), HasSubstr("64 hexadecimal digits"));
  EXPECT_THAT(error("[auth.keys.k]\n"), HasSubstr("a 'sha256' is missing"));
  EXPECT_THAT(error("[tls]\nkey = \"k.pem\"\n"), HasSubstr("belong together"));
  EXPECT_THAT(error("[log]\nlevel = \"loud\"\n"), HasSubstr("'loud' is none of"));
  EXPECT_THAT(error("server = 3\n"), HasSubstr("this is a table"));
  EXPECT_THAT(error("[server\n"), HasSubstr("kerf.toml:1:8"));
}

// All at once, so that nobody mends one a run.
TEST(Config, SaysEverythingThatIsWrong) {
  const std::string what = error("[server]\nprot = 1\nport = -1\n[lmits]\n");
  EXPECT_THAT(what, HasSubstr("kerf.toml:2:1"));
  EXPECT_THAT(what, HasSubstr("kerf.toml:3:8"));
  EXPECT_THAT(what, HasSubstr("kerf.toml:4:"));
}

TEST(Config, TheCommandLineGoesFirst) {
  const std::vector<Override> given{{"server.port", "1", "--port"},
                                    {"log.level", "\"error\"", "--set"}};
  const Config config = parse_config("[server]\nport = 2\n", "kerf.toml", given);
  EXPECT_EQ(config.server.port, 1);
  EXPECT_EQ(config.log_level, "error");
  EXPECT_THAT(error("", {{"server.port", "-1", "--port"}}),
              HasSubstr("--port: server.port: a whole"));
  EXPECT_THAT(error("", {{"server.prt", "1", "--set"}}), HasSubstr("did you mean 'port'?"));
  EXPECT_THAT(error("", {{"server.port", "= 1", "--set"}}), HasSubstr("--set: "));
}

TEST(Config, TheReferenceIsOfThisCode) {
  std::ifstream file(std::string(KERF_SOURCE_DIR) + "/docs/configuration.md");
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == reference())
      << "docs/configuration.md is not of this code: write it again with "
         "`build/release/kerf config reference >docs/configuration.md`";
}

}  // namespace
}  // namespace kerf::config
