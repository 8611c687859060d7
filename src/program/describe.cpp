#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "program/op.h"

namespace kerf::program {
namespace {

std::string_view function_name(Function function) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Function::kFloat8) + 1>
      kNames{"identity",     "relu",
             "elu",          "selu",
             "celu",         "gelu",
             "gelu_tanh",    "sigmoid",
             "hard_sigmoid", "silu",
             "hard_silu",    "tanh",
             "hard_tanh",    "tanh_shrink",
             "softplus",     "softsign",
             "soft_shrink",  "hard_shrink",
             "threshold",    "squareplus",
             "sparse_plus",  "sparse_sigmoid",
             "log_sigmoid",  "mish",
             "exp",          "log",
             "sqrt",         "rsqrt",
             "square",       "abs",
             "negative",     "reciprocal",
             "sign",         "log1p",
             "expm1",        "sin",
             "cos",          "tan",
             "arcsin",       "arccos",
             "arctan",       "sinh",
             "cosh",         "arcsinh",
             "arccosh",      "arctanh",
             "floor",        "ceil",
             "round",        "truncate",
             "erf",          "erfc",
             "erfinv",       "cbrt",
             "exp2",         "float8"};
  return kNames[static_cast<std::size_t>(function)];
}

std::string_view binary_name(Binary::Kind kind) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Binary::Kind::kOr) + 1>
      kNames{"add",     "subtract",      "multiply",   "divide",      "maximum", "minimum",
             "power",   "floor_divide",  "modulo",     "arctan2",     "slope",   "bit_and",
             "bit_or",  "bit_xor",       "shift_left", "shift_right", "equal",   "not_equal",
             "greater", "greater_equal", "less",       "less_equal",  "and",     "or"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view reduce_name(Reduce::Kind kind) {
  static constexpr std::array<std::string_view, static_cast<std::size_t>(Reduce::Kind::kAll) + 1>
      kNames{"sum", "mean", "max", "min", "product", "any", "all"};
  return kNames[static_cast<std::size_t>(kind)];
}

// "3x3/2 same", "5 dilated 2 padded 2:1".
std::string describe(const Window& window) {
  const auto joined = [&](const std::array<std::int64_t, 3>& values) {
    return fmt::format("{}", fmt::join(values.begin(), values.begin() + window.rank, "x"));
  };
  const auto all_equal = [&](const std::array<std::int64_t, 3>& values, std::int64_t value) {
    for (std::size_t i = 0; i < window.rank; ++i) {
      if (values[i] != value) return false;
    }
    return true;
  };
  std::string text = joined(window.size);
  if (all_equal(window.strides, window.strides[0])) {
    if (window.strides[0] != 1) text += fmt::format("/{}", window.strides[0]);
  } else {
    text += fmt::format("/{}", joined(window.strides));
  }
  if (!all_equal(window.dilation, 1)) text += fmt::format(" dilated {}", joined(window.dilation));
  switch (window.padding) {
    case Padding::kValid:
      break;
    case Padding::kSame:
      text += " same";
      break;
    case Padding::kCausal:
      text += " causal";
      break;
    case Padding::kExplicit:
      text += fmt::format(" padded {}:{}", joined(window.before), joined(window.after));
      break;
  }
  return text;
}

std::string describe(const Epilogue& epilogue) {
  std::string text;
  if (epilogue.scale) text += " *scale";
  if (epilogue.bias) text += " +bias";
  if (epilogue.residual) text += " +residual";
  if (!epilogue.activation.identity()) text += " +" + describe(epilogue.activation);
  return text;
}

std::string describe(const Chain::Step& step) {
  switch (step.kind) {
    case Chain::Step::Kind::kUnary:
      return describe(step.activation);
    case Chain::Step::Kind::kAffine:
      return "affine";
    case Chain::Step::Kind::kBinary:
      break;
  }
  return fmt::format("{}{}", step.swapped ? "swapped_" : "", binary_name(step.binary));
}

// What stands after the op's name.
struct Attributes {
  std::string operator()(const Linear& op) const { return describe(op.epilogue); }
  std::string operator()(const MatMul& op) const {
    return fmt::format("{}{}{}", op.transpose_a ? " a^T" : "", op.transpose_b ? " b^T" : "",
                       op.scale == 1 ? "" : fmt::format(" *{:g}", op.scale));
  }
  std::string operator()(const Conv& op) const {
    return fmt::format(" {}{}{}", describe(op.window),
                       op.groups == 1 ? "" : fmt::format(" in {} groups", op.groups),
                       describe(op.epilogue));
  }
  std::string operator()(const DepthwiseConv& op) const {
    return fmt::format(" {}{}", describe(op.window), describe(op.epilogue));
  }
  std::string operator()(const ConvTranspose& op) const {
    return fmt::format(" {}{}", describe(op.window), describe(op.epilogue));
  }
  std::string operator()(const Pool& op) const {
    return fmt::format(" {} {}", op.kind == Pool::Kind::kMax ? "max" : "average",
                       describe(op.window));
  }
  std::string operator()(const Reduce& op) const {
    return fmt::format(" {} over {}{}", reduce_name(op.kind), fmt::join(op.axes, ","),
                       op.keep_dims ? " kept" : "");
  }
  std::string operator()(const Unary& op) const { return " " + describe(op.activation); }
  std::string operator()(const Binary& op) const {
    return fmt::format(" {}", binary_name(op.kind));
  }
  std::string operator()(const Chain& op) const {
    std::string text;
    for (const Chain::Step& step : op.steps) text += (text.empty() ? " " : ", ") + describe(step);
    return text;
  }
  std::string operator()(const Softmax& op) const {
    return fmt::format("{} over {}", op.log ? " log" : "", op.axis);
  }
  std::string operator()(const LayerNorm& op) const {
    return fmt::format(" over the last {}{}{}{}", op.axes, op.gamma ? " +gamma" : "",
                       op.beta ? " +beta" : "", op.center_mean ? "" : " without the mean");
  }
  std::string operator()(const L2Normalize& op) const { return fmt::format(" over {}", op.axis); }
  std::string operator()(const Transpose& op) const {
    return fmt::format(" ({})", fmt::join(op.permutation, ","));
  }
  std::string operator()(const Reshape& op) const {
    std::string text;
    for (const std::int64_t dim : op.dims) {
      text += text.empty() ? " (" : ", ";
      if (dim == Reshape::kInfer) {
        text += "?";
      } else if (const auto axis = Reshape::copied(dim)) {
        text += fmt::format("#{}", *axis);
      } else if (const auto lent = Reshape::lent(dim)) {
        text += fmt::format("like #{}", *lent);
      } else {
        text += fmt::format("{}", dim);
      }
    }
    return text.empty() ? " ()" : text + ")";
  }
  std::string operator()(const Concat& op) const { return fmt::format(" along {}", op.axis); }
  std::string operator()(const Slice& op) const {
    const auto bound = [](const std::optional<std::int64_t>& value) {
      return value ? fmt::format("{}", *value) : std::string();
    };
    return fmt::format(" [{}:{}{}] of {}", bound(op.begin), bound(op.end),
                       op.step == 1 ? "" : fmt::format(":{}", op.step), op.axis);
  }
  std::string operator()(const Pad& op) const {
    return fmt::format(" ({}):({}){}", fmt::join(op.before, ","), fmt::join(op.after, ","),
                       op.value == 0 ? "" : fmt::format(" of {:g}", op.value));
  }
  std::string operator()(const Tile& op) const {
    return fmt::format(" {} times along {}", op.times, op.axis);
  }
  std::string operator()(const Resample& op) const {
    static constexpr std::array<std::string_view, 7> kKinds{
        "nearest", "linear", "cubic", "lanczos3", "lanczos5", "mean", "max"};
    return fmt::format(
        " {} {} of {}{}", kKinds[static_cast<std::size_t>(op.kind)],
        op.size != 0 ? fmt::format("to {}", op.size) : fmt::format("by {}", op.factor), op.axis,
        op.antialias ? " antialiased" : "");
  }
  std::string operator()(const ArgReduce& op) const {
    return fmt::format(" {} over {}", op.kind == ArgReduce::Kind::kMax ? "max" : "min", op.axis);
  }
  std::string operator()(const Cumulate& op) const {
    return fmt::format(" {} along {}", op.kind == Cumulate::Kind::kSum ? "sum" : "product",
                       op.axis);
  }
  std::string operator()(const ArgSort& op) const { return op.descending ? " downwards" : ""; }
  std::string operator()(const Cast& op) const { return fmt::format(" to {}", dtype_name(op.to)); }
  std::string operator()(const Recurrent& op) const {
    static constexpr std::array<std::string_view, 4> kCells{"simple", "lstm", "gru",
                                                            "gru reset after"};
    return fmt::format(" {}{}{}{}{}{}", kCells[static_cast<std::size_t>(op.cell)],
                       op.sequences ? " sequences" : "", op.backwards ? " backwards" : "",
                       op.bias ? " +bias" : "", op.mask ? " +mask" : "",
                       op.initial_state ? " +state" : "");
  }
  std::string operator()(const ConvLstm& op) const {
    return fmt::format("{}{}{}{}", op.sequences ? " sequences" : "",
                       op.backwards ? " backwards" : "", op.mask ? " +mask" : "",
                       op.initial_state ? " +state" : "");
  }
  std::string operator()(const Attention& op) const {
    return fmt::format(" of {} heads{}{}{}{}{}", op.heads,
                       op.key_heads == op.heads ? "" : fmt::format(" over {}", op.key_heads),
                       op.causal ? " causal" : "",
                       op.window == 0 ? "" : fmt::format(" within {}", op.window),
                       op.mask ? " +mask" : "", op.weights ? " with shares" : "");
  }
  std::string operator()(const Lookup& op) const {
    return fmt::format(" else {}{}", op.first,
                       op.buckets == 1 ? ""
                       : op.buckets == 0
                           ? " (fails)"
                           : fmt::format(" + {} of {}", op.modulo ? "modulo" : "hash", op.buckets));
  }
  std::string operator()(const Hash& op) const {
    return fmt::format(" below {}{}", op.buckets,
                       op.key ? fmt::format(" by {:x} {:x}", (*op.key)[0], (*op.key)[1]) : "");
  }
  std::string operator()(const CrossHash& op) const { return fmt::format(" below {}", op.buckets); }
  static std::string tokens(const Tokens& tokens) {
    static constexpr std::array<std::string_view, 3> kSplits{"texts", "words", "characters"};
    return fmt::format(
        " of {}{}{}{}", kSplits[static_cast<std::size_t>(tokens.split)],
        tokens.widths.empty() ? "" : fmt::format(" by {}", fmt::join(tokens.widths, ",")),
        tokens.lower ? " lower" : "", tokens.strip ? " stripped" : "");
  }
  std::string operator()(const TokenIds& op) const {
    return fmt::format("{} to {} else {}", tokens(op.tokens), op.length, op.unknown);
  }
  std::string operator()(const TokenCounts& op) const {
    return fmt::format("{} below {} else {}", tokens(op.tokens), op.depth, op.unknown);
  }
  template <typename Plain>
  std::string operator()(const Plain&) const {
    return {};
  }
};

}  // namespace

std::string describe(const Activation& activation) {
  const std::string_view name = function_name(activation.function);
  if (activation.function == Function::kRelu) {
    std::string text;
    const auto add = [&](std::string_view what, float value) {
      text += fmt::format("{}{} {:g}", text.empty() ? "" : ", ", what, value);
    };
    if (activation.a != 0) add("slope", activation.a);
    if (std::isfinite(activation.b)) add("max", activation.b);
    if (activation.c != 0) add("above", activation.c);
    return text.empty() ? std::string(name) : fmt::format("{}({})", name, text);
  }
  switch (activation.function) {
    case Function::kHardSigmoid:
    case Function::kThreshold:
      return fmt::format("{}({:g}, {:g})", name, activation.a, activation.b);
    case Function::kElu:
    case Function::kCelu:
    case Function::kSoftShrink:
    case Function::kHardShrink:
    case Function::kSquareplus:
      return fmt::format("{}({:g})", name, activation.a);
    default:
      return std::string(name);
  }
}

std::string describe(const Op& op) {
  return std::string(op_name(op)) + std::visit(Attributes{}, op);
}

}  // namespace kerf::program
