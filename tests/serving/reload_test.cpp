#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "kerf/error.h"
#include "serving/repository.h"
#include "tests/serving/model_folder.h"

namespace kerf::serving {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ReloadTest : public testing::Test {
 protected:
  // "name/version" of what answers.
  static std::vector<std::string> served(const Repository& repository) {
    std::vector<std::string> names;
    const auto snapshot = repository.snapshot();
    for (const auto& [name, entry] : snapshot->models()) {
      for (const ModelVersion& version : entry.versions) {
        if (version.model) names.push_back(name + "/" + version.version);
      }
    }
    return names;
  }
  static std::string reason(const Repository& repository, const std::string& name) {
    return repository.snapshot()->entry(name)->versions.back().reason;
  }
  // Once to see what is new, once more to see that it has come to rest.
  static void settle(Repository& repository) {
    repository.poll();
    repository.poll();
  }
  std::vector<ModelSpec> all() const { return {{.name = {}, .path = folder_.path()}}; }

  ModelFolder folder_;
};

TEST_F(ReloadTest, ServesTheVersionsThatThePolicySays) {
  for (const char* version : {"1", "2", "9", "10"}) {
    folder_.put("m/" + std::string(version) + "/model.keras", "conv1d");
  }
  const auto with = [&](std::optional<VersionPolicy> policy) {
    Repository repository;
    EXPECT_THAT(
        repository.configure({{.name = {}, .path = folder_.path(), .options = {policy, {}, true}}}),
        IsEmpty());
    EXPECT_TRUE(repository.started());
    return served(repository);
  };
  EXPECT_THAT(with({}), ElementsAre("m/10"));
  EXPECT_THAT(with(VersionPolicy{.count = 2}), ElementsAre("m/9", "m/10"));
  EXPECT_THAT(with(VersionPolicy{.kind = VersionPolicy::Kind::kAll}),
              ElementsAre("m/1", "m/2", "m/9", "m/10"));
  const VersionPolicy specific{.kind = VersionPolicy::Kind::kSpecific, .versions = {"2", "9"}};
  EXPECT_THAT(with(specific), ElementsAre("m/2", "m/9"));
  folder_.write("m/config.pbtxt", "version_policy { specific { versions: [1, 10] } }");
  EXPECT_THAT(with({}), ElementsAre("m/1", "m/10"));
  EXPECT_THAT(with(specific), ElementsAre("m/2", "m/9"));
}

TEST_F(ReloadTest, SaysWhatItDidNotFind) {
  folder_.put("m/1/model.keras", "conv1d");
  Repository repository;
  const ModelOptions options{
      .versions = VersionPolicy{.kind = VersionPolicy::Kind::kSpecific, .versions = {"1", "4"}},
      .labels = {{"stable", "1"}, {"canary", "7"}}};
  EXPECT_THAT(repository.configure({{.name = {}, .path = folder_.path(), .options = options},
                                    {.name = {}, .path = folder_.path() / "none"}}),
              testing::UnorderedElementsAre(HasSubstr("no version 4"), HasSubstr("no such file"),
                                            HasSubstr("the label 'canary'")));
  EXPECT_NE(repository.snapshot()->find_label("m", "stable"), nullptr);
  EXPECT_EQ(repository.snapshot()->find_label("m", "canary"), nullptr);
}

TEST_F(ReloadTest, WatchesFiles) {
  folder_.put("m/1/model.keras", "conv1d");
  folder_.put("other.keras", "recommender");
  Repository repository({.control = ModelControl::kPoll, .poll_interval = std::chrono::hours(1)});
  EXPECT_THAT(repository.configure(all()), IsEmpty());
  EXPECT_THAT(served(repository), ElementsAre("m/1", "other/1"));
  const auto other = repository.snapshot()->find("other");

  folder_.put("m/2/model.keras", "conv1d");
  repository.poll();  // it may be half-written
  EXPECT_THAT(served(repository), ElementsAre("m/1", "other/1"));
  repository.poll();
  EXPECT_THAT(served(repository), ElementsAre("m/2", "other/1"));

  const auto second = repository.snapshot()->find("m");
  settle(repository);
  EXPECT_EQ(repository.snapshot()->find("m"), second);
  folder_.put("m/2/model.keras", "conv1d");
  settle(repository);
  EXPECT_NE(repository.snapshot()->find("m"), second);
  EXPECT_EQ(repository.snapshot()->find("other"), other);

  folder_.remove("other.keras");
  repository.poll();
  EXPECT_THAT(served(repository), ElementsAre("m/2"));
}

// What has no files any more because its place is gone is not unloaded: a mount may come back.
TEST_F(ReloadTest, APlaceThatIsGoneKeepsItsModels) {
  folder_.put("models/m.keras", "conv1d");
  Repository repository;
  repository.configure({{.name = {}, .path = folder_.path() / "models"}});
  folder_.remove("models");
  settle(repository);
  EXPECT_THAT(served(repository), ElementsAre("m/1"));
}

TEST_F(ReloadTest, GarbageKeepsTheOldVersion) {
  folder_.put("m.keras", "conv1d");
  std::vector<std::string> failed;
  Repository repository({.event = [&](const RepositoryEvent& event) {
    if (event.kind == RepositoryEvent::Kind::kFailed) failed.push_back(event.text);
  }});
  repository.configure(all());
  const auto old = repository.snapshot()->find("m");
  folder_.write("m.keras", "this is no model");
  settle(repository);
  settle(repository);
  EXPECT_EQ(repository.snapshot()->find("m"), old);
  EXPECT_THAT(reason(repository, "m"), HasSubstr("m.keras"));
  EXPECT_THAT(failed, ElementsAre(HasSubstr("m.keras")));
  EXPECT_EQ(repository.snapshot()->entry("m")->versions.front().state, VersionState::kReady);
  EXPECT_EQ(repository.snapshot()->entry("m")->loads, 1U);
  EXPECT_EQ(repository.snapshot()->entry("m")->load_failures, 1U);

  folder_.put("m.keras", "conv1d");
  settle(repository);
  EXPECT_NE(repository.snapshot()->find("m"), old);
  EXPECT_EQ(reason(repository, "m"), "");
}

TEST_F(ReloadTest, AVersionThatCannotBeServedDoesNotTakeThePlaceOfOneThatCan) {
  folder_.put("m/1/model.keras", "conv1d");
  Repository repository;
  repository.configure(all());
  folder_.write("m/2/notes.txt", "coming soon");
  settle(repository);
  EXPECT_THAT(served(repository), ElementsAre("m/1"));
  EXPECT_THAT(reason(repository, "m"), HasSubstr("a version folder holds one model"));
  EXPECT_EQ(repository.snapshot()->find("m", "2"), nullptr);
  EXPECT_EQ(repository.snapshot()->absence("m", "2").code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(repository.started());
}

TEST_F(ReloadTest, LoadsAndUnloadsWhenToldTo) {
  folder_.put("m.keras", "conv1d");
  folder_.put("n.keras", "conv1d");
  Repository repository({.control = ModelControl::kExplicit});
  std::vector<ModelSpec> specs = all();
  specs[0].options.load_at_start = false;
  repository.configure(specs);
  EXPECT_THAT(served(repository), IsEmpty());
  EXPECT_EQ(repository.snapshot()->absence("m").code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(repository.started());
  repository.load_model("m");
  EXPECT_THAT(served(repository), ElementsAre("m/1"));
  const auto first = repository.snapshot()->find("m");
  repository.load_model("m");
  EXPECT_NE(repository.snapshot()->find("m"), first);
  repository.unload_model("m");
  EXPECT_THAT(served(repository), IsEmpty());
  EXPECT_EQ(reason(repository, "m"), "unloaded");
  settle(repository);
  EXPECT_THAT(served(repository), IsEmpty());
  for (const char* name : {"", "none", "../m", "/etc/passwd", "m.keras", "n/../m", "."}) {
    EXPECT_THROW(repository.load_model(name), Error) << name;
    EXPECT_THROW(repository.unload_model(name), Error) << name;
  }
  folder_.write("n.keras", "garbage");
  EXPECT_THROW(repository.load_model("n"), Error);
}

TEST_F(ReloadTest, IsNotToldWhatToDoUnlessThatIsAllowed) {
  folder_.put("m.keras", "conv1d");
  Repository repository;
  repository.configure(all());
  try {
    repository.unload_model("m");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  }
  EXPECT_THROW(repository.load_model("m"), Error);
  EXPECT_THAT(served(repository), ElementsAre("m/1"));
}

TEST_F(ReloadTest, AnotherConfigurationServesOtherModels) {
  folder_.put("a/m.keras", "conv1d");
  folder_.put("b/n.keras", "conv1d");
  Repository repository;
  repository.configure({{.name = {}, .path = folder_.path() / "a"}});
  const auto m = repository.snapshot()->find("m");
  repository.configure(
      {{.name = {}, .path = folder_.path() / "a"}, {.name = "x", .path = folder_.path() / "b"}});
  EXPECT_THAT(served(repository), ElementsAre("m/1", "x/1"));
  EXPECT_EQ(repository.snapshot()->find("m"), m);
  repository.configure({{.name = {}, .path = folder_.path() / "b"}});
  EXPECT_THAT(served(repository), ElementsAre("n/1"));
}

// The plans that calls of the old version use are there before the new one answers.
TEST_F(ReloadTest, NewVersionsAreWarm) {
  folder_.put("m.keras", "recommender");
  Repository repository;
  repository.configure(all());
  const std::vector<std::string_view> feeds{"Segment"};
  const std::vector<Shape> shapes{{7, 1}};
  const std::vector<std::string_view> fetches{"flat"};
  const CallSpec spec{.feeds = feeds, .shapes = shapes, .fetches = fetches};
  const auto old = repository.snapshot()->find("m");
  old->make_target(spec);
  folder_.put("m.keras", "recommender");
  settle(repository);
  const auto fresh = repository.snapshot()->find("m");
  EXPECT_NE(fresh, old);
  std::string key;
  write_target_key(spec, key);
  EXPECT_TRUE(fresh->find_target(key));
  const OwnedCallSpec read = read_target_key(key);
  EXPECT_THAT(read.feeds, ElementsAre("Segment"));
  EXPECT_THAT(read.shapes, ElementsAre(Shape{7, 1}));
  EXPECT_THAT(read.fetches, ElementsAre("flat"));
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t whole = 0;
  std::size_t resident = 0;
  file >> whole >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// Memory after 200 reloads is what it was after 5.
TEST_F(ReloadTest, GivesMemoryBack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr bool kMeasures = false;  // sanitizers keep what is freed
#else
  constexpr bool kMeasures = true;
#endif
  folder_.put("m.keras", "bidirectional");
  Repository repository({.control = ModelControl::kExplicit});
  repository.configure(all());
  std::weak_ptr<const ServedModel> last;
  const auto reload = [&](int times) {
    for (int i = 0; i < times; ++i) {
      last = repository.snapshot()->find("m");
      repository.load_model("m");
    }
    for (int i = 0; i < 500 && !last.expired(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(last.expired());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // the last one is being freed
    return static_cast<double>(resident_bytes());
  };
  const double after_5 = reload(5);
  const double after_200 = reload(195);
  if (kMeasures) {
    EXPECT_LE(after_200, after_5 * 1.05);
  }
}

}  // namespace
}  // namespace kerf::serving
