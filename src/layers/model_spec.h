#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace kerf::layers {

// A tensor reference in a configuration: output `tensor` of call `node` of a layer of this model.
struct TensorRef {
  std::string layer;
  std::uint32_t node = 0;
  std::uint32_t tensor = 0;
};

// One call of a layer: `arguments` is {"args": [...], "kwargs": {...}} in which tensors stand as
// {"tensor": i}, indices into `refs`.
struct CallSpec {
  boost::json::object arguments;
  std::vector<TensorRef> refs;
};

class UserDefinitions;
struct ModelSpec;

struct LayerSpec {
  std::string name;
  std::string class_name;
  bool operation = false;
  bool custom = false;  // a class of the model author's own, whatever it is called
  bool trainable = true;
  std::string shared_id;  // equal for one layer object that stands in several models, else empty
  boost::json::object config;
  boost::json::object identity;  // graph::Layer::identity
  std::vector<CallSpec> calls;
  std::unique_ptr<ModelSpec> model;  // a nested model
};

// A Sequential or Functional configuration of any Keras dialect, in one form.
struct ModelSpec {
  std::string name;
  bool sequential = false;
  std::vector<LayerSpec> layers;  // a Sequential's InputLayer included
  std::vector<TensorRef> inputs;  // of a Functional model
  std::vector<TensorRef> outputs;
  std::vector<std::string> output_names;  // keys of a dict; else empty strings

  const LayerSpec* find(const std::string& layer) const;
};

// Reads a model configuration ({"class_name", "config", ...}). Throws Error(kInvalidFile |
// kUnsupported); `where` names the file.
ModelSpec read_spec(const boost::json::object& model, const std::string& where);

// Reads the configuration of one layer or nested model, as it stands in a model or in a layer that
// is made of others. Throws as read_spec() does.
LayerSpec read_layer_spec(const boost::json::object& layer, const std::string& where);

// The name of each layer's group in its model's container of a `.keras` file: layers of one class
// are counted, and "GroupQueryAttention" is the one class that Python calls otherwise.
std::map<std::string, std::string> layer_folders(const ModelSpec& model);
std::string layer_folder(const std::string& class_name);

// Whether kerf can run the layer's class (always true for a nested model). `extensions` may be
// null.
bool is_known(const LayerSpec& layer, const UserDefinitions* extensions);

// Why it cannot.
std::string unknown_reason(const LayerSpec& layer);

// Every reason why kerf cannot run the layers of this model: one a class, with the layers' names.
std::vector<std::string> unknown_layers(const ModelSpec& model,
                                        const UserDefinitions* extensions = nullptr);

}  // namespace kerf::layers
