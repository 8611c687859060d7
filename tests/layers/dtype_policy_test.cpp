#include <gmock/gmock.h>

#include "graph/cut.h"
#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"
#include "tests/support/run_graph.h"

// What a model's inputs and outputs are in Keras, whatever kerf computes in.
namespace kerf::layers {
namespace {

constexpr float kThird = 1.0F / 3;

std::string policy(const std::string& name) {
  return R"({"class_name": "DTypePolicy", "config": {"name": ")" + name + R"("}})";
}

// input (of `dtype`) -> hidden -> output, both Dense of one unit with the kernel 1.
std::shared_ptr<const graph::Graph> chain(const std::string& dtype, const std::string& hidden,
                                          const std::string& output) {
  const auto dense = [](const std::string& name, const std::string& policy) {
    return R"({"class_name": "Dense", "config": {"name": ")" + name +
           R"(", "units": 1, "use_bias": false, "dtype": )" + policy + "}}";
  };
  const std::string config =
      R"({"class_name": "Sequential", "config": {"name": "m", "layers": [
          {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [null, 1],
           "dtype": ")" +
      dtype + R"("}}, )" + dense("hidden", hidden) + ", " + dense("output", output) + "]}}";
  return testing_support::make_model(config, [](const std::string&, const Shape& shape) {
    return Tensor::floats(shape, Floats{1});
  });
}

Tensor run(const std::shared_ptr<const graph::Graph>& graph, const std::string& feed,
           const std::string& fetch, const Tensor& x) {
  program::ConstantCache cache;
  const std::vector<std::string> feeds{feed};
  const std::vector<std::string> fetches{fetch};
  return testing_support::run(graph::cut(graph, feeds, fetches), {&x, 1}, cache).front();
}

TEST(DTypePolicyTest, InputsAndOutputsAreWhatKerasSays) {
  for (const auto& [name, dtype] : {std::pair{"float16", DType::kFloat16},
                                    {"mixed_float16", DType::kFloat16},
                                    {"bfloat16", DType::kBFloat16},
                                    {"mixed_bfloat16", DType::kBFloat16},
                                    {"float64", DType::kFloat64}}) {
    SCOPED_TRACE(name);
    const auto graph = chain("float16", policy(name), policy(name));
    EXPECT_EQ(graph->tensor(graph->inputs()[0].tensor).dtype, DType::kFloat16);
    EXPECT_EQ(graph->tensor(graph->outputs()[0].tensor).dtype, dtype);
    // Between them kerf has float32.
    EXPECT_EQ(graph->tensor(graph::resolve(*graph, "hidden")).dtype, DType::kFloat32);
    const Tensor third = floats({1, 1}, {kThird});
    const Tensor y = run(graph, "x", "output", third);
    EXPECT_EQ(y.dtype(), dtype);
    const float expected =
        third.cast(DType::kFloat16).cast(dtype).cast(DType::kFloat32).as<float>()[0];
    EXPECT_EQ(y.cast(DType::kFloat32).as<float>()[0], expected);
    // A tail takes what a head gives.
    const Tensor middle = run(graph, "x", "hidden", third);
    EXPECT_EQ(run(graph, "hidden", "output", middle).cast(DType::kFloat32).as<float>()[0],
              expected);
  }
}

TEST(DTypePolicyTest, AFloat32HeadIsFloat32) {
  const auto graph = chain("float32", policy("mixed_float16"), R"("float32")");
  EXPECT_EQ(graph->tensor(graph->outputs()[0].tensor).dtype, DType::kFloat32);
  const auto quantized = chain("float32", policy("float32"), R"("float32")");
  EXPECT_EQ(quantized->tensor(quantized->outputs()[0].tensor).dtype, DType::kFloat32);
}

TEST(DTypePolicyTest, OperationsHaveTheTypeOfTheirOperands) {
  const auto model = [](const std::string& a, const std::string& b) {
    const auto tensor = [](const std::string& layer) {
      return R"({"class_name": "__keras_tensor__", "config": {"keras_history": [")" + layer +
             R"(", 0, 0]}})";
    };
    const auto identity = [&](const std::string& name, const std::string& policy) {
      return R"({"class_name": "Dropout", "name": ")" + name + R"(", "config": {"dtype": ")" +
             policy + R"("}, "inbound_nodes": [{"args": [)" + tensor("x") + R"(], "kwargs": {}}]})";
    };
    return testing_support::make_model(
        R"({"class_name": "Functional", "config": {"name": "m", "layers": [
            {"class_name": "InputLayer", "name": "x", "config": {"batch_shape": [null, 1]},
             "inbound_nodes": []}, )" +
            identity("a", a) + ", " + identity("b", b) +
            R"(, {"module": "keras.src.ops.numpy", "class_name": "Add", "name": "add",
                 "config": {}, "inbound_nodes": [{"args": [)" +
            tensor("a") + ", " + tensor("b") +
            R"(], "kwargs": {}}]}], "input_layers": [["x", 0, 0]],
                "output_layers": [["add", 0, 0]]}})",
        [](const std::string&, const Shape& shape) { return Tensor::floats(shape, Floats{}); });
  };
  const auto dtype = [](const std::shared_ptr<const graph::Graph>& graph) {
    return graph->tensor(graph->outputs()[0].tensor).dtype;
  };
  EXPECT_EQ(dtype(model("mixed_float16", "float16")), DType::kFloat16);
  EXPECT_EQ(dtype(model("float16", "bfloat16")), DType::kFloat32);
  EXPECT_EQ(dtype(model("float16", "float32")), DType::kFloat32);
}

}  // namespace
}  // namespace kerf::layers
