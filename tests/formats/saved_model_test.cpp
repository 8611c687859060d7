#include "formats/saved_model.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <vector>

#include "formats/reader.h"
#include "formats/sorted_table.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/saved_model_support.h"
#include "tests/formats/support.h"

// SavedModels of tf.keras, made here field by field.
namespace kerf::formats {
namespace {

using test::SavedModel;
using test::Variable;
using testing::ElementsAre;
using testing::HasSubstr;

const char* const kFunctional = R"({"class_name": "Functional", "keras_version": "2.9.0",
  "config": {"name": "m", "layers": [
    {"class_name": "InputLayer", "name": "x", "inbound_nodes": [], "config": {"name": "x",
      "batch_input_shape": {"class_name": "__tuple__", "items": [null, 2]}, "dtype": "float32"}},
    {"class_name": "Dense", "name": "d", "inbound_nodes": [[["x", 0, 0, {}]]],
      "config": {"name": "d", "units": 3, "activation": "relu", "use_bias": true}},
    {"class_name": "BatchNormalization", "name": "n", "inbound_nodes": [[["d", 0, 0, {}]]],
      "config": {"name": "n", "axis": {"class_name": "__tuple__", "items": [1]}, "epsilon": 0,
                 "momentum": 0.9, "scale": true, "center": true}}],
    "input_layers": [["x", 0, 0]], "output_layers": [["n", 0, 0]]}})";

SavedModel small_model() {
  return {.metadata = kFunctional,
          .variables = {
              {.path = "layer-1/kernel", .dims = {2, 3}, .values = {1, 2, 3, 4, 5, 6}},
              {.path = "layer-1/bias", .dims = {3}, .values = {-10, 0, 10}},
              {.path = "layer-2/beta", .dims = {3}, .values = {1, 2, 3}},
              {.path = "layer-2/gamma", .dims = {3}, .values = {2, 2, 2}},
              {.path = "layer-2/moving_mean", .dims = {3}, .values = {1, 1, 1}},
              {.path = "layer-2/moving_variance", .dims = {3}, .values = {4, 1, 0.25}},
          }};
}

std::vector<float> run(const std::filesystem::path& folder, const Tensor& input) {
  const Tensor output = Model::load(folder).whole().run(std::vector<Tensor>{input})[0];
  const auto values = output.as<float>();
  return {values.begin(), values.end()};
}

// x = (1, 1): Dense gives relu(5 - 10, 7, 9 + 10); each is normalised, doubled and shifted.
void expect_small_model(const SavedModel& model) {
  const test::TemporaryFolder folder;
  model.write(folder / "m");
  EXPECT_THAT(run(folder / "m", Tensor::floats({1, 2}, std::vector<float>{1, 1})),
              ElementsAre(testing::FloatNear(-1.0F + 1, 1e-5), testing::FloatNear(12 + 2, 1e-5),
                          testing::FloatNear(72 + 3, 1e-4)));
}

void expect_refused(const SavedModel& model, ErrorCode code, const std::string& text) {
  const test::TemporaryFolder folder;
  model.write(folder / "m");
  try {
    read_model(folder / "m");
    ADD_FAILURE() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

TEST(SavedModelReader, MetadataBesideTheModel) { expect_small_model(small_model()); }

TEST(SavedModelReader, MetadataInsideTheModel) {
  SavedModel model = small_model();
  model.old = true;
  expect_small_model(model);
}

TEST(SavedModelReader, VariablesInSeveralFiles) {
  SavedModel model = small_model();
  model.shards = 3;
  model.variables[1].shard = 2;
  model.variables[4].shard = 1;
  expect_small_model(model);
}

TEST(SavedModelReader, VariablesMayStandAnywhereInTheirFile) {
  SavedModel model = small_model();
  model.padding = "odd";
  expect_small_model(model);
}

TEST(SavedModelReader, VariablesUnderOtherNamesAreFoundByTheirOrder) {
  SavedModel model = small_model();
  for (std::size_t i = 0; i < model.variables.size(); ++i) model.variables[i].path += "_of_old";
  model.variables[0].aliases = "layer-1/variables/0";
  model.variables[1].aliases = "layer-1/variables/1";
  model.variables[3].aliases = "layer-2/variables/0";
  model.variables[2].aliases = "layer-2/variables/1";
  model.variables[4].aliases = "layer-2/variables/2";
  model.variables[5].aliases = "layer-2/variables/3";
  expect_small_model(model);
}

TEST(SavedModelReader, KeysNeedNotFollowTheLayers) {
  SavedModel model = small_model();
  model.variables[0].path = "variables/0";
  model.variables[0].aliases = "layer-1/kernel";
  expect_small_model(model);
}

TEST(SavedModelReader, SequentialModelsDoNotCountTheirInput) {
  const SavedModel model{
      .identifier = "_tf_keras_sequential",
      .metadata = R"({"class_name": "Mine", "build_input_shape":
        {"class_name": "TensorShape", "items": [null, 2]}, "config": {"name": "s", "layers": [
        {"class_name": "Dense", "config": {"name": "a", "units": 1}},
        {"class_name": "Sequential", "config": {"name": "inner", "layers": [
          {"class_name": "InputLayer", "config": {"name": "i", "batch_input_shape": [null, 1]}},
          {"class_name": "Dense", "config": {"name": "b", "units": 2}}]}}]}})",
      .variables = {{.path = "layer-0/kernel", .dims = {2, 1}, .values = {1, 2}},
                    {.path = "layer-0/bias", .dims = {1}, .values = {3}},
                    {.path = "layer-1/layer-0/kernel", .dims = {1, 2}, .values = {1, -1}},
                    {.path = "layer-1/layer-0/bias", .dims = {2}, .values = {0, 5}}}};
  const test::TemporaryFolder folder;
  model.write(folder / "m");
  EXPECT_THAT(run(folder / "m", Tensor::floats({1, 2}, std::vector<float>{1, 1})),
              ElementsAre(6, -1));
}

TEST(SavedModelReader, SubclassedModelsNeedAGraph) {
  SavedModel model = small_model();
  model.identifier = "_tf_keras_model";
  model.metadata.replace(model.metadata.find("Functional"), 10, "MyDetector");
  expect_small_model(model);
  model.metadata = R"({"class_name": "MyDetector", "config": {"layers": [64, 32]}})";
  expect_refused(model, ErrorCode::kUnsupported, "'MyDetector' is a subclassed model");
  model.metadata = R"({"class_name": "MyDetector"})";
  expect_refused(model, ErrorCode::kUnsupported, "'MyDetector' is a subclassed model");
  model.identifier = "_tf_keras_layer";
  expect_refused(model, ErrorCode::kUnsupported, "a layer (MyDetector)");
}

void expect_plain(const std::string& proto, const std::string& text) {
  try {
    read_saved_model_proto(proto, "saved_model.pb");
    ADD_FAILURE() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr(text));
    EXPECT_THAT(error.what(), HasSubstr("model.save('model.keras')"));
  }
}

TEST(SavedModelReader, SavedModelsWithoutKerasAreRefusedWithAdvice) {
  using test::saved_model_proto;
  using test::user_object;
  expect_plain(saved_model_proto(user_object("_generic_user_object", "", {"f"})), "without Keras");
  expect_plain(saved_model_proto(user_object("_generic_user_object", "", {"_tracked", "serve"})),
               "export()");
  expect_plain(saved_model_proto(user_object("_tf_keras_network", "", {"layer-0"})),
               "keras_metadata.pb");
  expect_plain(test::number_field(1, 1) + test::bytes_field(2, test::bytes_field(2, "nodes")),
               "TensorFlow 1");
}

TEST(SavedModelReader, WhatVariablesDoNotFitIsNamed) {
  const auto spoilt = [](const std::function<void(SavedModel&)>& spoil) {
    SavedModel model = small_model();
    spoil(model);
    return model;
  };
  const auto invalid = ErrorCode::kInvalidFile;
  expect_refused(spoilt([](SavedModel& m) { m.variables.erase(m.variables.begin()); }), invalid,
                 "layer 'd': the file holds 0 weights, but 2 are expected");
  expect_refused(spoilt([](SavedModel& m) { m.variables.resize(2); }), invalid,
                 "layer 'n': the variables have no layer-2");
  expect_refused(spoilt([](SavedModel& m) {
                   m.variables[0].dims = {3, 2};
                 }),
                 invalid, "'kernel' has the shape (3, 2), but (2, 3) is expected");
  expect_refused(spoilt([](SavedModel& m) {
                   m.variables[0].dims = {2, 4};
                 }),
                 invalid, "another size than its shape needs");
  expect_refused(spoilt([](SavedModel& m) {
                   m.variables[0].dims = {1LL << 62, 1LL << 62};
                 }),
                 invalid, "an impossible shape");
  expect_refused(spoilt([](SavedModel& m) {
                   m.variables[0].dims = {-1, 3};
                 }),
                 invalid, "an impossible shape");
  // Later fields of a message win over earlier ones.
  const auto with = [&](const std::string& field) {
    return spoilt([&](SavedModel& m) { m.extra["layer-1/kernel"] = field; });
  };
  expect_refused(with(test::number_field(4, 1)), invalid, "a wrong check sum");
  expect_refused(with(test::number_field(4, 1U << 20U)), invalid, "outside of the data");
  expect_refused(with(test::number_field(4, ~0ULL)), invalid, "outside of the data");
  expect_refused(with(test::number_field(3, 1)), invalid, "the header does not count");
  expect_refused(with(test::number_field(1, 8)), ErrorCode::kUnsupported, "type 8");
  expect_refused(with(test::bytes_field(7, "")), ErrorCode::kUnsupported, "partitioned");
}

TEST(SavedModelReader, MissingFilesAreNamed) {
  for (const char* name : {"variables.index", "variables.data-00000-of-00001"}) {
    const test::TemporaryFolder folder;
    small_model().write(folder / "m");
    std::filesystem::remove(folder / "m/variables" / name);
    const std::vector<std::string> reasons = problems(folder / "m");
    ASSERT_EQ(reasons.size(), 1U);
    EXPECT_THAT(reasons[0], HasSubstr(name));
  }
}

// What is damaged in the index or the data is found, or is not looked at.
TEST(SavedModelReader, DamageIsFoundOrHarmless) {
  const test::TemporaryFolder folder;
  small_model().write(folder / "m");
  const Tensor input = Tensor::floats({1, 2}, std::vector<float>{1, 1});
  const std::vector<float> truth = run(folder / "m", input);
  for (const auto& [name, step] :
       {std::pair("variables/variables.index", 1U), std::pair("keras_metadata.pb", 7U),
        std::pair("variables/variables.data-00000-of-00001", 5U)}) {
    const std::filesystem::path path = folder / "m" / name;
    const std::string bytes = test::read_text(path);
    for (std::size_t i = 0; i < bytes.size(); i += step) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
      test::write_text(path, damaged);
      // The metadata have no check sum.
      if (problems(folder / "m").empty() && path.extension() != ".pb") {
        EXPECT_EQ(run(folder / "m", input), truth) << name << ", byte " << i;
      }
      test::write_text(path, bytes.substr(0, i));
      EXPECT_FALSE(problems(folder / "m").empty()) << name << ", cut to " << i;
    }
    test::write_text(path, bytes);
  }
}

TEST(SortedTable, EntriesOfAllBlocksInOrder) {
  const std::string file = test::sorted_table(
      {{{"", "h"}, {"a/b/c", "1"}, {"a/b/d", ""}}, {{"a/c", "2"}, {"a/c/d", "3"}, {"b", "4"}}});
  const auto entries = read_sorted_table(file, "test");
  std::vector<std::pair<std::string, std::string>> copies(entries.begin(), entries.end());
  using Entry = std::pair<std::string, std::string>;
  EXPECT_THAT(copies, ElementsAre(Entry("", "h"), Entry("a/b/c", "1"), Entry("a/b/d", ""),
                                  Entry("a/c", "2"), Entry("a/c/d", "3"), Entry("b", "4")));
}

void expect_bad_table(const std::string& file, ErrorCode code, const std::string& text) {
  try {
    read_sorted_table(file, "test");
    ADD_FAILURE() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

TEST(SortedTable, ContradictionsAreRefused) {
  const auto invalid = ErrorCode::kInvalidFile;
  expect_bad_table("", invalid, "not an index");
  expect_bad_table(test::sorted_table({{{"b", ""}, {"a", ""}}}), invalid, "not in order");
  expect_bad_table(test::sorted_table({{{"a", ""}, {"a", ""}}}), invalid, "not in order");
  expect_bad_table(test::sorted_table({{{"b", ""}}, {{"a", ""}}}), invalid, "not in order");
  expect_bad_table(test::sorted_table({{{"a", ""}}}, 1), ErrorCode::kUnsupported, "compressed");
  // Keys that all repeat a long one.
  test::TableBlock block;
  for (int i = 100; i < 300; ++i) {
    block.emplace_back(std::string(100'000, 'k') + std::to_string(i), "");
  }
  expect_bad_table(test::sorted_table({block}, 0, block.size()), invalid, "absurdly long");
}

}  // namespace
}  // namespace kerf::formats
