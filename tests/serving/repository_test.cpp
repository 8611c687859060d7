#include "serving/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

using testing::HasSubstr;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden" / (name + ".keras");
}

TEST(Repository, LoadsSeveralAtOnceAndReports) {
  std::vector<ModelFile> files;
  for (const char* name : {"recommender", "small_cnn", "conv1d", "dict_io", "masking_layer"}) {
    files.push_back({.name = name, .path = golden(name)});
  }
  std::atomic<int> loaded = 0;
  double last = 0;
  const auto repository = Repository::load(files, {.threads = 4,
                                                   .loaded =
                                                       [&](const ServedModel&, double seconds) {
                                                         EXPECT_GE(seconds, 0);
                                                         ++loaded;
                                                       },
                                                   .progress =
                                                       [&](double share) {
                                                         EXPECT_GE(share, last);
                                                         last = share;
                                                       }});
  EXPECT_EQ(loaded, 5);
  EXPECT_DOUBLE_EQ(last, 1);
  const auto models = repository->snapshot();
  EXPECT_EQ(models->models().size(), 5U);
  EXPECT_NE(models->find("conv1d"), nullptr);
  EXPECT_EQ(models->find("conv2d"), nullptr);
  EXPECT_EQ(models->find("conv1d", "2"), nullptr);
}

TEST(Repository, TheHighestVersionIsTheDefault) {
  std::vector<ModelFile> files;
  for (const char* version : {"9", "10", "2"}) {
    files.push_back({.name = "m", .version = version, .path = golden("recommender")});
  }
  const auto models = Repository::load(files)->snapshot();
  EXPECT_EQ(models->find("m")->version(), "10");
  EXPECT_EQ(models->find("m", "9")->version(), "9");
  EXPECT_EQ(models->find("m", "09"), nullptr);
  EXPECT_EQ(models->entry("m")->versions.front().version, "2");
}

// A reader sees what was published last, and holds the old no longer than it must.
TEST(Repository, ReadersSeeWhatIsPublished) {
  const auto repository = Repository::load(
      std::vector<ModelFile>{{.name = "m", .version = "1", .path = golden("recommender")}});
  Repository::Reader reader(*repository);
  EXPECT_TRUE(reader.stale());
  const std::weak_ptr<const ServedModel> first = reader.snapshot().find("m");
  EXPECT_FALSE(reader.stale());
  repository->publish(
      *Repository::load(
           std::vector<ModelFile>{{.name = "m", .version = "2", .path = golden("recommender")}})
           ->snapshot());
  EXPECT_TRUE(reader.stale());
  EXPECT_FALSE(first.expired());
  EXPECT_EQ(reader.snapshot().find("m")->version(), "2");
  EXPECT_TRUE(first.expired());
  const std::weak_ptr<const ServedModel> second = reader.snapshot().find("m");
  repository->publish({});
  reader.rest();
  EXPECT_TRUE(second.expired());
  EXPECT_EQ(reader.snapshot().find("m"), nullptr);
}

TEST(Snapshot, SaysWhyAModelIsNotThere) {
  const auto served =
      std::make_shared<const ServedModel>("m", "2", Model::load(golden("conv1d")), Limits{});
  const Snapshot models(
      {{"m",
        {.versions =
             {{.version = "10", .state = VersionState::kLoading},
              {.version = "2", .state = VersionState::kReady, .reason = {}, .model = served}},
         .labels = {{"stable", "2"}, {"canary", "10"}}}}});
  EXPECT_EQ(models.find("m"), served);
  EXPECT_EQ(models.find_label("m", "stable"), served);
  EXPECT_EQ(models.find_label("m", "canary"), nullptr);
  EXPECT_EQ(models.find_label("m", "other"), nullptr);
  EXPECT_EQ(models.absence("m", "10").code(), ErrorCode::kUnavailable);
  EXPECT_THAT(models.absence("m", "10").what(), HasSubstr("LOADING"));
  EXPECT_EQ(models.absence("m", "3").code(), ErrorCode::kNotFound);
  EXPECT_THAT(models.absence("m", "3").what(), HasSubstr("the highest is 10"));
  EXPECT_EQ(models.absence("n").code(), ErrorCode::kNotFound);
}

TEST(Repository, NamesEveryFileThatCannotBeServed) {
  const std::filesystem::path text = std::filesystem::path(KERF_SOURCE_DIR) / "LICENSE";
  const std::vector<ModelFile> files{{.name = "good", .path = golden("recommender")},
                                     {.name = "text", .path = text},
                                     {.name = "missing", .path = golden("missing")}};
  try {
    Repository::load(files);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile);
    EXPECT_THAT(error.what(), HasSubstr("LICENSE"));
    EXPECT_THAT(error.what(), HasSubstr("missing.keras"));
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("recommender.keras")));
  }
}

// The recommender, with room for few cuts and plans.
class ServedModelTest : public testing::Test {
 protected:
  static Plan plan(const ServedModel& model, const std::vector<std::string_view>& feeds,
                   const std::vector<Shape>& shapes,
                   const std::vector<std::string_view>& fetches = {}) {
    return model.make_target({.feeds = feeds, .shapes = shapes, .fetches = fetches})->plan;
  }
  static std::string key(const std::vector<std::string_view>& feeds,
                         const std::vector<Shape>& shapes,
                         const std::vector<std::string_view>& fetches = {}) {
    std::string text;
    write_target_key({.feeds = feeds, .shapes = shapes, .fetches = fetches}, text);
    return text;
  }

  const ServedModel model_{
      "recommender",
      "1",
      Model::load(golden("recommender")),
      {.tensor_elements = 1000, .reply_bytes = 4000, .cuts_per_model = 2, .plans_per_model = 3}};
};

TEST_F(ServedModelTest, FindsWhatItMade) {
  const std::vector<std::string_view> segment{"Segment"};
  const std::vector<std::string_view> embedding{"Embedding-Segment"};
  const std::string text = key(segment, {{1, 1}}, embedding);
  EXPECT_FALSE(model_.find_target(text));
  plan(model_, segment, {{1, 1}}, embedding);
  ASSERT_TRUE(model_.find_target(text));
  EXPECT_EQ(model_.find_target(text)->plan.fetches()[0].name, "Embedding-Segment");
  EXPECT_FALSE(model_.find_target(key(segment, {{2, 1}}, embedding)));
  EXPECT_FALSE(model_.find_target(key(segment, {{1, 1}}, {"flat"})));
}

TEST_F(ServedModelTest, ForgetsWhatWasUsedLongestAgo) {
  const std::vector<std::string_view> segment{"Segment"};
  const std::vector<std::string_view> embedding{"Embedding-Segment"};
  const auto known = [&](std::int64_t batch) {
    return model_.find_target(key(segment, {{batch, 1}}, embedding)) != nullptr;
  };
  for (std::int64_t batch = 1; batch <= 3; ++batch) plan(model_, segment, {{batch, 1}}, embedding);
  EXPECT_TRUE(known(1));  // and so used last
  plan(model_, segment, {{4, 1}}, embedding);
  EXPECT_TRUE(known(1));
  EXPECT_FALSE(known(2));
  EXPECT_TRUE(known(3));
  EXPECT_TRUE(known(4));
}

TEST_F(ServedModelTest, KeysAreNotConfused) {
  EXPECT_NE(key({"a", "b"}, {{1}, {1}}), key({"a"}, {{1}}, {"b"}));
  EXPECT_NE(key({"ab"}, {{1}}, {"c"}), key({"a"}, {{1}}, {"bc"}));
  EXPECT_NE(key({"a"}, {{1, 1}}), key({"a"}, {{1}}));
  EXPECT_EQ(key({"a"}, {{1, 2}}, {"b"}), key({"a"}, {{1, 2}}, {"b"}));
}

TEST_F(ServedModelTest, RefusesWhatIsTooLarge) {
  const std::vector<std::string_view> segment{"Segment"};
  for (const std::int64_t batch : {200, 1001}) {
    try {
      plan(model_, segment, {{batch, 1}}, {"Embedding-Segment"});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kResourceExhausted);
    }
  }
  EXPECT_NO_THROW(plan(model_, segment, {{100, 1}}, {"Embedding-Segment"}));
}

TEST_F(ServedModelTest, RefusesFeedsThatNothingNeeds) {
  EXPECT_THROW(plan(model_, {}, {}), Error);
  // All inputs may be fed whatever is fetched, for clients that know nothing of cuts.
  EXPECT_NO_THROW(plan(model_, {"Features", "Segment"}, {{1, 10}, {1, 1}}, {"flat"}));
  EXPECT_THROW(plan(model_, {"dense_hidden", "Segment"}, {{1, 16}, {1, 1}}), Error);
}

TEST_F(ServedModelTest, ManyThreadsMayWantTheSame) {
  std::vector<std::thread> threads;
  std::atomic<int> made = 0;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      for (std::int64_t batch = 1; batch <= 8; ++batch) {
        for (const char* fetch : {"Embedding-Segment", "flat"}) {
          plan(model_, {"Segment"}, {{batch, 1}}, {fetch});
          ++made;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 16 * 16);
}

}  // namespace
}  // namespace kerf::serving
