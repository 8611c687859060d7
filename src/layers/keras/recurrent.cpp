#include <fmt/format.h>

#include "layers/activation.h"

namespace kerf::layers {
namespace {

using program::Recurrent;

program::Activation gate_activation(LayerCall& call, std::string_view field,
                                    std::string_view fallback) {
  const auto activation = elementwise_activation(call, field, fallback);
  if (!activation) call.config().unsupported(field, "a recurrent layer needs an element-wise one");
  return *activation;
}

void lower_recurrent(LayerCall& call) {
  const Config& config = call.config();
  const std::string& name = call.layer().class_name;
  const bool old = call.layer().keras_major < 3;
  Recurrent op;
  std::int64_t gates = 1;
  if (name == "LSTM") {
    op.cell = Recurrent::Cell::kLstm;
    gates = 4;
  } else if (name == "GRU") {
    // Files older than the option compute without it.
    op.cell = config.boolean("reset_after", !old) ? Recurrent::Cell::kGruResetAfter
                                                  : Recurrent::Cell::kGru;
    gates = 3;
  } else {
    op.cell = Recurrent::Cell::kSimple;
  }
  op.activation = gate_activation(call, "activation", "tanh");
  if (gates != 1)
    op.recurrent_activation = gate_activation(call, "recurrent_activation", "sigmoid");
  op.sequences = config.boolean("return_sequences", false);
  op.backwards = config.boolean("go_backwards", false);
  op.zero_output_for_mask = config.boolean("zero_output_for_mask", false);
  op.bias = config.boolean("use_bias", true);
  if (config.boolean("time_major", false)) {
    config.unsupported("time_major", "only batch-major sequences are supported");
  }

  const ValueId x = call.float_input();
  const std::int64_t units = config.size("units");
  if (call.shape(x).rank() != 3) {
    config.invalid("units", fmt::format("needs an input (batch, steps, channels), not {}",
                                        call.shape(x).to_string()));
  }
  std::vector<ValueId> operands{x, call.weight("cell/kernel", {call.shape(x)[2], gates * units}),
                                call.weight("cell/recurrent_kernel", {units, gates * units})};
  if (op.bias) {
    const bool two = op.cell == Recurrent::Cell::kGruResetAfter;
    operands.push_back(
        call.weight("cell/bias", two ? Shape{2, gates * units} : Shape{gates * units}));
  }
  if (const auto mask = call.mask()) {
    op.mask = true;
    operands.push_back(*mask);
  }
  const std::vector<ValueId> initial = call.keyword_tensors("initial_state");
  if (!initial.empty()) {
    const std::size_t states = op.cell == Recurrent::Cell::kLstm ? 2 : 1;
    if (initial.size() != states) {
      config.invalid("units", fmt::format("an initial state needs {} tensors, not {}", states,
                                          initial.size()));
    }
    op.initial_state = true;
    operands.insert(operands.end(), initial.begin(), initial.end());
  }
  const std::vector<ValueId> results = call.ops().append_all(op, std::move(operands));
  // Keras up to 3.15 lets the mask of a sequence travel on.
  const bool passes = old || call.layer().keras_minor < 16;
  if (op.sequences && passes) {
    call.output_passing_mask(results[0]);
  } else {
    call.output(results[0]);
  }
  if (config.boolean("return_state", false)) {
    for (std::size_t i = 1; i < results.size(); ++i) call.output(results[i]);
  }
}

}  // namespace

void register_recurrent(Registry& registry);
void register_recurrent(Registry& registry) {
  for (const char* name : {"LSTM", "GRU", "SimpleRNN"}) {
    registry.add({.class_name = name, .lower = lower_recurrent});
  }
}

}  // namespace kerf::layers
