#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <numeric>

#include "kerf/error.h"
#include "layers/quantization.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;
using program::Reshape;

// A tensor of a call's arguments, and the mask beside it.
struct Argument {
  ValueId value = 0;
  std::optional<ValueId> mask;
};

std::optional<Argument> argument_of(LayerCall& call, std::string_view name, std::size_t position) {
  const std::vector<std::size_t> found = call.argument(name, position);
  if (found.empty()) return std::nullopt;
  return Argument{call.to_float(call.argument_tensor(found.front())),
                  call.argument_mask(found.front())};
}

bool option(LayerCall& call, std::string_view name) {
  const json::value* kwargs = call.arguments().if_contains("kwargs");
  if (kwargs == nullptr || !kwargs->is_object()) return false;
  const json::value* value = kwargs->get_object().if_contains(name);
  if (value == nullptr || value->is_null()) return false;
  if (!value->is_bool()) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the argument {} is neither true nor false", name),
                call.config().where());
  }
  return value->get_bool();
}

// The mask given by keyword, else the one that travels.
std::optional<ValueId> mask_of(LayerCall& call, std::string_view name,
                               std::optional<ValueId> travelling) {
  const std::vector<ValueId> given = call.keyword_tensors(name);
  return given.empty() ? travelling : std::optional(given.front());
}

ValueId reshaped(LayerCall& call, ValueId x, std::vector<std::int64_t> dims) {
  return call.ops().append(Reshape{std::move(dims)}, {x});
}

void add_mask(LayerCall& call, std::optional<ValueId>& all, std::optional<ValueId> mask) {
  if (!mask) return;
  all = all ? call.ops().append(Binary{Binary::Kind::kAnd}, {*all, *mask}) : *mask;
}

ValueId to_bool(LayerCall& call, ValueId mask) {
  return call.type(mask).dtype == DType::kBool
             ? mask
             : call.ops().append(program::Cast{DType::kBool}, {mask});
}

// A dense layer inside an attention layer, whose kernel has more than two axes.
struct Projection {
  std::string path;  // "query_dense"
  std::string name;  // "query"
  std::vector<std::int64_t> from;
  std::vector<std::int64_t> to;
};

ValueId project(LayerCall& call, const Projection& projection, ValueId x) {
  call.part(projection.path, projection.name);
  Shape kernel;
  Shape bias;
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  for (const std::int64_t dim : projection.from) {
    kernel.push_back(dim);
    rows *= dim;
  }
  for (const std::int64_t dim : projection.to) {
    kernel.push_back(dim);
    bias.push_back(dim);
    columns *= dim;
  }
  // Scales stand as the results of the projection do.
  Shape scale;
  for (std::size_t i = 0; i + 1 < call.shape(x).rank(); ++i) scale.push_back(1);
  for (const std::int64_t dim : projection.to) scale.push_back(dim);
  return dense_product(call, x,
                       dense_weights(call, quantization_of(call, projection.name),
                                     {.path = projection.path + "/",
                                      .rows = rows,
                                      .columns = columns,
                                      .kernel = kernel,
                                      .bias = bias,
                                      .kernel_scale = scale,
                                      .has_bias = call.config().boolean("use_bias", true)}));
}

std::int64_t channels(LayerCall& call, ValueId x) {
  const std::int64_t channels = call.shape(x).back();
  if (channels == Shape::kUnknown) {
    throw Error(ErrorCode::kUnsupported, "the number of channels of an input is unknown",
                call.config().where());
  }
  return channels;
}

// The query, value and key of an attention layer that projects them, and what they may look at.
struct Inputs {
  Argument query;
  Argument value;
  Argument key;
  std::optional<ValueId> mask;  // (n, 1, queries, keys), or with ones for axes
  bool causal = false;
  bool scores = false;
};

// `places`: the axes of queries (and keys) that attention goes over, as many as 1.
Inputs read_inputs(LayerCall& call, std::size_t places) {
  Inputs in;
  const auto query = argument_of(call, "query", 0);
  const auto value = argument_of(call, "value", 1);
  if (!query || !value) {
    throw Error(ErrorCode::kInvalidFile, "it needs a query and a value", call.config().where());
  }
  in.query = *query;
  in.value = *value;
  in.key = argument_of(call, "key", 2).value_or(in.value);
  in.causal = option(call, "use_causal_mask");
  in.scores = option(call, "return_attention_scores");

  // A mask of the steps covers one axis; over several, Keras has no use of it that works.
  const auto steps = [&](std::string_view name, const Argument& argument,
                         bool queries) -> std::optional<ValueId> {
    const auto mask = mask_of(call, name, argument.mask);
    if (!mask) return std::nullopt;
    if (call.shape(*mask).rank() != 2 || places != 1) {
      call.config().unsupported("attention_axes",
                                fmt::format("the {} covers another number of axes", name));
    }
    const auto all = Reshape::copy(1);
    return reshaped(call, to_bool(call, *mask),
                    queries ? std::vector<std::int64_t>{Reshape::copy(0), 1, all, 1}
                            : std::vector<std::int64_t>{Reshape::copy(0), 1, 1, all});
  };
  add_mask(call, in.mask, steps("query_mask", in.query, true));
  add_mask(call, in.mask, steps("value_mask", in.value, false));
  if (!call.argument("key", 2).empty()) {
    add_mask(call, in.mask, steps("key_mask", in.key, false));
  } else if (const auto mask = call.keyword_tensors("key_mask"); !mask.empty()) {
    add_mask(call, in.mask, steps("key_mask", {.value = in.value.value, .mask = mask[0]}, false));
  }
  return in;
}

// The attention_mask argument, as (n, heads or 1, queries, keys): the places folded into one axis.
std::optional<ValueId> attention_mask(LayerCall& call, std::size_t places) {
  const std::vector<std::size_t> given = call.argument("attention_mask", 3);
  if (given.empty()) return std::nullopt;
  const ValueId mask = to_bool(call, call.argument_tensor(given.front()));
  const std::size_t rank = call.shape(mask).rank();
  if (places == 1 && rank == 2) {
    return reshaped(call, mask, {1, 1, Reshape::copy(0), Reshape::copy(1)});
  }
  if (places == 1 && rank == 3) {
    return reshaped(call, mask, {Reshape::copy(0), 1, Reshape::copy(1), Reshape::copy(2)});
  }
  if (places == 1 && rank == 4) return mask;
  call.config().unsupported("attention_axes",
                            fmt::format("an attention mask of shape {} with attention over {} axes",
                                        call.shape(mask).to_string(), places));
}

// Moves the axes that attention goes over behind the batch-like ones, as (batch, places, channels).
struct Folding {
  std::vector<std::int64_t> order;  // of the axes, batch-like ones first
  std::size_t outer = 1;            // of them batch-like
  bool plain = true;
};

ValueId fold(LayerCall& call, const Folding& folding, ValueId x) {
  if (folding.plain) return x;
  const ValueId moved = call.ops().append(program::Transpose{folding.order}, {x});
  // Of two products of unknown sizes one must be written down.
  const Shape& shape = call.shape(moved);
  std::vector<std::int64_t> dims(3, 1);
  const auto product = [&](std::size_t begin, std::size_t end) {
    std::int64_t count = 1;
    for (std::size_t i = begin; i < end; ++i) {
      if (shape[i] == Shape::kUnknown)
        return end == begin + 1 ? Reshape::copy(begin) : Reshape::kInfer;
      count *= shape[i];
    }
    return end == begin + 1 ? Reshape::copy(begin) : count;
  };
  const std::size_t last = shape.rank() - 1;
  dims = {product(0, folding.outer), product(folding.outer, last), Reshape::copy(last)};
  if (std::ranges::count(dims, Reshape::kInfer) > 1) {
    call.config().unsupported("attention_axes",
                              fmt::format("an input of shape {} has too many unknown dimensions",
                                          call.shape(x).to_string()));
  }
  return reshaped(call, moved, std::move(dims));
}

// Back to the axes of `like`, with the channels of x.
ValueId unfold(LayerCall& call, const Folding& folding, ValueId x, ValueId like) {
  if (folding.plain) return x;
  const ValueId moved = call.ops().append(program::Transpose{folding.order}, {like});
  const std::size_t last = call.shape(moved).rank() - 1;
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < last; ++i) dims.push_back(Reshape::like(i));
  dims.push_back(Reshape::copy(2));
  const ValueId wide = call.ops().append(Reshape{std::move(dims)}, {x, moved});
  std::vector<std::int64_t> back(folding.order.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    back[static_cast<std::size_t>(folding.order[i])] = static_cast<std::int64_t>(i);
  }
  return call.ops().append(program::Transpose{std::move(back)}, {wide});
}

// `axes` of an input of this rank.
Folding folding_of(LayerCall& call, std::vector<std::int64_t> axes, std::size_t rank) {
  std::vector<bool> places(rank);
  for (std::int64_t& axis : axes) {
    if (axis < 0) axis += static_cast<std::int64_t>(rank);
    if (axis < 1 || axis + 1 >= static_cast<std::int64_t>(rank)) {
      call.config().invalid("attention_axes", fmt::format("names the axis {}", axis));
    }
    places[static_cast<std::size_t>(axis)] = true;
  }
  Folding folding;
  for (std::size_t i = 0; i + 1 < rank; ++i) {
    if (!places[i]) folding.order.push_back(static_cast<std::int64_t>(i));
  }
  folding.outer = folding.order.size();
  for (const std::int64_t axis : axes) folding.order.push_back(axis);
  folding.order.push_back(static_cast<std::int64_t>(rank) - 1);
  folding.plain = rank == 3 && std::ranges::is_sorted(folding.order);
  return folding;
}

std::vector<std::int64_t> output_shape(LayerCall& call, std::int64_t query_channels) {
  return call.config().has("output_shape") ? call.config().integers("output_shape")
                                           : std::vector<std::int64_t>{query_channels};
}

// What the two attention layers with projections share: the op's attributes, and the gate.
ValueId attend(LayerCall& call, program::Attention op, const Inputs& in,
               const std::array<ValueId, 3>& q_k_v, std::vector<ValueId>& results) {
  op.causal = in.causal;
  op.window = call.config().integer("sliding_window", 0);
  op.weights = in.scores;
  std::vector<ValueId> operands(q_k_v.begin(), q_k_v.end());
  if (in.mask) {
    op.mask = true;
    operands.push_back(*in.mask);
  }
  results = call.ops().append_all(op, std::move(operands));
  return results[0];
}

ValueId gated(LayerCall& call, ValueId y, ValueId gate) {
  const ValueId share = call.activated(gate, {program::Function::kSigmoid});
  return call.ops().append(Binary{Binary::Kind::kMultiply}, {y, share});
}

void lower_multi_head(LayerCall& call) {
  const Config& config = call.config();
  const auto query = argument_of(call, "query", 0);
  if (!query) throw Error(ErrorCode::kInvalidFile, "it needs a query", config.where());
  const std::size_t rank = call.shape(query->value).rank();
  if (rank < 3) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("it needs a query (batch, ..., channels), not {}",
                            call.shape(query->value).to_string()),
                config.where());
  }
  std::vector<std::int64_t> axes(rank - 2);
  std::iota(axes.begin(), axes.end(), 1);
  if (config.has("attention_axes")) axes = config.integers("attention_axes");
  const Folding folding = folding_of(call, axes, rank);
  Inputs in = read_inputs(call, axes.size());
  add_mask(call, in.mask, attention_mask(call, axes.size()));
  if (!folding.plain && in.mask && folding.outer != 1) {
    config.unsupported("attention_axes", "masks with attention over some of the axes");
  }
  if (!folding.plain && in.scores) {
    config.unsupported("attention_axes", "attention scores over other axes than the second");
  }
  for (const Argument* argument : {&in.value, &in.key}) {
    if (call.shape(argument->value).rank() != rank) {
      throw Error(ErrorCode::kInvalidFile, "its query, key and value differ in rank",
                  config.where());
    }
  }
  const std::int64_t heads = config.size("num_heads");
  const std::int64_t key_dim = config.size("key_dim");
  const std::int64_t value_dim = config.has("value_dim") ? config.size("value_dim") : key_dim;
  const bool gate = config.boolean("use_gate", false);
  const std::int64_t wide = channels(call, in.query.value);
  const auto input = [&](const char* path, const char* name, ValueId x, std::int64_t dim) {
    return project(call, {path, name, {channels(call, x)}, {heads, dim}}, x);
  };
  const ValueId q = input("query_dense", "query", in.query.value, key_dim);
  const ValueId k = input("key_dense", "key", in.key.value, key_dim);
  std::optional<ValueId> g;
  if (gate) g = input("_gate_dense", "gate", in.query.value, value_dim);
  const ValueId v = input("value_dense", "value", in.value.value, value_dim);
  call.part("_softmax", "softmax");
  call.part("_dropout_layer", "dropout");
  std::vector<ValueId> results;
  ValueId y =
      attend(call,
             {.heads = heads,
              .key_heads = heads,
              .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(key_dim)))},
             in, {fold(call, folding, q), fold(call, folding, k), fold(call, folding, v)}, results);
  y = unfold(call, folding, y, q);
  if (g) y = gated(call, y, *g);
  y = project(
      call, {"output_dense", "attention_output", {heads, value_dim}, output_shape(call, wide)}, y);
  // An output of several axes.
  const std::vector<std::int64_t> shape = output_shape(call, wide);
  if (shape.size() != 1) {
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i + 1 < rank; ++i) dims.push_back(Reshape::copy(i));
    dims.insert(dims.end(), shape.begin(), shape.end());
    y = reshaped(call, y, std::move(dims));
  }
  call.output_passing_mask(y);
  if (in.scores) call.output(results[1]);
}

void lower_grouped(LayerCall& call) {
  const Config& config = call.config();
  Inputs in = read_inputs(call, 1);
  add_mask(call, in.mask, attention_mask(call, 1));
  const std::int64_t heads = config.size("num_query_heads");
  const std::int64_t key_heads = config.size("num_key_value_heads");
  const std::int64_t dim = config.size("head_dim");
  const bool gate = config.boolean("use_gate", false);
  const std::int64_t wide = channels(call, in.query.value);
  const auto input = [&](const char* path, const char* name, ValueId x, std::int64_t count) {
    return project(call, {path, name, {channels(call, x)}, {count, dim}}, x);
  };
  const ValueId q = input("_query_dense", "query", in.query.value, heads);
  const ValueId k = input("_key_dense", "key", in.key.value, key_heads);
  std::optional<ValueId> g;
  if (gate) g = input("_gate_dense", "gate", in.query.value, heads);
  const ValueId v = input("_value_dense", "value", in.value.value, key_heads);
  call.part("_softmax", "softmax");
  call.part("_dropout_layer", "dropout");
  std::vector<ValueId> results;
  ValueId y = attend(call,
                     {.heads = heads,
                      .key_heads = key_heads,
                      .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(dim)))},
                     in, {q, k, v}, results);
  if (g) y = gated(call, y, *g);
  y = project(call, {"_output_dense", "attention_output", {heads, dim}, {wide}}, y);
  call.output_passing_mask(y);
  if (in.scores) call.output(results[1]);
}

// Mask number i of a layer that takes a list of tensors: of the list given by keyword, where null
// stands for none, else the one that travels.
std::optional<ValueId> list_mask(LayerCall& call, std::size_t i) {
  const json::value* kwargs = call.arguments().if_contains("kwargs");
  const json::value* given =
      kwargs != nullptr && kwargs->is_object() ? kwargs->get_object().if_contains("mask") : nullptr;
  if (given != nullptr && given->is_array()) {
    const json::array& list = given->get_array();
    if (i >= list.size() || !list[i].is_object()) return std::nullopt;
    const json::value* tensor = list[i].get_object().if_contains("tensor");
    if (tensor == nullptr) return std::nullopt;
    return to_bool(call, call.argument_tensor(tensor->to_number<std::size_t>()));
  }
  return call.mask(i);
}

// (n, queries, 1, d) + (n, 1, keys, d), through tanh.
ValueId sums(LayerCall& call, ValueId q, ValueId k) {
  const auto copy = [](std::size_t axis) { return Reshape::copy(axis); };
  const ValueId sum = call.ops().append(Binary{Binary::Kind::kAdd},
                                        {reshaped(call, q, {copy(0), copy(1), 1, copy(2)}),
                                         reshaped(call, k, {copy(0), 1, copy(1), copy(2)})});
  return sum;
}

ValueId total(LayerCall& call, ValueId x) {
  return call.ops().append(program::Reduce{program::Reduce::Kind::kSum, {3}, false}, {x});
}

// For scores (n, tq, tk), whether key j stands at or before query i.
ValueId earlier_steps(LayerCall& call, ValueId scores) {
  const ValueId one = call.scalar(1);
  const ValueId same = call.ops().append(Binary{Binary::Kind::kEqual}, {scores, scores});
  const ValueId ones = call.ops().append(program::Select{}, {same, one, one});
  const auto number = [&](std::int64_t axis) {
    return call.ops().append(program::Cumulate{program::Cumulate::Kind::kSum, axis}, {ones});
  };
  return call.ops().append(Binary{Binary::Kind::kGreaterEqual}, {number(1), number(2)});
}

// Attention and AdditiveAttention: softmax(scores) * value, the scores by a product of query and
// key or by the tanh of their sum.
void lower_attention(LayerCall& call) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  if (call.input_count() < 2 || call.input_count() > 3) {
    throw Error(ErrorCode::kInvalidFile, "it needs a query, a value, and perhaps a key",
                config.where());
  }
  ValueId q = call.float_input(0);
  ValueId v = call.float_input(1);
  ValueId k = call.input_count() > 2 ? call.float_input(2) : v;
  // Matrices without a batch: Keras then lets the samples of a batch attend to each other.
  const bool flat = call.shape(q).rank() == 2 && call.shape(v).rank() == 2 &&
                    call.shape(k).rank() == 2 && !call.has_mask(0) && !call.has_mask(1);
  if (flat) {
    for (ValueId* x : {&q, &v, &k}) {
      *x = reshaped(call, *x, {1, Reshape::copy(0), Reshape::copy(1)});
    }
  }
  for (const ValueId x : {q, v, k}) {
    if (call.shape(x).rank() != 3) {
      config.unsupported("score_mode", fmt::format("an input of shape {}, not (batch, steps, "
                                                   "channels)",
                                                   call.shape(x).to_string()));
    }
  }
  const std::optional<ValueId> query_mask = list_mask(call, 0);
  const std::optional<ValueId> value_mask = list_mask(call, 1);
  const bool causal = option(call, "use_causal_mask") || config.boolean("causal", false);
  const bool want_scores = option(call, "return_attention_scores");
  const bool additive = call.layer().class_name == "AdditiveAttention";
  const std::string mode = additive ? "additive" : config.text("score_mode", "dot");
  const bool scaled = config.boolean("use_scale", additive);
  std::optional<ValueId> scale;
  if (scaled) scale = call.weight("scale", additive ? Shape{channels(call, q)} : Shape{});
  const auto times = [&](ValueId x) {
    return scale ? ops.append(Binary{Binary::Kind::kMultiply}, {x, *scale}) : x;
  };
  const auto steps_mask = [&](ValueId mask) {
    return reshaped(call, mask, {Reshape::copy(0), 1, 1, Reshape::copy(1)});
  };

  ValueId y = 0;
  ValueId scores = 0;
  if (mode == "dot") {
    const std::int64_t width = channels(call, q);
    if (channels(call, k) != width) {
      throw Error(ErrorCode::kInvalidFile, "its query and key have different channels",
                  config.where());
    }
    program::Attention op{.causal = causal, .mask = value_mask.has_value(), .weights = want_scores};
    std::vector<ValueId> operands{times(q), k, v};
    if (value_mask) operands.push_back(steps_mask(*value_mask));
    const std::vector<ValueId> results = ops.append_all(op, std::move(operands));
    y = results[0];
    if (want_scores)
      scores = reshaped(call, results[1], {Reshape::copy(0), Reshape::copy(2), Reshape::copy(3)});
  } else if (mode == "additive" || mode == "concat") {
    const auto tanh = [&](ValueId x) { return call.activated(x, {program::Function::kTanh}); };
    if (additive) {
      scores = total(call, times(tanh(sums(call, q, k))));
    } else {
      const ValueId weight = call.weight("concat_score_weight", {});
      scores = total(call, tanh(times(sums(call, q, k))));
      scores = ops.append(Binary{Binary::Kind::kMultiply}, {scores, weight});
    }
    std::optional<ValueId> allowed;
    if (value_mask) {
      allowed = reshaped(call, *value_mask, {Reshape::copy(0), 1, Reshape::copy(1)});
    }
    if (causal) {
      const ValueId past = earlier_steps(call, scores);
      allowed = allowed ? ops.append(Binary{Binary::Kind::kAnd}, {*allowed, past}) : past;
    }
    if (allowed) scores = ops.append(program::Select{}, {*allowed, scores, call.scalar(-1e9F)});
    scores = ops.append(program::Softmax{}, {scores});
    y = ops.append(program::MatMul{}, {scores, v});
  } else {
    config.unsupported("score_mode", fmt::format("is '{}'", mode));
  }
  if (query_mask) {
    const ValueId some = ops.append(program::Cast{DType::kFloat32}, {*query_mask});
    y = ops.append(Binary{Binary::Kind::kMultiply},
                   {y, reshaped(call, some, {Reshape::copy(0), Reshape::copy(1), 1})});
  }
  const auto as_given = [&](ValueId x) {
    return flat ? reshaped(call, x, {Reshape::copy(1), Reshape::copy(2)}) : x;
  };
  call.output_passing_mask(as_given(y));
  if (want_scores) call.output(as_given(scores));
}

}  // namespace

void register_attention(Registry& registry);
void register_attention(Registry& registry) {
  const std::vector<Refusal> kSteps{{"score_mode", "inputs of other than 3 dimensions"}};
  registry.add({.class_name = "MultiHeadAttention",
                .lower = lower_multi_head,
                .refuses = {{"attention_axes",
                             "several with masks, or some with returned scores, "
                             "or of several unknown sizes"}}});
  registry.add({.class_name = "GroupQueryAttention", .lower = lower_grouped});
  registry.add_alias("GroupedQueryAttention", "GroupQueryAttention");  // as Python calls it
  registry.add({.class_name = "Attention", .lower = lower_attention, .refuses = kSteps});
  registry.add({.class_name = "AdditiveAttention", .lower = lower_attention, .refuses = kSteps});
}

}  // namespace kerf::layers
