#include <gmock/gmock.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "formats/graph_reader.h"
#include "formats/json.h"
#include "graph/cut.h"
#include "kerf/error.h"
#include "layers/model_spec.h"
#include "tests/support/run_graph.h"

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

std::string operation(const char* name, const char* function, const std::string& nodes,
                      const char* class_name = "TFOpLambda") {
  return std::string(R"(, {"class_name": ")") + class_name + R"(", "name": ")" + name +
         R"(", "config": {"name": ")" + name + R"(", "trainable": true, "dtype": "float32",
         "function": ")" +
         function + R"("}, "inbound_nodes": )" + nodes + "}";
}

// tf.keras writes functions on tensors as layers, with TensorFlow's names of their arguments.
TEST(Dialect, FunctionsOfTensorFlow) {
  const Tensor x = Tensor::floats({1, 4}, std::vector<float>{1, 2, 3, 4});
  const Tensor y = Tensor::floats({1, 4}, std::vector<float>{0, 1, 0, 2});
  const auto run = [&](const std::string& function, const std::string& nodes,
                       const char* class_name = "TFOpLambda") {
    const auto graph = read(functional(
        input("a") + "," + input("b") + operation("f", function.c_str(), nodes, class_name),
        R"([["a",0,0],["b",0,0]])", R"([["f",0,0]])"));
    program::ConstantCache cache;
    const Tensor result =
        testing_support::run(graph::whole(graph), std::vector<Tensor>{x, y}, cache).front();
    EXPECT_TRUE(graph->layers().back().operation);
    const auto numbers = result.as<float>();
    return std::vector<float>(numbers.begin(), numbers.end());
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(run("__operators__.add", R"([["a",0,0,{"y": ["b",0,0], "name": null}]])"),
            (Floats{1, 3, 3, 6}));
  EXPECT_EQ(run("math.subtract", R"([["_CONSTANT_VALUE",-1,5,{"y": ["a",0,0], "name": null}]])"),
            (Floats{4, 3, 2, 1}));
  EXPECT_EQ(run("math.reduce_sum", R"([["a",0,0,{"axis": -1, "keepdims": true}]])"), (Floats{10}));
  EXPECT_EQ(run("concat", R"([[["a",0,0,{"axis": 1}],["b",0,0,{"axis": 1}]]])"),
            (Floats{1, 2, 3, 4, 0, 1, 0, 2}));
  EXPECT_EQ(run("clip_by_value", R"([["a",0,0,{"clip_value_min": 2, "clip_value_max": 3}]])"),
            (Floats{2, 2, 3, 3}));
  EXPECT_EQ(run("split", R"([["a",0,0,{"num_or_size_splits": [1, 3], "axis": -1}]])"), (Floats{1}));
  EXPECT_EQ(run("linalg.matmul", R"([["a",0,0,{"b": [[1, 0, 0, 10]], "transpose_b": true}]])"),
            (Floats{41}));
  EXPECT_EQ(run("math.l2_normalize", R"([["b",0,0,{"axis": -1, "epsilon": 100}]])"),
            (Floats{0, 0.1F, 0, 0.2F}));
  EXPECT_EQ(run("pad", R"([["a",0,0,{"paddings": [[0,0],[1,0]], "mode": "REFLECT"}]])"),
            (Floats{2, 1, 2, 3, 4}));
  EXPECT_EQ(run("nn.leaky_relu", R"([["a",0,0,{"alpha": 0.5}]])"), (Floats{1, 2, 3, 4}));
  EXPECT_EQ(run("__operators__.getitem",
                R"([["a",0,0,{"slice_spec": [{"start": null, "stop": null, "step": null},
                                             {"start": 1, "stop": null, "step": 2}]}]])",
                "SlicingOpLambda"),
            (Floats{2, 4}));
}

// A TensorFlowOpLayer: the node as Protocol Buffers write it in JSON, in a text.
std::string node_layer(const std::string& op, const std::string& attributes,
                       const std::string& constants, const std::string& inputs) {
  std::string node =
      R"({"name": "n", "op": ")" + op + R"(", "input": ["x", "y"], "attr": {)" + attributes + "}}";
  std::string text;
  for (const char c : node) text += c == '"' ? std::string("\\\"") : std::string(1, c);
  return R"(, {"class_name": "TensorFlowOpLayer", "name": "tf_op_layer_n", "config": {"name": "n",
              "trainable": true, "dtype": "float32", "node_def": ")" +
         text + R"(", "constants": )" + constants + R"(}, "inbound_nodes": [[)" + inputs + "]]}";
}

TEST(Dialect, NodesOfTensorFlow) {
  const Tensor x = Tensor::floats({1, 4}, std::vector<float>{1, 2, 3, 4});
  const Tensor y = Tensor::floats({1, 4}, std::vector<float>{0, 1, 0, 2});
  const auto graph_of = [&](const std::string& layer) {
    return read(functional(input("a") + "," + input("b") + layer, R"([["a",0,0],["b",0,0]])",
                           R"([["tf_op_layer_n",0,0]])"));
  };
  const auto run = [&](const std::string& op, const std::string& attributes,
                       const std::string& constants, bool both = false) {
    const std::string inputs = both ? R"(["a",0,0,{}],["b",0,0,{}])" : R"(["a",0,0,{}])";
    const auto graph = graph_of(node_layer(op, attributes, constants, inputs));
    program::ConstantCache cache;
    const Tensor result =
        testing_support::run(graph::whole(graph), std::vector<Tensor>{x, y}, cache).front();
    const Tensor floats = result.cast(DType::kFloat32);
    const auto numbers = floats.as<float>();
    return std::vector<float>(numbers.begin(), numbers.end());
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(run("AddV2", "", "{}", true), (Floats{1, 3, 3, 6}));
  EXPECT_EQ(run("Mul", R"("T": {"type": "DT_FLOAT"})", R"({"1": 2.0})"), (Floats{2, 4, 6, 8}));
  EXPECT_EQ(run("Sub", "", R"({"0": [[5, 6, 7, 8]]})"), (Floats{4, 4, 4, 4}));
  EXPECT_EQ(run("Mean", R"("keep_dims": {"b": true})", R"({"1": 1})"), (Floats{2.5F}));
  EXPECT_EQ(run("ConcatV2", R"("N": {"i": "2"})", R"({"2": -1})", true),
            (Floats{1, 2, 3, 4, 0, 1, 0, 2}));
  EXPECT_EQ(run("Reshape", "", R"({"1": [-1, 2, 2]})"), (Floats{1, 2, 3, 4}));
  EXPECT_EQ(
      run("StridedSlice",
          R"("begin_mask": {"i": "1"}, "end_mask": {"i": "1"}, "shrink_axis_mask": {"i": "2"})",
          R"({"1": [0, 2], "2": [0, 3], "3": [1, 1]})"),
      (Floats{3}));
  EXPECT_EQ(run("MatMul", R"("transpose_b": {"b": true})", R"({"1": [[1, 0, 0, 10]]})"),
            (Floats{41}));
  EXPECT_EQ(run("Cast", R"("DstT": {"type": "DT_INT32"})", "{}"), (Floats{1, 2, 3, 4}));
  EXPECT_EQ(run("Einsum", R"("equation": {"s": "YWksYWktPmE="})", "{}", true), (Floats{10}));
  EXPECT_EQ(run("LeakyRelu", R"("alpha": {"f": 0.5})", "{}"), (Floats{1, 2, 3, 4}));

  const auto refusal = [&](const std::string& layer) {
    try {
      graph_of(layer);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("it was read");
  };
  const std::string one = R"(["a",0,0,{}])";
  const auto unknown = parse_json(functional(input("a") + node_layer("Qr", "", "{}", one),
                                             R"([["a",0,0]])", R"([["tf_op_layer_n",0,0]])"),
                                  "x");
  EXPECT_THAT(unknown_layers(read_spec(unknown.as_object(), "x")),
              testing::ElementsAre(testing::HasSubstr("the TensorFlow operation Qr")));
  EXPECT_THAT(refusal(node_layer("Sum", "", "{}", one)), testing::HasSubstr("no operand 1"));
  EXPECT_THAT(refusal(node_layer("Reshape", "", "{}", one + R"(,["b",0,0,{}])")),
              testing::HasSubstr("computed by another layer"));
  EXPECT_THAT(refusal(node_layer("AddV2", "", R"({"7": 1})", one)),
              testing::HasSubstr("places that it does not have"));
}

// What is read from a tf.keras file is written as Keras 3 writes it.
TEST(Dialect, FunctionsOfTensorFlowBecomeOperations) {
  const auto graph =
      read(functional(input("a") + operation("f", "math.rsqrt", R"([["a",0,0,{"name": null}]])") +
                          operation("g", "cast", R"([["f",0,0,{"dtype": "int32"}]])"),
                      R"([["a",0,0]])", R"([["g",0,0]])"));
  const graph::Layer& first = graph->layers()[graph->layers().size() - 2];
  EXPECT_EQ(first.class_name, "Rsqrt");
  EXPECT_EQ(first.identity.at("module"), "keras.src.ops.math");
  const graph::Layer& second = graph->layers().back();
  EXPECT_EQ(second.config.at("dtype"), "int32");
  EXPECT_EQ(second.identity.at("module"), "keras.src.ops.core");
}

TEST(Dialect, UnknownFunctionsOfTensorFlowAreNamed) {
  const auto model = [](const char* function, const char* kwargs) {
    const std::string nodes = std::string(R"([["a",0,0,)") + kwargs + "]]";
    return functional(input("a") + operation("f", function, nodes), R"([["a",0,0]])",
                      R"([["f",0,0]])");
  };
  const ModelSpec unknown =
      read_spec(parse_json(model("math.bessel_i0", "{}"), "test").as_object(), "test");
  EXPECT_THAT(layers::unknown_layers(unknown),
              testing::ElementsAre(testing::HasSubstr("tf.math.bessel_i0")));
  const auto refusal = [&](const char* function, const char* kwargs) {
    try {
      read(model(function, kwargs));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal("math.cumsum", R"({"exclusive": true})"), testing::HasSubstr("exclusive"));
  EXPECT_THAT(refusal("gather", R"({"indices": [0], "batch_dims": 1})"),
              testing::HasSubstr("batch_dims"));
}

}  // namespace
}  // namespace kerf::formats
