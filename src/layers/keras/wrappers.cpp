#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <map>

#include "kerf/error.h"
#include "layers/part.h"

// Layers around another layer.
namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;
using program::Reshape;

ValueId reversed(LayerCall& call, ValueId x) {
  return call.ops().append(program::Slice{.axis = 1, .begin = {}, .end = {}, .step = -1}, {x});
}

ValueId merged(LayerCall& call, const std::string& mode, ValueId forward, ValueId backward) {
  program::ProgramBuilder& ops = call.ops();
  if (mode == "concat") return ops.append(program::Concat{-1}, {forward, backward});
  if (mode == "mul") return ops.append(Binary{Binary::Kind::kMultiply}, {forward, backward});
  if (mode != "sum" && mode != "ave") {
    call.config().invalid("merge_mode", fmt::format("is '{}'", mode));
  }
  const ValueId sum = ops.append(Binary{Binary::Kind::kAdd}, {forward, backward});
  if (mode == "sum") return sum;
  return ops.append(Binary{Binary::Kind::kMultiply}, {sum, call.scalar(0.5F)});
}

// Keras 2 may leave out the backward layer: it is the forward one, run the other way.
Part backward_part(LayerCall& call, const Part& forward) {
  if (call.config().has("backward_layer")) return {call, "backward_layer", "backward_layer"};
  Part part(call, "backward_layer", "layer");
  part.set("go_backwards", !forward.flag("go_backwards"));
  return part;
}

void lower_bidirectional(LayerCall& call) {
  const Config& config = call.config();
  Part forward(call, "forward_layer", "layer");
  Part backward = backward_part(call, forward);
  const bool sequences = forward.flag("return_sequences");
  // Without this the backward layer would repeat its output over the padding, which for it comes
  // first. Multi-backend Keras did.
  if (call.layer().keras_major >= 3 || call.layer().keras_minor >= 4) {
    forward.set("zero_output_for_mask", sequences);
    backward.set("zero_output_for_mask", sequences);
  }
  const std::vector<ValueId> initial = call.keyword_tensors("initial_state");
  if (initial.size() % 2 != 0) {
    throw Error(ErrorCode::kInvalidFile, "its two layers need as many initial states each",
                config.where());
  }
  const auto half = initial.begin() + static_cast<std::ptrdiff_t>(initial.size() / 2);
  const std::vector<Flow> input{{call.input(), call.mask()}};
  const std::vector<Flow> there = forward.call(input, {initial.begin(), half});
  std::vector<Flow> back = backward.call(input, {half, initial.end()});
  if (there.empty() || there.size() != back.size()) {
    throw Error(ErrorCode::kInvalidFile, "its two layers have different outputs", config.where());
  }
  if (sequences) back[0].value = reversed(call, back[0].value);
  const bool passes = sequences && (call.layer().keras_major < 3 || call.layer().keras_minor < 16);
  const auto output = [&](ValueId value) {
    passes ? call.output_passing_mask(value) : call.output(value);
  };
  const boost::json::value* mode = call.layer().config.if_contains("merge_mode");
  if (mode != nullptr && mode->is_null()) {
    output(there[0].value);
    output(back[0].value);
  } else {
    output(merged(call, config.text("merge_mode", "concat"), there[0].value, back[0].value));
  }
  for (std::size_t i = 1; i < there.size(); ++i) call.output(there[i].value);
  for (std::size_t i = 1; i < back.size(); ++i) call.output(back[i].value);
}

// (batch, steps, ...) -> (batch * steps, ...).
ValueId folded(LayerCall& call, ValueId x) {
  std::vector<std::int64_t> dims{Reshape::kInfer};
  for (std::size_t i = 2; i < call.shape(x).rank(); ++i) dims.push_back(Reshape::copy(i));
  return call.ops().append(Reshape{std::move(dims)}, {x});
}

// Back, to as many sequences and steps as `like` has.
ValueId unfolded(LayerCall& call, ValueId x, ValueId like) {
  std::vector<std::int64_t> dims{Reshape::like(0), Reshape::like(1)};
  for (std::size_t i = 1; i < call.shape(x).rank(); ++i) dims.push_back(Reshape::copy(i));
  return call.ops().append(Reshape{std::move(dims)}, {x, like});
}

void lower_time_distributed(LayerCall& call) {
  const ValueId x = call.input();
  if (call.shape(x).rank() < 3) {
    throw Error(
        ErrorCode::kInvalidFile,
        fmt::format("it needs an input (batch, steps, ...), not {}", call.shape(x).to_string()),
        call.config().where());
  }
  Part inner(call, "layer", "layer");
  Flow input{folded(call, x)};
  // A mask of the steps says nothing of what is in one; the inner layer sees those with more axes.
  const bool inside = call.has_mask() && call.shape(*call.mask()).rank() > 2;
  if (inside) input.mask = folded(call, *call.mask());
  const bool passes = call.layer().keras_major < 3 || call.layer().keras_minor < 16;
  for (const Flow& output : inner.call({input})) {
    const ValueId y = unfolded(call, output.value, x);
    passes ? call.output_passing_mask(y) : call.output(y);
  }
}

// The input of a layer that hands it on to another.
std::vector<Flow> inputs_of(LayerCall& call) {
  std::vector<Flow> inputs;
  for (std::size_t i = 0; i < call.input_count(); ++i) {
    inputs.push_back({call.input(i), call.mask(i)});
  }
  return inputs;
}

// What is left of SpectralNormalization after training: its layer, whose kernel was normalised
// then.
void lower_wrapper(LayerCall& call) {
  Part inner(call, "layer", "layer");
  for (const Flow& output : inner.call(inputs_of(call))) call.output(output.value, output.mask);
}

void lower_pipeline(LayerCall& call) {
  const json::value* layers = call.config().find("layers");
  if (layers == nullptr || !layers->is_array()) call.config().invalid("layers", "is no list");
  std::vector<Flow> flows = inputs_of(call);
  std::map<std::string, int> counts;
  for (const json::value& layer : layers->get_array()) {
    if (!layer.is_object()) call.config().invalid("layers", "holds something that is no layer");
    const json::value* name = layer.get_object().if_contains("class_name");
    const std::string folder =
        layer_folder(name != nullptr && name->is_string() ? std::string(name->get_string()) : "");
    const int number = counts[folder]++;
    Part part(call, "layers/" + (number == 0 ? folder : fmt::format("{}_{}", folder, number)),
              layer.get_object());
    flows = part.call(flows);
  }
  for (const Flow& output : flows) call.output(output.value, output.mask);
}

}  // namespace

void register_wrappers(Registry& registry);
void register_wrappers(Registry& registry) {
  for (const char* name : {"SpectralNormalization", "Wrapper"}) {
    registry.add({.class_name = name, .lower = lower_wrapper});
  }
  registry.add({.class_name = "Pipeline", .lower = lower_pipeline});
  registry.add({.class_name = "Bidirectional", .lower = lower_bidirectional});
  registry.add({.class_name = "TimeDistributed", .lower = lower_time_distributed});
}

}  // namespace kerf::layers
