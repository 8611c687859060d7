#include <gtest/gtest.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "formats/reader.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/support.h"

// Models of TensorFlow.js, made here as its converter and its own save() write them.
namespace kerf {
namespace {

namespace json = boost::json;

json::object parse(const std::string& text) { return json::parse(text).as_object(); }

template <typename T>
void append(std::string& to, std::initializer_list<T> values) {
  for (const T value : values) to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Dense "d" of two inputs and one output: 1 + 2 x + 3 y.
json::object document() {
  return parse(R"({"format": "layers-model", "generatedBy": "keras v2.13.1",
    "modelTopology": {"keras_version": "2.13.1", "backend": "tensorflow",
      "model_config": {"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "Dense", "config": {"name": "d", "units": 1,
         "batch_input_shape": [null, 2]}}]}}},
    "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": [
      {"name": "d/bias", "shape": [1], "dtype": "float32"},
      {"name": "d/kernel", "shape": [2, 1], "dtype": "float32"}]}]})");
}

std::string three_floats() {
  std::string bytes;
  append<float>(bytes, {1, 2, 3});
  return bytes;
}

json::object& group(json::object& model) {
  return model["weightsManifest"].as_array()[0].as_object();
}

json::object& weight(json::object& model, std::size_t n) {
  return group(model)["weights"].as_array()[n].as_object();
}

struct Files {
  json::object model = document();
  std::vector<std::pair<std::string, std::string>> shards{{"group1-shard1of1.bin", three_floats()}};
};

Model load(const Files& files, bool by_folder = false) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "model.json", json::serialize(files.model));
  for (const auto& [name, bytes] : files.shards) test::write_text(folder / name, bytes);
  return Model::load(by_folder ? folder / "" : folder / "model.json");
}

float at_10_100(const Model& model) {
  return model.whole()
      .run(std::array{Tensor::floats({1, 2}, std::vector<float>{10, 100})})[0]
      .as<float>()[0];
}

TEST(Tfjs, ReadsWeightsByName) {
  EXPECT_EQ(at_10_100(load({})), 321);
  EXPECT_EQ(at_10_100(load({}, true)), 321);
}

TEST(Tfjs, JoinsShardsOfAGroup) {
  Files files;
  group(files.model)["paths"] = json::parse(R"(["a", "b.bin"])");
  files.shards = {{"a", three_floats().substr(0, 5)}, {"b.bin", three_floats().substr(5)}};
  EXPECT_EQ(at_10_100(load(files)), 321);
}

TEST(Tfjs, ReadsTextInsteadOfObjects) {
  Files files;
  json::object& topology = files.model["modelTopology"].as_object();
  topology["model_config"] = json::serialize(topology["model_config"]);
  files.model["modelTopology"] = json::serialize(topology);
  EXPECT_EQ(at_10_100(load(files)), 321);
}

// As TensorFlow.js itself saves: no model_config, and a version that is no number.
TEST(Tfjs, ReadsItsOwnModels) {
  Files files;
  json::object topology = files.model["modelTopology"].as_object()["model_config"].as_object();
  topology["keras_version"] = "tfjs-layers 4.1.0";
  topology["config"]
      .as_object()["layers"]
      .as_array()[0]
      .as_object()["config"]
      .as_object()["activation"] = "hard_sigmoid";
  files.model["modelTopology"] = topology;
  const Model model = load(files);
  const Tensor y =
      model.whole().run(std::array{Tensor::floats({1, 2}, std::vector<float>{-0.5F, 0.0F})})[0];
  EXPECT_FLOAT_EQ(y.as<float>()[0], 0.5F);
  const Tensor z =
      model.whole().run(std::array{Tensor::floats({1, 2}, std::vector<float>{0.0F, 0.0F})})[0];
  EXPECT_FLOAT_EQ(z.as<float>()[0], 0.7F);  // 0.2 x + 0.5
}

TEST(Tfjs, UndoesQuantization) {
  Files files;
  weight(files.model, 0)["quantization"] = parse(R"({"dtype": "uint8", "scale": 0.5, "min": -1})");
  weight(files.model, 1)["quantization"] = parse(R"({"dtype": "uint16", "scale": 0.25, "min": 1})");
  std::string bytes;
  append<std::uint8_t>(bytes, {4});         // 1
  append<std::uint16_t>(bytes, {4, 2000});  // 2, 501
  files.shards[0].second = bytes;
  EXPECT_EQ(at_10_100(load(files)), 1 + 20 + 50100);

  weight(files.model, 1)["quantization"] = parse(R"({"dtype": "float16"})");
  bytes.clear();
  append<std::uint8_t>(bytes, {4});
  append<std::uint16_t>(bytes, {0x4000, 0x4200});  // 2, 3
  files.shards[0].second = bytes;
  EXPECT_EQ(at_10_100(load(files)), 321);
}

TEST(Tfjs, NamesOfCellsAndDirectionsAreTold) {
  Files files;
  files.model = parse(R"({
    "modelTopology": {"keras_version": "2.4.0", "model_config": {"class_name": "Sequential",
      "config": {"name": "s", "layers": [{"class_name": "Bidirectional", "config": {"name": "b",
        "batch_input_shape": [null, 1, 1], "merge_mode": "concat", "layer": {
          "class_name": "SimpleRNN", "config": {"name": "r", "units": 1, "use_bias": false,
          "activation": "linear"}}}}]}}},
    "weightsManifest": [{"paths": ["w"], "weights": [
      {"name": "b/backward_r/simple_rnn_cell/kernel", "shape": [1, 1], "dtype": "float32"},
      {"name": "b/backward_r/simple_rnn_cell/recurrent_kernel", "shape": [1, 1],
       "dtype": "float32"},
      {"name": "b/forward_r/simple_rnn_cell/kernel", "shape": [1, 1], "dtype": "float32"},
      {"name": "b/forward_r/simple_rnn_cell/recurrent_kernel", "shape": [1, 1],
       "dtype": "float32"}]}]})");
  std::string bytes;
  append<float>(bytes, {7, 0, 3, 0});
  files.shards = {{"w", bytes}};
  const Tensor y =
      load(files).whole().run(std::array{Tensor::floats({1, 1, 1}, std::vector<float>{1})})[0];
  EXPECT_EQ(y.as<float>()[0], 3);
  EXPECT_EQ(y.as<float>()[1], 7);
}

void expect_refused(const Files& files, ErrorCode code, const std::string& mention) {
  SCOPED_TRACE(mention);
  try {
    load(files);
    FAIL() << "it was read";
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(mention), std::string::npos) << error.what();
  }
}

template <typename Change>
Files changed(Change change) {
  Files files;
  change(files);
  return files;
}

TEST(Tfjs, RefusesWhatIsWrong) {
  const auto shape = [](const char* text) {
    return changed([&](Files& f) { weight(f.model, 1)["shape"] = json::parse(text); });
  };
  const auto paths = [](const char* text) {
    return changed([&](Files& f) { group(f.model)["paths"] = json::parse(text); });
  };
  const ErrorCode invalid = ErrorCode::kInvalidFile;
  expect_refused(shape("[3, 1]"), invalid, "need 16");
  expect_refused(shape("[1, 1]"), invalid, "(1, 1), but (2, 1) is expected");
  expect_refused(shape("[-2, 1]"), invalid, "impossible shape");
  expect_refused(shape("[4611686018427387904, 4]"), invalid, "impossible shape");
  expect_refused(shape("[1099511627776]"), invalid, "absurdly large");
  expect_refused(shape("[1,1,1,1,1,1,1,1,1]"), invalid, "dimensions");
  expect_refused(shape("2"), invalid, "no shape");
  expect_refused(paths(R"(["../group1-shard1of1.bin"])"), invalid, "beside this one");
  expect_refused(paths(R"(["/etc/passwd"])"), invalid, "beside this one");
  expect_refused(paths(R"(["a", "./a"])"), invalid, "twice");
  expect_refused(paths("[1]"), invalid, "beside this one");
  expect_refused(paths("[]"), invalid, "hold 0 bytes");
  expect_refused(paths(R"(["missing.bin"])"), ErrorCode::kNotFound, "missing.bin");
  expect_refused(changed([](Files& f) { f.shards[0].second.resize(11); }), invalid, "11 bytes");
  expect_refused(changed([](Files& f) { weight(f.model, 0)["name"] = "x/bias"; }), invalid,
                 "'bias' is missing");
  expect_refused(changed([](Files& f) { weight(f.model, 0)["name"] = ""; }), invalid,
                 "'bias' is missing");
  expect_refused(changed([](Files& f) { weight(f.model, 1)["name"] = "o/d/bias"; }), invalid,
                 "several candidates");
  expect_refused(changed([](Files& f) { weight(f.model, 0)["dtype"] = "string"; }),
                 ErrorCode::kUnsupported, "'string'");
  expect_refused(changed([](Files& f) {
                   weight(f.model, 0)["quantization"] = parse(R"({"dtype": "uint8"})");
                 }),
                 invalid, "'scale'");
  expect_refused(changed([](Files& f) { f.model.erase("weightsManifest"); }), invalid,
                 "weightsManifest");
  expect_refused(changed([](Files& f) { f.model.erase("modelTopology"); }), invalid,
                 "modelTopology");
  expect_refused(changed([](Files& f) { f.model["modelTopology"] = parse(R"({"node": []})"); }),
                 ErrorCode::kUnsupported, "graph model");
  expect_refused(changed([](Files& f) { f.model = parse(R"({"class_name": "Sequential"})"); }),
                 ErrorCode::kUnsupported, "no model's configuration");
}

}  // namespace
}  // namespace kerf
