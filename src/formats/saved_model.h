#pragma once

#include <boost/json/object.hpp>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "formats/graph_reader.h"
#include "formats/tensor_bundle.h"

namespace kerf::formats {

// What tf.keras wrote about a model beside TensorFlow's operations, in the form of a Keras 2 file.
struct SavedModelConfig {
  boost::json::object model;
  KerasVersion version;
};

// Of the SavedModel in `folder`. Throws Error(kUnsupported), with what to do, for SavedModels that
// say nothing of layers: those of plain TensorFlow and of export(), and subclassed models.
SavedModelConfig read_saved_model_config(const std::filesystem::path& folder);

// The same from the contents of `keras_metadata.pb`, or of `saved_model.pb`, which held the
// metadata before TensorFlow 2.5.
SavedModelConfig read_keras_metadata(std::string_view file, const std::string& where);
SavedModelConfig read_saved_model_proto(std::string_view file, const std::string& where);

// The objects of a checkpoint: how each names its parts, and under which key the bundle has a
// variable. Views into the message it was read from.
class ObjectGraph {
 public:
  using Node = std::uint32_t;
  static constexpr Node kNone = ~Node{0};

  // Throws Error(kInvalidFile).
  ObjectGraph(std::string_view message, const std::string& where);

  Node root() const noexcept { return nodes_.empty() ? kNone : 0; }
  Node child(Node node, std::string_view name) const;                 // kNone if there is none
  std::string_view key(Node node) const { return nodes_[node].key; }  // empty if no variable

 private:
  struct Object {
    std::map<std::string_view, Node> children;
    std::string_view key;
  };
  std::vector<Object> nodes_;
};

// Reads the weights of every layer of the skeleton; see weights.h.
void read_checkpoint_weights(TensorBundle& bundle, const ModelSpec& model, Skeleton& skeleton,
                             Problems& problems);

}  // namespace kerf::formats
