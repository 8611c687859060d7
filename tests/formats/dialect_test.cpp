#include <gmock/gmock.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "formats/graph_reader.h"
#include "formats/json.h"
#include "graph/cut.h"
#include "kerf/error.h"
#include "layers/model_spec.h"

// How the versions of Keras write the same model.
namespace kerf::formats {
namespace {

std::shared_ptr<const graph::Graph> read(const std::string& text, KerasVersion version = {2, 9}) {
  const ModelSpec model = read_spec(parse_json(text, "test").as_object(), "test");
  Problems problems("test");
  Skeleton skeleton = read_graph(model, version, problems);
  if (!problems.empty()) throw problems.all();
  return skeleton.builder.build();
}

std::string shape_of(const graph::Graph& graph, std::string_view address) {
  return graph.tensor(graph::resolve(graph, address)).shape.to_string();
}

const char* const kDense = R"({"class_name": "Dense", "config": {"name": "d", "units": 3}})";
const char* const kDenseWithShape =
    R"({"class_name": "Dense", "config": {"name": "d", "units": 3, "batch_input_shape": [null, 4]}})";

TEST(Dialect, SequentialAsABareList) {
  const auto graph =
      read(R"({"class_name": "Sequential", "config": [)" + std::string(kDenseWithShape) + "]}");
  EXPECT_EQ(shape_of(*graph, "d"), "(?, 3)");
}

TEST(Dialect, SequentialWithItsShapeOnTheFirstLayer) {
  const auto graph = read(R"({"class_name": "Sequential", "config": {"name": "s", "layers": [)" +
                          std::string(kDenseWithShape) + "]}}");
  EXPECT_EQ(graph->inputs()[0].name, "d_input");
  EXPECT_EQ(shape_of(*graph, "d_input"), "(?, 4)");
}

TEST(Dialect, SequentialWithABuildShape) {
  const std::string layers = R"({"name": "s", "layers": [)" + std::string(kDense) + "]";
  EXPECT_EQ(shape_of(*read(R"({"class_name": "Sequential", "config": )" + layers +
                           R"(, "build_input_shape": [null, 6]}})"),
                     "d_input"),
            "(?, 6)");
  EXPECT_EQ(shape_of(*read(R"({"class_name": "Sequential", "config": )" + layers +
                           R"(}, "build_config": {"input_shape": [null, 7]}})"),
                     "d_input"),
            "(?, 7)");
}

TEST(Dialect, SequentialThatWasNeverBuiltIsRefused) {
  try {
    read(R"({"class_name": "Sequential", "config": {"name": "s", "layers": [)" +
         std::string(kDense) + "]}}");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("shape"));
  }
}

std::string functional(const std::string& layers, const std::string& inputs,
                       const std::string& outputs) {
  return R"({"class_name": "Functional", "config": {"name": "f", "layers": [)" + layers +
         R"(], "input_layers": )" + inputs + R"(, "output_layers": )" + outputs + "}}";
}

std::string input(const char* name, const char* key = "batch_input_shape") {
  return std::string(R"({"class_name": "InputLayer", "name": ")") + name +
         R"(", "config": {"name": ")" + name + R"(", ")" + key +
         R"(": [null, 4]}, "inbound_nodes": []})";
}

std::string layer(const char* class_name, const char* name, const char* config,
                  const std::string& nodes) {
  return std::string(R"(, {"class_name": ")") + class_name + R"(", "name": ")" + name +
         R"(", "config": {"name": ")" + name + R"(", "trainable": true)" + config +
         R"(}, "inbound_nodes": )" + nodes + "}";
}

TEST(Dialect, NodesOfKeras2) {
  const std::string base = input("a") + "," + input("b");
  const auto add = [&](const std::string& nodes) {
    return read(functional(base + layer("Add", "sum", "", nodes), R"([["a",0,0],["b",0,0]])",
                           R"([["sum",0,0]])"));
  };
  // With and without keyword arguments.
  EXPECT_EQ(shape_of(*add(R"([[["a",0,0,{}],["b",0,0,{}]]])"), "sum"), "(?, 4)");
  EXPECT_EQ(shape_of(*add(R"([[["a",0,0],["b",0,0]]])"), "sum"), "(?, 4)");
  // A node of one entry may stand without the list around it.
  const auto one =
      read(functional(input("a") + layer("Dense", "d", R"(, "units": 3)", R"([["a",0,0,{}]])"),
                      R"([["a",0,0]])", R"([["d",0,0]])"));
  EXPECT_EQ(shape_of(*one, "d"), "(?, 3)");
}

TEST(Dialect, SharedLayersHaveSeveralNodes) {
  const auto graph = read(functional(
      input("a") + layer("Dense", "d", R"(, "units": 4)", R"([[["a",0,0,{}]], [["d",0,0,{}]]])"),
      R"([["a",0,0]])", R"([["d",1,0]])"));
  EXPECT_EQ(graph->calls().size(), 2U);
  EXPECT_EQ(graph->layers().size(), 1U);
  EXPECT_EQ(graph->outputs()[0].tensor, graph::resolve(*graph, "d:1:0"));
}

TEST(Dialect, LayersMayStandInAnyOrder) {
  const auto graph = read(
      functional(input("a") + layer("Dense", "late", R"(, "units": 2)", R"([[["early",0,0,{}]]])") +
                     layer("Dense", "early", R"(, "units": 3)", R"([[["a",0,0,{}]]])"),
                 R"([["a",0,0]])", R"([["late",0,0]])"));
  EXPECT_EQ(shape_of(*graph, "late"), "(?, 2)");
}

TEST(Dialect, InputsAndOutputsInEveryStructure) {
  const std::string layers = input("a", "batch_shape") + "," + input("b", "batch_shape");
  const auto names = [](const auto& ports) {
    std::vector<std::string> result;
    for (const graph::Port& port : ports) result.push_back(port.name);
    return result;
  };
  using testing::ElementsAre;
  EXPECT_THAT(names(read(functional(layers, R"(["a",0,0])", R"(["a",0,0])"))->inputs()),
              ElementsAre("a"));
  EXPECT_THAT(
      names(read(functional(layers, R"([[["b",0,0]],["a",0,0]])", R"([["a",0,0]])"))->inputs()),
      ElementsAre("b", "a"));
  // Entries of a dict in the order of their keys, and outputs under them.
  const auto dict = read(functional(layers, R"({"z": ["a",0,0], "y": ["b",0,0]})",
                                    R"({"second": ["a",0,0], "first": ["b",0,0]})"));
  EXPECT_THAT(names(dict->inputs()), ElementsAre("b", "a"));
  EXPECT_THAT(names(dict->outputs()), ElementsAre("first", "second"));
}

// A nested model that is called twice, d(d(a)) inside: what counts as its first call differs.
std::string nested(const std::string& first, const std::string& second, const std::string& output) {
  const std::string inner =
      functional(input("x") + layer("Dense", "d", R"(, "units": 4)", R"([[["x",0,0,{}]]])"),
                 R"([["x",0,0]])", R"([["d",0,0]])");
  const std::string model = "," + inner.substr(0, inner.size() - 1) +
                            R"(, "name": "m", "inbound_nodes": [)" + first + "," + second + "]}";
  return functional(input("a") + model, R"([["a",0,0]])", output);
}

void expect_two_calls(const graph::Graph& graph) {
  EXPECT_EQ(graph.outputs()[0].tensor, graph::resolve(graph, "m:1:0"));
  EXPECT_EQ(graph.calls().size(), 2U);
  EXPECT_EQ(graph.call(1).inputs[0], graph.call(0).outputs[0]);
}

TEST(Dialect, NestedModelsCountTheirCallsFromOneInKeras2) {
  expect_two_calls(*read(nested(R"([["a",0,0,{}]])", R"([["m",1,0,{}]])", R"([["m",2,0]])")));
}

TEST(Dialect, NestedModelsCountTheirCallsFromOneForOutputsInKeras3) {
  const auto node = [](const char* layer, int call) {
    return std::string(R"({"args": [{"class_name": "__keras_tensor__", "config": )") +
           R"({"shape": [null, 4], "dtype": "float32", "keras_history": [")" + layer + "\"," +
           std::to_string(call) + R"(,0]}}], "kwargs": {}})";
  };
  expect_two_calls(*read(nested(node("a", 0), node("m", 0), R"([["m",2,0]])"), {3, 16}));
}

TEST(Json, AcceptsWhatPythonWrites) {
  const auto value =
      parse_json(R"({"a": NaN, "b": [-Infinity, Infinity], "c": "NaN in text"})", "x");
  EXPECT_EQ(value.at("a").as_string(), "NaN");
  EXPECT_EQ(value.at("b").at(0).as_string(), "-Infinity");
  EXPECT_EQ(value.at("c").as_string(), "NaN in text");
}

}  // namespace
}  // namespace kerf::formats
