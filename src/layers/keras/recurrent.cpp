#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "kerf/error.h"
#include "layers/activation.h"
#include "layers/model_spec.h"
#include "layers/part.h"
#include "layers/snake_case.h"

// Layers that run cells over the steps of a sequence. They run statelessly: `stateful` means that a
// run may be given the last state of another as its initial state.
namespace kerf::layers {
namespace {

using program::Recurrent;

// One cell of a layer: "LSTMCell" and so on, its configuration, and where its weights are.
struct Cell {
  std::string class_name;
  Config config;
  std::string path;
};

program::Activation gate_activation(LayerCall& call, const Config& config, std::string_view field,
                                    std::string_view fallback) {
  const auto activation = elementwise_activation(config, call.layer().keras_major, field, fallback);
  if (!activation) config.unsupported(field, "a recurrent layer needs an element-wise one");
  return *activation;
}

// What a cell is, as an op without the flags of the layer.
Recurrent cell_op(LayerCall& call, const Cell& cell) {
  Recurrent op;
  if (cell.class_name == "LSTMCell") {
    op.cell = Recurrent::Cell::kLstm;
  } else if (cell.class_name == "GRUCell") {
    // Files older than the option compute without it.
    const bool reset_after = cell.config.boolean("reset_after", call.layer().keras_major >= 3);
    op.cell = reset_after ? Recurrent::Cell::kGruResetAfter : Recurrent::Cell::kGru;
  } else {
    op.cell = Recurrent::Cell::kSimple;
  }
  op.activation = gate_activation(call, cell.config, "activation", "tanh");
  if (op.cell != Recurrent::Cell::kSimple) {
    op.recurrent_activation = gate_activation(call, cell.config, "recurrent_activation", "sigmoid");
  }
  op.bias = cell.config.boolean("use_bias", true);
  return op;
}

std::size_t state_count(const Recurrent& op) { return op.cell == Recurrent::Cell::kLstm ? 2 : 1; }

// Runs `op` over x, and returns its results: y, h[, c].
std::vector<ValueId> run_cell(LayerCall& call, const Cell& cell, Recurrent op, ValueId x,
                              std::optional<ValueId> mask, std::span<const ValueId> initial) {
  const std::int64_t units = cell.config.size("units");
  const std::int64_t gates = op.cell == Recurrent::Cell::kSimple ? 1
                             : op.cell == Recurrent::Cell::kLstm ? 4
                                                                 : 3;
  const auto weight = [&](const char* name, const Shape& shape) {
    return call.weight(fmt::format("{}/{}", cell.path, name), shape);
  };
  std::vector<ValueId> operands{x, weight("kernel", {call.shape(x)[2], gates * units}),
                                weight("recurrent_kernel", {units, gates * units})};
  if (op.bias) {
    const bool two = op.cell == Recurrent::Cell::kGruResetAfter;
    operands.push_back(weight("bias", two ? Shape{2, gates * units} : Shape{gates * units}));
  }
  op.mask = mask.has_value();
  if (mask) operands.push_back(*mask);
  op.initial_state = !initial.empty();
  operands.insert(operands.end(), initial.begin(), initial.end());
  return call.ops().append_all(op, std::move(operands));
}

// The cells of an RNN layer: one, or those of a stack, from the input on.
void collect_cells(LayerCall& call, const boost::json::object& object, const std::string& path,
                   std::vector<Cell>& cells, std::vector<LayerSpec>& specs) {
  const Config& config = call.config();
  specs.push_back(read_layer_spec(object, config.where()));
  const LayerSpec& spec = specs.back();
  if (spec.custom) throw Error(ErrorCode::kUnsupported, unknown_reason(spec), config.where());
  call.part(path, spec.name);
  if (spec.class_name == "StackedRNNCells") {
    const boost::json::value* list = spec.config.if_contains("cells");
    if (list == nullptr || !list->is_array()) config.invalid("cell", "holds no list of cells");
    if (list->get_array().size() > 64) config.invalid("cell", "holds too many cells");
    if (spec.config.contains("reverse_state_order") &&
        spec.config.at("reverse_state_order") == true) {
      config.unsupported("cell", "the states of its cells are in reverse order");
    }
    const boost::json::array inner = list->get_array();
    std::map<std::string, int> counts;
    for (const boost::json::value& entry : inner) {
      if (!entry.is_object()) config.invalid("cell", "holds a cell that is no object");
      const boost::json::value* name = entry.get_object().if_contains("class_name");
      const std::string folder =
          layer_folder(name != nullptr && name->is_string() ? std::string(name->get_string()) : "");
      const int number = counts[folder]++;
      collect_cells(call, entry.get_object(),
                    number == 0 ? fmt::format("{}/cells/{}", path, folder)
                                : fmt::format("{}/cells/{}_{}", path, folder, number),
                    cells, specs);
    }
    return;
  }
  if (spec.class_name != "LSTMCell" && spec.class_name != "GRUCell" &&
      spec.class_name != "SimpleRNNCell") {
    config.unsupported("cell", fmt::format("kerf does not know the cell {}", spec.class_name));
  }
  cells.push_back({spec.class_name,
                   Config(spec.config, fmt::format("{}, cell '{}'", config.where(), spec.name)),
                   path});
}

void lower_recurrent(LayerCall& call) {
  const Config& config = call.config();
  const std::string& name = call.layer().class_name;
  if (config.boolean("time_major", false)) {
    config.unsupported("time_major", "only batch-major sequences are supported");
  }
  ValueId x = call.float_input();
  if (call.shape(x).rank() != 3) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("it needs an input (batch, steps, channels), not {}",
                            call.shape(x).to_string()),
                config.where());
  }
  std::vector<Cell> cells;
  std::vector<LayerSpec> specs;
  specs.reserve(256);  // the cells' configurations refer to them
  if (name == "RNN") {
    collect_cells(call, object_in(config, "cell"), "cell", cells, specs);
  } else {
    call.part("cell", snake_case(name) + "_cell");
    cells.push_back({name + "Cell", config, "cell"});
  }
  if (cells.empty()) config.invalid("cell", "holds no cells");

  std::vector<Recurrent> ops;
  std::size_t states = 0;
  for (const Cell& cell : cells) {
    ops.push_back(cell_op(call, cell));
    states += state_count(ops.back());
  }
  const std::vector<ValueId> initial = call.keyword_tensors("initial_state");
  if (!initial.empty() && initial.size() != states) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("an initial state needs {} tensors, not {}", states, initial.size()),
                config.where());
  }
  const bool sequences = config.boolean("return_sequences", false);
  const bool backwards = config.boolean("go_backwards", false);
  // A stack of cells is a stack of layers: each runs over the steps that the one below gave, in the
  // order in which that took them.
  std::optional<ValueId> mask = call.mask();
  std::vector<ValueId> final_states;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool last = i + 1 == cells.size();
    ops[i].sequences = sequences || !last;
    ops[i].backwards = backwards && i == 0;
    ops[i].zero_output_for_mask = last && config.boolean("zero_output_for_mask", false);
    std::span<const ValueId> own;
    if (!initial.empty())
      own = std::span(initial).subspan(final_states.size(), state_count(ops[i]));
    const std::vector<ValueId> results = run_cell(call, cells[i], ops[i], x, mask, own);
    x = results[0];
    final_states.insert(final_states.end(), results.begin() + 1, results.end());
    if (backwards && i == 0 && mask && !last) {
      mask =
          call.ops().append(program::Slice{.axis = 1, .begin = {}, .end = {}, .step = -1}, {*mask});
    }
  }
  // Keras up to 3.15 lets the mask of a sequence travel on.
  if (sequences && (call.layer().keras_major < 3 || call.layer().keras_minor < 16)) {
    call.output_passing_mask(x);
  } else {
    call.output(x);
  }
  if (config.boolean("return_state", false)) {
    for (const ValueId state : final_states) call.output(state);
  }
}

}  // namespace

void register_recurrent(Registry& registry);
void register_recurrent(Registry& registry) {
  for (const char* name : {"LSTM", "GRU", "SimpleRNN", "RNN"}) {
    registry.add({.class_name = name,
                  .lower = lower_recurrent,
                  .refuses = {{"time_major", "true"},
                              {"cell",
                               "other cells than those of LSTM, GRU and SimpleRNN and "
                               "stacks of them; states in reverse order"}},
                  .note = "every request starts from the initial state, also if it is stateful"});
  }
}

}  // namespace kerf::layers
