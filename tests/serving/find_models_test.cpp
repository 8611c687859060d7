#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kerf/error.h"
#include "serving/repository.h"

namespace kerf::serving {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// A folder of its own with files that only look like models: nothing is read here.
class FindModelsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "kerf-find-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { fs::remove_all(root_); }

  void make(const std::string& file) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << "x";
  }

  // "name/version" of what is found below these paths.
  std::vector<std::string> found(std::vector<std::string> paths) const {
    for (std::string& path : paths) {
      const std::size_t equals = path.find('=');
      path = equals == std::string::npos
                 ? (root_ / path).string()
                 : path.substr(0, equals + 1) + (root_ / path.substr(equals + 1)).string();
    }
    std::vector<std::string> names;
    for (const ModelFile& file : find_models(paths)) {
      EXPECT_TRUE(fs::exists(file.path)) << file.path;
      names.push_back(file.name + "/" + file.version);
    }
    return names;
  }
  std::string error(const std::vector<std::string>& paths) const {
    try {
      found(paths);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path root_;
};

TEST_F(FindModelsTest, FilesAreCalledAsTheyAreNamed) {
  make("recommender.keras");
  make("old.h5");
  make("older.hdf5");
  EXPECT_THAT(found({"recommender.keras", "old.h5", "older.hdf5"}),
              ElementsAre("recommender/1", "old/1", "older/1"));
  EXPECT_THAT(found({"other=old.h5"}), ElementsAre("other/1"));
}

TEST_F(FindModelsTest, AFolderGivesAllOfItsModels) {
  make("models/b.keras");
  make("models/a.h5");
  make("models/notes.txt");
  make("models/.hidden.keras");
  make("models/unzipped/config.json");
  make("models/unzipped/model.weights.h5");
  make("models/saved/saved_model.pb");
  make("models/versioned/1/model.keras");
  make("models/versioned/12/model.keras");
  make("models/versioned/readme/x.txt");
  make("models/deeper/still/no.keras");
  const auto all =
      ElementsAre("a/1", "b/1", "saved/1", "unzipped/1", "versioned/1", "versioned/12");
  EXPECT_THAT(found({"models"}), all);
  EXPECT_THAT(found({"models/"}), all);
}

TEST_F(FindModelsTest, AFolderMayBeOneModel) {
  make("m/1/any.h5");
  make("m/007/model.keras");
  make("u/config.json");
  make("u/model.weights.h5");
  EXPECT_THAT(found({"m"}), ElementsAre("m/7", "m/1"));
  EXPECT_THAT(found({"u"}), ElementsAre("u/1"));
  EXPECT_THAT(found({"name=m"}), ElementsAre("name/7", "name/1"));
}

// Beside an HDF5 file a model.json says nothing new.
TEST_F(FindModelsTest, ModelsOfTensorFlowJsAreFolders) {
  make("js/model.json");
  make("js/group1-shard1of1.bin");
  make("h5/model.json");
  make("h5/model.h5");
  EXPECT_THAT(found({"js"}), ElementsAre("js/1"));
  EXPECT_THAT(found({"js/model.json"}), ElementsAre("js/1"));
  EXPECT_THAT(found({"h5"}), ElementsAre("model/1"));
}

TEST_F(FindModelsTest, SaysWhatIsNotThere) {
  make("empty/readme.txt");
  make("model.onnx");
  EXPECT_THAT(error({"nothing.keras"}), HasSubstr("no such file"));
  EXPECT_THAT(error({"empty"}), HasSubstr("there is no model in this folder"));
  EXPECT_THAT(error({"model.onnx"}), HasSubstr(".keras"));
}

TEST_F(FindModelsTest, RefusesWhatIsNotClear) {
  make("a/m.keras");
  make("b/m.keras");
  make("b/n.keras");
  make("v/1/x.keras");
  make("v/1/y.keras");
  make("w/1/notes.txt");
  EXPECT_THAT(error({"a", "b"}), HasSubstr("two models are called 'm'"));
  EXPECT_THAT(error({"name=b"}), HasSubstr("cannot name all"));
  EXPECT_THAT(error({"v"}), HasSubstr("a version folder holds one model, but there are 2"));
  EXPECT_THAT(error({"w"}), HasSubstr("but there are 0"));
}

}  // namespace
}  // namespace kerf::serving
