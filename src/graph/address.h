#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"

namespace kerf::graph {

// What a name is asked for. It matters where an input and an output of a model share one.
enum class Role { kFeed, kFetch };

// Every address of every tensor of a graph: layer, layer:tensor, layer:call:tensor, path/layer,
// layer:mask, and the names of inputs and outputs. Made once, by GraphBuilder::build(), and
// immutable: any thread may ask, in constant time.
class AddressIndex {
 public:
  explicit AddressIndex(const Graph& graph);

  // The tensor an address names. The model's own input and output names win over layers'. Throws
  // Error(kNotFound) for an unknown address, with the nearest ones, and Error(kInvalidArgument) for
  // an ambiguous one, with its candidates.
  TensorId resolve(std::string_view address, Role role) const;

  // All addresses that name this tensor whatever the role. The first is the one to show: a model
  // input's name, else the shortest by the layer that makes it ("dense_1", "lstm:1", "shared:1:0",
  // "encoder:1/conv2d", "embedding:mask").
  std::span<const std::string> of(TensorId tensor) const { return addresses_[tensor]; }

 private:
  // What one spelling may mean. A layer with several calls or outputs named without them is
  // `partial`: it never names a tensor, even if only one is left.
  struct Meaning {
    std::vector<TensorId> tensors;
    bool partial = false;
  };
  // A place of the graph: a layer or nested model as it appears in addresses.
  struct Place {
    std::string prefix;  // "encoder:1/"
    std::string name;
    std::uint32_t call = 0;
    bool several_calls = false;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  template <typename Value>
  using Names = std::unordered_map<std::string, Value, Hash, std::equal_to<>>;

  void add(std::string address, TensorId tensor, bool partial);
  void add_place(const Place& place, std::span<const TensorId> outputs,
                 std::span<const TensorId> masks);
  [[noreturn]] void refuse(std::string_view address) const;
  std::string candidates(std::span<const TensorId> tensors) const;
  std::vector<std::string> nearest(std::string_view address) const;

  std::vector<std::vector<std::string>> addresses_;  // by tensor
  Names<Meaning> meanings_;
  Names<std::string> layers_;  // class of each layer, by its address without numbers at its end
  Names<TensorId> inputs_;
  Names<TensorId> outputs_;
};

TensorId resolve(const Graph& graph, std::string_view address, Role role = Role::kFetch);
// The address to show for a tensor; resolve() takes it.
const std::string& address_of(const Graph& graph, TensorId tensor);

}  // namespace kerf::graph
