#include "tests/layers/run_layer.h"

#include <algorithm>
#include <cmath>

#include "graph/cut.h"
#include "tests/support/make_model.h"
#include "tests/support/run_graph.h"

namespace kerf::layers {
namespace {

std::string tensor_json(const std::string& layer) {
  return R"({"class_name": "__keras_tensor__", "config": {"keras_history": [")" + layer +
         R"(", 0, 0]}})";
}

std::string model_json(const LayerCase& layer) {
  std::string layers;
  std::string ports;
  std::string all;
  std::string arguments = layer.arguments.empty() ? "$all" : layer.arguments;
  const auto replace = [&](const std::string& what, const std::string& by) {
    for (auto at = arguments.find(what); at != std::string::npos; at = arguments.find(what)) {
      arguments.replace(at, what.size(), by);
    }
  };
  for (std::size_t i = 0; i < layer.inputs.size(); ++i) {
    const std::string name = "in" + std::to_string(i);
    std::string shape = "null";
    for (std::size_t d = 1; d < layer.inputs[i].shape().rank(); ++d) {
      shape += ", " + std::to_string(layer.inputs[i].shape()[d]);
    }
    layers += R"({"class_name": "InputLayer", "name": ")" + name +
              R"(", "config": {"batch_shape": [)" + shape + R"(], "dtype": ")" +
              std::string(dtype_name(layer.inputs[i].dtype())) + R"("}, "inbound_nodes": []}, )";
    std::string source = name;
    if (layer.masked_value && (layer.masked.empty() || layer.masked[i])) {
      source = "masked" + std::to_string(i);
      layers += R"({"module": "keras.layers", "class_name": "Masking", "name": ")" + source +
                R"(", "config": {"mask_value": )" + std::to_string(*layer.masked_value) +
                R"(}, "inbound_nodes": [{"args": [)" + tensor_json(name) +
                R"(], "kwargs": {}}]}, )";
    }
    ports += (i == 0 ? "" : ", ") + (R"([")" + name + R"(", 0, 0])");
    all += (i == 0 ? "" : ", ") + tensor_json(source);
    replace("$" + std::to_string(i), tensor_json(source));
  }
  replace("$all", R"({"args": [)" + (layer.inputs.size() > 1 ? "[" + all + "]" : all) +
                      R"(], "kwargs": {}})");
  return R"({"class_name": "Functional", "config": {"name": "model", "layers": [)" + layers +
         R"({"module": ")" + layer.module + R"(", "class_name": ")" + layer.class_name +
         R"(", "name": "layer", "config": )" + layer.config + R"(, "inbound_nodes": [)" +
         arguments + R"(]}], "input_layers": [)" + ports +
         R"(], "output_layers": [["layer", 0, 0]]}})";
}

}  // namespace

LayerResult run_layer(const LayerCase& layer) {
  const auto graph = testing_support::make_model(
      model_json(layer),
      [&](const std::string& name, const Shape& shape) {
        return Tensor::floats(shape, layer.weights.at(name.substr(name.find('/') + 1)));
      },
      layer.version, layer.extensions);
  const graph::Call& call = graph->calls().back();
  std::vector<graph::TensorId> fetches = call.outputs;
  for (const graph::TensorId mask : call.masks) {
    if (mask != graph::kNone) fetches.push_back(mask);
  }
  std::vector<graph::TensorId> feeds;
  for (const graph::Port& port : graph->inputs()) feeds.push_back(port.tensor);
  program::ConstantCache cache;
  const std::vector<Tensor> tensors = testing_support::run(
      graph::cut(graph, feeds, fetches, {.strict = false}), layer.inputs, cache);
  LayerResult result;
  std::size_t next = 0;
  for (; next < call.outputs.size(); ++next) {
    result.outputs.push_back(tensors[next]);
    const Shape& declared = graph->tensor(call.outputs[next]).shape;
    EXPECT_TRUE(declared.accepts(tensors[next].shape())) << declared.to_string();
  }
  for (const graph::TensorId mask : call.masks) {
    result.masks.emplace_back();
    if (mask != graph::kNone) result.masks.back() = tensors[next++];
  }
  return result;
}

Error refusal_of(const LayerCase& layer) {
  try {
    run_layer(layer);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "the layer was accepted";
  return {ErrorCode::kInternal, ""};
}

Tensor ints(const Shape& shape, const std::vector<std::int32_t>& values) {
  return Tensor::of<std::int32_t>(DType::kInt32, shape, values);
}

Floats ramp(std::size_t count, float start, float step) {
  Floats values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = start + step * static_cast<float>(i);
  return values;
}

void expect_tensor(const Tensor& actual, const Shape& shape, std::span<const float> values) {
  EXPECT_EQ(actual.shape().to_string(), shape.to_string());
  const Tensor numbers = actual.cast(DType::kFloat32);
  ASSERT_EQ(numbers.as<float>().size(), values.size());
  float largest = 0;
  for (const float value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float got = numbers.as<float>()[i];
    if (std::isnan(values[i])) {
      EXPECT_TRUE(std::isnan(got)) << "element " << i << " is " << got;
    } else if (std::isinf(values[i])) {
      EXPECT_EQ(got, values[i]) << "element " << i;
    } else {
      EXPECT_NEAR(got, values[i], 1e-5F * largest) << "element " << i;
    }
  }
}

void expect_mask(const std::optional<Tensor>& mask, const Shape& shape,
                 const std::vector<bool>& values) {
  ASSERT_TRUE(mask.has_value()) << "no mask travels beside the output";
  EXPECT_EQ(mask->dtype(), DType::kBool);
  EXPECT_EQ(mask->shape().to_string(), shape.to_string());
  ASSERT_EQ(mask->byte_size(), values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(mask->as<std::uint8_t>()[i], values[i] ? 1 : 0) << "step " << i;
  }
}

}  // namespace kerf::layers
