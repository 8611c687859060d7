#include <gmock/gmock.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "formats/archive.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/small_model.h"
#include "tests/formats/support.h"

namespace kerf {
namespace {

namespace json = boost::json;

Tensor tensor_of(const json::value& array) {
  Shape shape;
  for (const json::value& dim : array.at("shape").as_array()) shape.push_back(dim.as_int64());
  std::vector<float> values;
  for (const json::value& value : array.at("values").as_array()) {
    values.push_back(value.to_number<float>());
  }
  return Tensor::floats(shape, values);
}

json::object tensor_json(const std::string& name, const Shape& shape) {
  json::array dims{nullptr};
  for (std::size_t i = 1; i < shape.rank(); ++i) dims.push_back(shape[i]);
  return {{"class_name", "__keras_tensor__"},
          {"config",
           json::object{
               {"shape", dims}, {"dtype", "float32"}, {"keras_history", json::array{name, 0, 0}}}}};
}

// A model that is one Lambda layer, as Keras 3 writes it.
std::string lambda_model(const json::value& function, const json::value& code,
                         const std::vector<Tensor>& inputs) {
  json::array layers;
  json::array ports;
  json::array tensors;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string name = "x" + std::to_string(i);
    json::object tensor = tensor_json(name, inputs[i].shape());
    layers.push_back(json::object{
        {"module", "keras.layers"},
        {"class_name", "InputLayer"},
        {"name", name},
        {"config",
         json::object{
             {"batch_shape", tensor["config"].at("shape")}, {"dtype", "float32"}, {"name", name}}},
        {"inbound_nodes", json::array{}}});
    ports.push_back(json::array{name, 0, 0});
    tensors.push_back(std::move(tensor));
  }
  const json::value argument = tensors.size() == 1 ? tensors.front() : json::value(tensors);
  layers.push_back(json::object{
      {"module", "keras.layers"},
      {"class_name", "Lambda"},
      {"name", "f"},
      {"config",
       json::object{{"name", "f"},
                    {"function",
                     json::object{{"class_name", "__lambda__"},
                                  {"config", json::object{{"code", code},
                                                          {"defaults", function.at("defaults")},
                                                          {"closure", function.at("closure")}}}}},
                    {"arguments", json::object{}}}},
      {"inbound_nodes",
       json::array{json::object{{"args", json::array{argument}}, {"kwargs", json::object{}}}}}});
  const json::object config{
      {"module", "keras.src.models.functional"},
      {"class_name", "Functional"},
      {"config", json::object{{"name", "lambdas"},
                              {"layers", layers},
                              {"input_layers", ports},
                              {"output_layers", json::array{json::array{"f", 0, 0}}}}}};
  return test::raw_zip(test::small_members(
      config, test::small_weights([](formats::Hdf5Writer& file) { file.group("/layers", ""); })));
}

// A file without Python computes the same, whatever Python wrote the layer.
TEST(LambdaWriter, WritesTheOperationsOfPythonFunctions) {
  const test::TemporaryFolder folder;
  const json::value functions =
      json::parse(test::read_text(KERF_SOURCE_DIR "/tests/data/lambdas/lambdas.json"));
  int written = 0;
  for (const json::value& function : functions.as_array()) {
    if (!function.as_object().contains("output")) continue;
    SCOPED_TRACE(function.at("source").as_string().c_str());
    std::vector<Tensor> inputs;
    for (const json::value& input : function.at("inputs").as_array()) {
      inputs.push_back(tensor_of(input));
    }
    for (const char* python : {"2.7", "3.13"}) {
      const json::value* code = function.at("codes").as_object().if_contains(python);
      if (code == nullptr) continue;
      test::write_text(folder / "lambda.keras", lambda_model(function, *code, inputs));
      const Cut cut = Model::load(folder / "lambda.keras").whole();
      cut.write(folder / "written.keras");
      const formats::InputFile file(folder / "written.keras");
      const std::string config(formats::Archive(file).read("config.json", 1 << 20)->text());
      if (config.find("Lambda") != std::string::npos) continue;
      ++written;
      const Tensor expected = cut.run(inputs)[0];
      const Tensor actual = Model::load(folder / "written.keras").whole().run(inputs)[0];
      ASSERT_EQ(actual.shape(), expected.shape());
      ASSERT_EQ(actual.dtype(), expected.dtype());
      const Tensor a = actual.cast(DType::kFloat64);
      const Tensor b = expected.cast(DType::kFloat64);
      for (std::size_t i = 0; i < a.as<double>().size(); ++i) {
        const double x = a.as<double>()[i];
        const double y = b.as<double>()[i];
        EXPECT_TRUE(x == y || std::abs(x - y) <= 1e-6 * std::abs(y)) << x << " for " << y;
      }
    }
  }
  EXPECT_GT(written, 100);
}

}  // namespace
}  // namespace kerf
