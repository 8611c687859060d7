#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <map>
#include <string>
#include <vector>

namespace kerf::layers {

namespace json = boost::json;

// Writes the configuration of a Functional model as Keras 3 does, layer by layer. A tensor is known
// by the name of the layer that gives it.
class Network {
 public:
  using Config = json::object;

  std::string input(const std::vector<int>& shape) {
    json::array dims{nullptr};
    for (const int dim : shape) dims.push_back(dim);
    const std::string name = add("InputLayer", {{"batch_shape", dims}, {"dtype", "float32"}},
                                 std::vector<std::string>{});
    input_ = name;
    return name;
  }
  // `inputs` of more than one stand in a list, as merging layers take them.
  std::string add(const std::string& class_name, Config config,
                  const std::vector<std::string>& inputs) {
    json::array tensors;
    for (const std::string& input : inputs) tensors.push_back(tensor(input));
    json::array args;
    if (inputs.size() == 1) args.push_back(tensors[0]);
    if (inputs.size() > 1) args.emplace_back(std::move(tensors));
    return place(class_name, "keras.layers", std::move(config), std::move(args));
  }
  std::string add(const std::string& class_name, Config config, const std::string& input) {
    return add(class_name, std::move(config), std::vector<std::string>{input});
  }
  // A keras.ops function of a tensor and a number.
  std::string operation(const std::string& class_name, const std::string& x, double number) {
    return place(class_name, "keras.src.ops.numpy", {}, {tensor(x), number});
  }
  // A Sequential model as one layer.
  std::string sequential(const std::vector<std::pair<std::string, Config>>& layers,
                         const std::string& input) {
    json::array inner;
    for (const auto& [class_name, config] : layers) {
      inner.push_back(layer(class_name, "keras.layers", config, name(class_name), nullptr));
    }
    return add("Sequential", {{"layers", inner}}, input);
  }

  std::string json_of(const std::string& output) const {
    const json::object model{
        {"class_name", "Functional"},
        {"config", json::object{{"name", "network"},
                                {"layers", layers_},
                                {"input_layers", json::array{json::array{input_, 0, 0}}},
                                {"output_layers", json::array{json::array{output, 0, 0}}}}}};
    return json::serialize(model);
  }

 private:
  static json::object tensor(const std::string& name) {
    return {{"class_name", "__keras_tensor__"},
            {"config", json::object{{"keras_history", json::array{name, 0, 0}}}}};
  }
  std::string name(const std::string& class_name) {
    return class_name + "_" + std::to_string(++counts_[class_name]);
  }
  static json::object layer(const std::string& class_name, const std::string& module, Config config,
                            const std::string& name, const json::value& nodes) {
    config["name"] = name;
    json::object object{{"module", module},
                        {"class_name", class_name},
                        {"name", name},
                        {"config", std::move(config)}};
    if (!nodes.is_null()) object["inbound_nodes"] = nodes;
    return object;
  }
  std::string place(const std::string& class_name, const std::string& module, Config config,
                    json::array args) {
    const std::string own = name(class_name);
    json::array nodes;
    if (class_name != "InputLayer") {
      nodes.push_back(json::object{{"args", std::move(args)}, {"kwargs", json::object{}}});
    }
    layers_.push_back(layer(class_name, module, std::move(config), own, nodes));
    return own;
  }

  json::array layers_;
  std::string input_;
  std::map<std::string, int> counts_;
};

}  // namespace kerf::layers
