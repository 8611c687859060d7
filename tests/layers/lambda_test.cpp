#include <gmock/gmock.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <sstream>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using testing::AllOf;
using testing::HasSubstr;

// Functions that Python 2.7 to 3.14 compiled, and what Python itself computes with them; see
// make_lambdas.py beside the file.
json::array functions() {
  std::ifstream file(KERF_SOURCE_DIR "/tests/data/lambdas/lambdas.json");
  std::stringstream text;
  text << file.rdbuf();
  return json::parse(text.str()).as_array();
}

Tensor tensor_of(const json::value& array) {
  Shape shape;
  for (const json::value& dim : array.at("shape").as_array()) shape.push_back(dim.as_int64());
  Floats values;
  for (const json::value& value : array.at("values").as_array()) {
    values.push_back(static_cast<float>(value.to_number<double>()));
  }
  return floats(shape, values);
}

// A Lambda layer as Keras 3 saves it.
json::object keras3_config(const json::value& function, const json::value& code) {
  return {{"function", json::object{{"class_name", "__lambda__"},
                                    {"config", json::object{{"code", code},
                                                            {"defaults", function.at("defaults")},
                                                            {"closure", function.at("closure")}}}}},
          {"arguments", json::object{}}};
}

LayerCase lambda(const json::object& config, std::vector<Tensor> inputs) {
  return {.class_name = "Lambda",
          .config = json::serialize(config),
          .inputs = std::move(inputs),
          // Of tf.image.resize_images: the function of TensorFlow 1.
          .version = {3, 16}};
}

TEST(LambdaTest, ComputesWhatPythonComputesWhicheverVersionCompiledIt) {
  std::size_t computed = 0;
  for (const json::value& function : functions()) {
    if (!function.as_object().contains("output")) continue;
    SCOPED_TRACE(function.at("source").as_string().c_str());
    std::vector<Tensor> inputs;
    for (const json::value& input : function.at("inputs").as_array()) {
      inputs.push_back(tensor_of(input));
    }
    const Tensor expected = tensor_of(function.at("output"));
    for (const auto& code : function.at("codes").as_object()) {
      SCOPED_TRACE("Python " + std::string(code.key()));
      try {
        const LayerResult result = run_layer(lambda(keras3_config(function, code.value()), inputs));
        ASSERT_EQ(result.outputs.size(), 1);
        expect_tensor(result.outputs[0], expected.shape(), expected.as<float>());
        ++computed;
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
  EXPECT_GT(computed, 600);
}

TEST(LambdaTest, RefusesWhatIsNoExpressionByWhatItDoes) {
  const std::map<std::string, std::string> reasons{
      {"system", "__import__"},
      {"os", "'os'"},
      {"subprocess", "'subprocess'"},
      {"evaluated", "'eval'"},
      {"opened", "'open'"},
      {"global", "'my_scale'"},
      {"unknown_call", "'my_function'"},
      {"loop", ""},  // an inner function up to 3.11, then a loop
      {"inner", "function of its own"},
      {"random", "K.random_normal, which draws random numbers"},
      {"branch", "depends on a tensor"},
      {"unknown_function", "tf.linalg.svd"},
      {"dunder", "__class__"},
      {"starred", "with * or **"},
      {"looping", "loops"},
      {"importing", "imports the module 'os'"},
      {"sampling", "draws random numbers"},
      {"assigning", "changes an object"}};
  std::size_t refused = 0;
  for (const json::value& function : functions()) {
    if (function.as_object().contains("output")) continue;
    SCOPED_TRACE(function.at("source").as_string().c_str());
    const std::string& reason = reasons.at(std::string(function.at("name").as_string()));
    const std::vector<Tensor> inputs =
        function.at("name") == "sampling"
            ? std::vector<Tensor>{floats({2, 2}, ramp(4, 0, 1)), floats({2, 2}, ramp(4, 0, 1))}
            : std::vector<Tensor>{floats({2, 3}, ramp(6, 0, 1))};
    for (const auto& code : function.at("codes").as_object()) {
      SCOPED_TRACE("Python " + std::string(code.key()));
      const Error error = refusal_of(lambda(keras3_config(function, code.value()), inputs));
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("layer 'layer' (Lambda)"), HasSubstr(reason),
                                      HasSubstr("alias or a plug-in")));
      ++refused;
    }
  }
  EXPECT_GT(refused, 170);
}

json::value function_called(std::string_view name) {
  for (const json::value& function : functions()) {
    if (std::string_view(function.at("name").as_string()) == name) return function;
  }
  throw std::out_of_range("no such function");
}

TEST(LambdaTest, ReadsTheFormsOfEveryKeras) {
  const json::value mean = function_called("closure");
  const std::string code(mean.at("codes").at("3.6").as_string());
  const Tensor x = tensor_of(mean.at("inputs").at(0));
  const Tensor expected = tensor_of(mean.at("output"));
  const json::array parts{code, nullptr, mean.at("closure")};
  for (const json::object& config :
       {json::object{{"function", parts}, {"function_type", "lambda"}},
        json::object{{"function", json::object{{"class_name", "__tuple__"}, {"items", parts}}}}}) {
    expect_tensor(run_layer(lambda(config, {x})).outputs.at(0), expected.shape(),
                  expected.as<float>());
  }
}

TEST(LambdaTest, ReadsCodeAsTheCharactersOfKeras1) {
  // lambda x: x / 127.5 - 1.0 of Python 3.5.
  constexpr char kBytes[] =
      "\xe3\1\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0C\0\0\0s\x0c\0\0\0|\0\0d\1\0\x1b"
      "d\2\0\x18S)\3N\xe7\0\0\0\0\0\xe0_@\xe7\0\0\0\0\0\0\xf0?\xa9\0)\1\xda\1xr\3\0\0\0r\3\0\0\0"
      "\xfa\7test.py\xda\x08<lambda>\1\0\0\0s\0\0\0\0";
  const std::string bytes(kBytes, sizeof(kBytes) - 1);
  json::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 128) {
      text += c;
    } else {
      text += static_cast<char>(0xc0 | byte >> 6);
      text += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  const json::object config{{"function", json::array{text, nullptr, nullptr}},
                            {"function_type", "lambda"},
                            {"output_shape", nullptr}};
  expect_tensor(run_layer(lambda(config, {floats({1, 2}, {0, 255})})).outputs.at(0), {1, 2},
                Floats{-1, 1});
}

TEST(LambdaTest, TakesArgumentsOfItsConfiguration) {
  json::object config =
      keras3_config(function_called("default"), function_called("default").at("codes").at("3.10"));
  config["arguments"] = json::object{{"by", 3}};
  expect_tensor(run_layer(lambda(config, {floats({1, 2}, {1, 2})})).outputs.at(0), {1, 2},
                Floats{4, 7});
  config["arguments"] =
      json::object{{"plus", json::object{{"type", "ndarray"}, {"value", json::array{1, 10}}}}};
  expect_tensor(run_layer(lambda(config, {floats({1, 2}, {1, 2})})).outputs.at(0), {1, 2},
                Floats{3.5F, 15});
  config["arguments"] = json::object{{"other", 3}};
  EXPECT_THAT(refusal_of(lambda(config, {floats({1, 2}, {1, 2})})).what(),
              HasSubstr("no argument other"));
}

TEST(LambdaTest, HoldsTheDeclaredShapeToTheComputedOne) {
  json::object config =
      keras3_config(function_called("last"), function_called("last").at("codes").at("3.12"));
  const Tensor x = floats({2, 3, 4}, ramp(24, 0, 1));
  for (const json::value& shape : {json::value(json::array{4}), json::value(json::array{nullptr}),
                                   json::value(json::array{nullptr, 4}), json::value("code")}) {
    config["output_shape"] = shape;
    EXPECT_EQ(run_layer(lambda(config, {x})).outputs.size(), 1);
  }
  config["output_shape"] = json::array{3};
  EXPECT_THAT(refusal_of(lambda(config, {x})).what(),
              AllOf(HasSubstr("output_shape"), HasSubstr("(?, 4)")));
}

TEST(LambdaTest, ReturnsSeveralTensors) {
  json::object config =
      keras3_config(function_called("identity"), function_called("identity").at("codes").at("3.8"));
  const LayerResult result =
      run_layer(lambda(config, {floats({1, 2}, {1, 2}), floats({1, 1}, {3})}));
  ASSERT_EQ(result.outputs.size(), 2);
  expect_tensor(result.outputs[1], {1, 1}, Floats{3});
}

TEST(LambdaTest, RefusesFunctionsThatAreNamedOnly) {
  const json::object custom{{"function", json::object{{"module", "builtins"},
                                                      {"class_name", "function"},
                                                      {"config", "Custom>sampling"}}}};
  EXPECT_THAT(refusal_of(lambda(custom, {floats({1, 1}, {1})})).what(),
              AllOf(HasSubstr("Custom>sampling"), HasSubstr("only its name is in the file")));
  const json::object known{{"function", json::object{{"module", "keras.src.ops.numpy"},
                                                     {"class_name", "function"},
                                                     {"config", "square"}}}};
  expect_tensor(run_layer(lambda(known, {floats({1, 1}, {3})})).outputs.at(0), {1, 1}, Floats{9});
}

TEST(LambdaTest, RefusesDamagedCode) {
  const json::value function = function_called("euclidean");
  const std::string code(function.at("codes").at("3.11").as_string());
  const Tensor x = floats({1, 2}, {1, 2});
  for (std::size_t cut = 0; cut < code.size(); cut += 4) {
    const Error error =
        refusal_of(lambda(keras3_config(function, json::value(code.substr(0, cut))), {x, x}));
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile) << cut;
  }
}

}  // namespace
}  // namespace kerf::layers
