#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/registry.h"

namespace kerf::layers {

// "layer 'encoder/dense' (Dense)".
std::string describe(const graph::Layer& layer);

// Indices of the tensors {"tensor": i} in a tree of arguments, in order.
std::vector<std::size_t> tensors_in(const boost::json::value& tree);
// Those of the positional argument `position`, or of the keyword `name`; empty if there is none.
std::vector<std::size_t> tensors_at(const boost::json::object& arguments, std::size_t position);
std::vector<std::size_t> tensors_at(const boost::json::object& arguments, std::string_view name);

// What all uses of a definition share: finding inputs and masks, and recording outputs.
class BaseCall : public LayerCall {
 public:
  struct Output {
    ValueId value = 0;
    std::optional<ValueId> mask;
    std::optional<std::size_t> passes_mask_of;  // an index into the call's tensors
  };

  BaseCall(const graph::Layer& layer, const boost::json::object& arguments,
           program::ProgramBuilder& ops);

  const graph::Layer& layer() const override { return layer_; }
  const Config& config() const override { return config_; }
  program::ProgramBuilder& ops() override { return ops_; }
  const boost::json::object& arguments() const override { return arguments_; }

  std::size_t input_count() const override { return inputs_.size(); }
  ValueId input(std::size_t i) override;
  std::vector<std::size_t> argument(std::string_view name, std::size_t position) const override;
  bool has_mask(std::size_t i) const override;
  std::optional<ValueId> mask(std::size_t i) override;
  std::optional<ValueId> argument_mask(std::size_t i) override;
  void output(ValueId value, std::optional<ValueId> mask) override;
  void output_passing_mask(ValueId value, std::size_t from_input) override;

  const std::vector<Output>& outputs() const { return outputs_; }

 protected:
  virtual bool travels(std::size_t argument) const = 0;
  virtual ValueId travelling_mask(std::size_t argument) = 0;

  const graph::Layer& layer_;
  const boost::json::object& arguments_;
  program::ProgramBuilder& ops_;
  Config config_;
  std::vector<std::size_t> inputs_;
  std::vector<std::size_t> explicit_masks_;
  std::vector<Output> outputs_;
};

}  // namespace kerf::layers
