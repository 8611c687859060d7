#include "formats/vocabularies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>
#include <vector>

#include "formats/hdf5_writer.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/saved_model_support.h"
#include "tests/formats/small_model.h"
#include "tests/formats/support.h"

// Where files keep vocabularies.
namespace kerf::formats {
namespace {

using test::bytes_field;
using test::number_field;
using test::RawMember;
using testing::ElementsAre;
using testing::HasSubstr;

std::string layer(const std::string& class_name, const std::string& name, const std::string& input,
                  const std::string& config) {
  return R"({"module": "keras.layers", "class_name": ")" + class_name + R"(", "name": ")" + name +
         R"(", "registered_name": null, "config": {"name": ")" + name + "\"" + config +
         R"(}, "inbound_nodes": [)" +
         (input.empty() ? ""
                        : R"({"args": [{"class_name": "__keras_tensor__", "config":
            {"shape": [null], "dtype": "string", "keras_history": [")" +
                              input + R"(", 0, 0]}}], "kwargs": {}})") +
         "]}";
}

// Two text layers on one input, whose vocabularies are not in the configuration.
std::string two_layers(const std::string& mode) {
  return R"({"module": "keras.src.models.functional", "class_name": "Functional",
    "registered_name": "Functional", "config": {"name": "m", "layers": [)" +
         layer("InputLayer", "x", "", R"(, "batch_shape": [null], "dtype": "string")") + "," +
         layer("TextVectorization", "first", "x",
               R"(, "vocabulary": null, "output_sequence_length": 3)") +
         "," +
         layer("TextVectorization", "second", "x",
               R"(, "vocabulary": null, "output_mode": ")" + mode + "\"") +
         R"(], "input_layers": [["x", 0, 0]],
             "output_layers": [["first", 0, 0], ["second", 0, 0]]}})";
}

std::string no_weights() {
  return test::small_weights([](Hdf5Writer& file) { file.group("/layers/text/vars", "text"); });
}

std::vector<RawMember> members(const std::string& config, const std::string& weights) {
  return test::small_members(boost::json::parse(config).as_object(), weights);
}

Tensor texts(const std::vector<std::string_view>& values) {
  return Tensor::of_strings({std::ssize(values)}, values);
}

std::vector<Tensor> run(const std::filesystem::path& file) {
  return Model::load(file).whole().run(std::vector<Tensor>{texts({"A b, c", "b"})});
}

std::vector<std::int64_t> ids(const Tensor& tensor) {
  return {tensor.as<std::int64_t>().begin(), tensor.as<std::int64_t>().end()};
}
std::vector<float> numbers(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

TEST(Vocabularies, StandInAssets) {
  const test::TemporaryFolder folder;
  std::vector<RawMember> parts = members(two_layers("count"), no_weights());
  parts.push_back(
      {.name = "assets/layers/text_vectorization/vocabulary.txt", .data = "\n[UNK]\na\nb\n"});
  // The second layer's own file is missing; that of the lookup in it is the same.
  parts.push_back({.name = "assets/layers/text_vectorization_1/_lookup_layer/vocabulary.txt",
                   .data = "[UNK]\r\nb\r\nc"});
  test::write_text(folder / "m.keras", test::raw_zip(parts));
  const std::vector<Tensor> outputs = run(folder / "m.keras");
  EXPECT_THAT(ids(outputs[0]), ElementsAre(2, 3, 1, 3, 0, 0));
  EXPECT_THAT(numbers(outputs[1]), ElementsAre(1, 1, 1, 0, 1, 0));
}

TEST(Vocabularies, StandInFoldersOfAnyNumbers) {
  const test::TemporaryFolder folder;
  std::vector<RawMember> parts = members(two_layers("multi_hot"), no_weights());
  const std::filesystem::path loose = folder / "m";
  std::filesystem::create_directories(loose / "assets/layers/text_vectorization_2");
  std::filesystem::create_directories(loose / "assets/layers/text_vectorization");
  for (const RawMember& part : parts) test::write_text(loose / part.name, part.data);
  test::write_text(loose / "assets/layers/text_vectorization/vocabulary.txt", "\n[UNK]\na\nb\n");
  test::write_text(loose / "assets/layers/text_vectorization_2/vocabulary.txt", "[UNK]\nb\nc\n");
  EXPECT_THAT(numbers(run(loose)[1]), ElementsAre(1, 1, 1, 0, 1, 0));
}

TEST(Vocabularies, ThatAreMissingAreSaidToBe) {
  const test::TemporaryFolder folder;
  std::vector<RawMember> parts = members(two_layers("count"), no_weights());
  parts.push_back({.name = "assets/layers/text_vectorization/vocabulary.txt", .data = ""});
  test::write_text(folder / "m.keras", test::raw_zip(parts));
  const std::vector<std::string> problems = check_model(folder / "m.keras");
  ASSERT_EQ(problems.size(), 2U);
  EXPECT_THAT(problems[0], HasSubstr("layer 'first' (TextVectorization), field vocabulary"));
  EXPECT_THAT(problems[1], HasSubstr("save the model as .keras"));
}

// Weights of tokens are a variable under a name; a written model has them in its configuration.
TEST(Vocabularies, OfWeighedTokensSurviveWriting) {
  const test::TemporaryFolder folder;
  const std::string weights = test::small_weights([](Hdf5Writer& file) {
    file.group("/layers/text_vectorization_1/vars", "second");
    file.dataset("/layers/text_vectorization_1/vars/idf_weights",
                 Tensor::floats({3}, std::vector<float>{0.5F, 2, 3}));
  });
  std::vector<RawMember> parts = members(two_layers("tf_idf"), weights);
  parts.push_back(
      {.name = "assets/layers/text_vectorization/vocabulary.txt", .data = "\n[UNK]\na\nb\n"});
  parts.push_back(
      {.name = "assets/layers/text_vectorization_1/vocabulary.txt", .data = "[UNK]\nb\nc\n"});
  test::write_text(folder / "m.keras", test::raw_zip(parts));
  EXPECT_THAT(numbers(run(folder / "m.keras")[1]), ElementsAre(0.5F, 2, 3, 0, 2, 0));
  Model::load(folder / "m.keras").whole().write(folder / "again.keras");
  const std::vector<Tensor> outputs = run(folder / "again.keras");
  EXPECT_THAT(ids(outputs[0]), ElementsAre(2, 3, 1, 3, 0, 0));
  EXPECT_THAT(numbers(outputs[1]), ElementsAre(0.5F, 2, 3, 0, 2, 0));
}

TEST(Vocabularies, OfIntegersAreLinesOfDigits) {
  layers::LayerSpec spec;
  spec.class_name = "IntegerLookup";
  set_vocabulary(spec, "-1\n7\n12\n");
  EXPECT_EQ(spec.config.at("vocabulary"), boost::json::parse("[-1, 7, 12]"));
  EXPECT_THROW(set_vocabulary(spec, "-1\nseven"), Error);
  spec.class_name = "StringLookup";
  set_vocabulary(spec, "\n\n7");
  EXPECT_EQ(spec.config.at("vocabulary"), boost::json::parse(R"(["", "", "7"])"));
}

std::string object(const std::vector<std::pair<std::string, int>>& children,
                   const std::string& kind) {
  std::string message;
  for (const auto& [name, id] : children) {
    message +=
        bytes_field(1, number_field(1, static_cast<std::uint64_t>(id)) + bytes_field(2, name));
  }
  return bytes_field(1, message + kind);
}

std::string constant_node(const std::string& name, const std::string& tensor) {
  return bytes_field(
      1, bytes_field(1, name) + bytes_field(2, "Const") +
             bytes_field(5, bytes_field(1, "value") + bytes_field(2, bytes_field(8, tensor))));
}

// As TensorFlow writes one: objects 0 (the model), 1 (the layer), 2 (its lookup), 3 (the table), 4
// (the function that fills it), 5 and 6 (what it is called with).
test::SavedModel saved_lookup() {
  return {.identifier = "_tf_keras_sequential", .metadata = R"({"class_name": "Sequential",
    "keras_version": "2.15.0", "config": {"name": "m", "layers": [
      {"class_name": "TextVectorization", "config": {"name": "t", "dtype": "string",
        "batch_input_shape": [null], "vocabulary": null, "output_sequence_length": 3}}]}})"};
}

void write_saved_lookup(const std::filesystem::path& folder, const std::string& graph,
                        const std::vector<std::string>& arguments) {
  saved_lookup().write(folder);
  std::string bound = test::varint(3);
  for (std::size_t i = 0; i < arguments.size(); ++i) bound += test::varint(5 + i);
  std::string objects =
      object({{"layer-0", 1}}, bytes_field(4, bytes_field(1, "_tf_keras_sequential"))) +
      object({{"_lookup_layer", 2}}, "") + object({{"lookup_table", 3}}, "") +
      object({{"_initialize", 4}}, bytes_field(10, "")) +
      object({}, bytes_field(6, bytes_field(1, "fill")));
  for (const std::string& argument : arguments) objects += object({}, argument);
  objects += bytes_field(2, bytes_field(1, "fill") + bytes_field(2, bytes_field(2, bound)));
  test::write_text(folder / "saved_model.pb",
                   number_field(1, 1) + bytes_field(2, graph + bytes_field(7, objects)));
}

TEST(Vocabularies, StandInTheTablesOfSavedModels) {
  const test::TemporaryFolder folder;
  const std::int64_t values[]{3, 2};
  const std::string tokens = number_field(1, 7) + bytes_field(8, "b") + bytes_field(8, "a");
  const std::string indices =
      number_field(1, 9) + bytes_field(4, {reinterpret_cast<const char*>(values), sizeof(values)});
  const std::string graph =
      bytes_field(2, constant_node("Const_1", tokens) + constant_node("Const", indices));
  write_saved_lookup(
      folder / "m", graph,
      {bytes_field(9, bytes_field(1, "Const_1")), bytes_field(9, bytes_field(1, "Const"))});
  EXPECT_THAT(ids(run(folder / "m")[0]), ElementsAre(2, 3, 1, 3, 0, 0));
  // A table with a hole.
  const std::int64_t apart[]{3, 5};
  const std::string wrong =
      number_field(1, 9) + bytes_field(4, {reinterpret_cast<const char*>(apart), sizeof(apart)});
  write_saved_lookup(
      folder / "w",
      bytes_field(2, constant_node("Const_1", tokens) + constant_node("Const", wrong)),
      {bytes_field(9, bytes_field(1, "Const_1")), bytes_field(9, bytes_field(1, "Const"))});
  EXPECT_THAT(check_model(folder / "w").at(0), HasSubstr("have gaps"));
}

TEST(Vocabularies, StandInTheAssetsOfSavedModels) {
  const test::TemporaryFolder folder;
  write_saved_lookup(folder / "m", bytes_field(6, bytes_field(2, "words.txt")),
                     {bytes_field(5, number_field(1, 0))});
  std::filesystem::create_directories(folder / "m/assets");
  test::write_text(folder / "m/assets/words.txt", "a\nb\n");
  EXPECT_THAT(ids(run(folder / "m")[0]), ElementsAre(2, 3, 1, 3, 0, 0));
}

}  // namespace
}  // namespace kerf::formats
