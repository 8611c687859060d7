#include <fmt/format.h>

#include "kerf/error.h"
#include "layers/activation.h"
#include "layers/window.h"

// Convolutional LSTM over 1 to 3 spatial axes.
namespace kerf::layers {
namespace {

using program::Reshape;

// Axis `from` of x moved to `to`.
ValueId moved(LayerCall& call, ValueId x, std::size_t from, std::size_t to) {
  std::vector<std::int64_t> order;
  for (std::size_t i = 0; i < call.shape(x).rank(); ++i) {
    if (i != from) order.push_back(static_cast<std::int64_t>(i));
  }
  order.insert(order.begin() + static_cast<std::ptrdiff_t>(to), static_cast<std::int64_t>(from));
  return call.ops().append(program::Transpose{std::move(order)}, {x});
}

program::Activation function_of(LayerCall& call, std::string_view field, std::string_view other) {
  const auto activation = elementwise_activation(call, field, other);
  if (!activation) call.config().unsupported(field, "a recurrent layer needs an element-wise one");
  return *activation;
}

void lower_conv_lstm(LayerCall& call) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  const std::size_t rank = spatial_rank_of(call);
  const bool first = config.channels_first();
  ValueId x = call.float_input();
  if (call.shape(x).rank() != rank + 3) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("it needs an input of {} dimensions, not {}", rank + 3,
                            call.shape(x).to_string()),
                config.where());
  }
  if (first) x = moved(call, x, 2, rank + 2);
  const std::int64_t channels = call.shape(x).back();
  const std::int64_t filters = config.size("filters");
  if (channels == Shape::kUnknown) {
    config.unsupported("data_format", "the number of channels of its input is unknown");
  }
  call.part("cell", "conv_lstm_cell");

  // The convolutions of the input, of all steps at once.
  program::Conv input{.window = window_of(call, rank, "kernel_size", 1)};
  Shape kernel;
  for (std::size_t i = 0; i < rank; ++i) kernel.push_back(input.window.size[i]);
  Shape recurrent = kernel;
  kernel.push_back(channels);
  recurrent.push_back(filters);
  for (Shape* shape : {&kernel, &recurrent}) shape->push_back(4 * filters);
  std::vector<std::int64_t> dims{Reshape::kInfer};
  for (std::size_t i = 2; i < rank + 3; ++i) dims.push_back(Reshape::copy(i));
  std::vector<ValueId> operands{ops.append(Reshape{dims}, {x}), call.weight("cell/kernel", kernel)};
  const ValueId recurrent_kernel = call.weight("cell/recurrent_kernel", recurrent);
  if (config.boolean("use_bias", true)) {
    operands.push_back(call.weight("cell/bias", {4 * filters}));
    input.epilogue.bias = true;
  }
  ValueId gates = ops.append(input, std::move(operands));
  dims = {Reshape::like(0), Reshape::like(1)};
  for (std::size_t i = 1; i < rank + 2; ++i) dims.push_back(Reshape::copy(i));
  gates = ops.append(Reshape{dims}, {gates, x});

  program::ConvLstm op{.activation = function_of(call, "activation", "tanh"),
                       .recurrent_activation = function_of(call, "recurrent_activation", "sigmoid"),
                       .sequences = config.boolean("return_sequences", false),
                       .backwards = config.boolean("go_backwards", false),
                       .zero_output_for_mask = config.boolean("zero_output_for_mask", false)};
  operands = {gates, recurrent_kernel};
  if (const auto mask = call.mask()) {
    op.mask = true;
    operands.push_back(*mask);
  }
  const std::vector<ValueId> initial = call.keyword_tensors("initial_state");
  if (!initial.empty() && initial.size() != 2) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("an initial state needs 2 tensors, not {}", initial.size()),
                config.where());
  }
  for (const ValueId state : initial) {
    op.initial_state = true;
    operands.push_back(first ? moved(call, state, 1, rank + 1) : state);
  }
  const std::vector<ValueId> results = ops.append_all(op, std::move(operands));
  const auto result = [&](std::size_t i) {
    const std::size_t axes = call.shape(results[i]).rank();
    return first ? moved(call, results[i], axes - 1, axes - rank - 1) : results[i];
  };
  // Keras up to 3.15 lets the mask of a sequence travel on.
  if (op.sequences && (call.layer().keras_major < 3 || call.layer().keras_minor < 16)) {
    call.output_passing_mask(result(0));
  } else {
    call.output(result(0));
  }
  if (config.boolean("return_state", false)) {
    for (std::size_t i = 1; i < results.size(); ++i) call.output(result(i));
  }
}

}  // namespace

void register_conv_lstm(Registry& registry);
void register_conv_lstm(Registry& registry) {
  for (const char* name : {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}) {
    registry.add({.class_name = name,
                  .lower = lower_conv_lstm,
                  .refuses = {{"data_format", "an unknown number of channels"}},
                  .note = "every request starts from the initial state, also if it is stateful"});
  }
}

}  // namespace kerf::layers
