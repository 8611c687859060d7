#include "layers/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <vector>

#include "layers/dtype_policy.h"
#include "tensor/float8.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;
using program::Function;
using Mode = Quantization::Mode;

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

// Whether a quantization_config quantises inputs; nothing if there is none.
std::optional<bool> quantizes_inputs(const Config& config) {
  const json::value* value = config.find("quantization_config");
  const json::object* object = value == nullptr ? nullptr : value->if_object();
  const json::object* inner = object == nullptr ? nullptr : object_at(*object, "config");
  if (inner == nullptr) return std::nullopt;
  const json::value* quantizer = inner->if_contains("activation_quantizer");
  return quantizer != nullptr && !quantizer->is_null();
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::int64_t size_of(const Config& config, const std::vector<std::string>& parts, std::size_t i,
                     std::int64_t fallback) {
  if (i >= parts.size() || parts[i] == "None") return fallback;
  std::int64_t value = 0;
  const char* end = parts[i].data() + parts[i].size();
  const auto parsed = std::from_chars(parts[i].data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value < -1 || value == 0) {
    config.invalid("dtype", fmt::format("'{}' is no size of a group", parts[i]));
  }
  return value;
}

// Stored integers are read as floats; what is packed stands in their bytes.
std::uint8_t byte_of(float stored) {
  return static_cast<std::uint8_t>(static_cast<std::int32_t>(stored) & 0xFF);
}

int signed_nibble(std::uint8_t byte, bool high) {
  const int nibble = high ? byte >> 4U : byte & 0xFU;
  return nibble < 8 ? nibble : nibble - 16;
}

// Two signed numbers in each byte of a row.
std::vector<float> side_by_side(const Tensor& packed, std::size_t rows, std::size_t columns) {
  const std::size_t width = (columns + 1) / 2;
  const auto x = packed.as<float>();
  std::vector<float> y(rows * columns);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t column = i % columns;
    y[i] = static_cast<float>(
        signed_nibble(byte_of(x[i / columns * width + column / 2]), column % 2 == 1));
  }
  return y;
}

// Two signed numbers in each byte, of neighbours along the first axis, which had `outer` of them.
std::vector<float> below_each_other(const Tensor& packed, std::size_t count, std::size_t outer) {
  const std::size_t inner = count / outer;
  const auto x = packed.as<float>();
  std::vector<float> y(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i / inner;
    y[i] = static_cast<float>(signed_nibble(byte_of(x[row / 2 * inner + i % inner]), row % 2 == 1));
  }
  return y;
}

// The group of each row.
std::vector<std::size_t> groups_of(const Tensor& indices, std::size_t groups) {
  std::vector<std::size_t> result;
  for (const float index : indices.as<float>()) {
    const bool inside = index >= 0 && index < static_cast<float>(groups);
    result.push_back(inside ? static_cast<std::size_t>(index) : 0);
  }
  return result;
}

// The layouts of a quantised matrix. Sources: what dense_weights() declares for the mode.
Tensor of_int8(std::span<const Tensor> sources, std::int64_t rows, std::int64_t columns) {
  const auto q = sources[0].as<float>();
  const auto scale = sources[1].as<float>();
  std::vector<float> y(q.size());
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = q[i] / scale[i % scale.size()];
  return Tensor::floats({rows, columns}, y);
}

Tensor of_int4(std::span<const Tensor> sources, const Quantization& quantization, std::int64_t rows,
               std::int64_t columns, std::int64_t outer) {
  const auto height = static_cast<std::size_t>(rows);
  const auto width = static_cast<std::size_t>(columns);
  std::vector<float> y = quantization.packs_rows ? below_each_other(sources[0], height * width,
                                                                    static_cast<std::size_t>(outer))
                                                 : side_by_side(sources[0], height, width);
  const auto scale = sources[1].as<float>();
  if (!quantization.grouped) {
    for (std::size_t i = 0; i < y.size(); ++i) y[i] /= scale[i % width];
    return Tensor::floats({rows, columns}, y);
  }
  const auto zero = sources[2].as<float>();
  const std::vector<std::size_t> groups = groups_of(sources[3], scale.size() / width);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t at = groups[i / width] * width + i % width;
    y[i] = (y[i] - zero[at]) * scale[at];
  }
  return Tensor::floats({rows, columns}, y);
}

// Unsigned numbers, packed along the first axis of the transposed matrix.
Tensor of_packed_columns(std::span<const Tensor> sources, std::int64_t bits, std::int64_t rows,
                         std::int64_t columns) {
  const auto height = static_cast<std::size_t>(rows);
  const auto width = static_cast<std::size_t>(columns);
  const auto packed = sources[0].as<float>();
  const auto scale = sources[1].as<float>();
  const auto zero = sources[2].as<float>();
  const std::size_t count = scale.size() / width;
  const std::vector<std::size_t> groups = groups_of(sources[3], count);
  const std::size_t each = bits == 2 ? 4 : bits == 4 ? 2 : 1;
  const std::size_t step = 8 / each;
  const std::uint32_t mask = (1U << step) - 1;
  std::vector<float> y(height * width);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t row = i / width;
    const std::size_t column = i % width;
    const std::uint32_t byte = byte_of(packed[column / each * height + row]);
    const auto q = static_cast<float>((byte >> (column % each * step)) & mask);
    const std::size_t at = column * count + groups[row];
    y[i] = (q - zero[at]) * scale[at];
    if (sources.size() > 4) y[i] /= sources[4].as<float>()[row];
  }
  return Tensor::floats({rows, columns}, y);
}

// Five digits of 0, 1, 2 in each byte, less one, along the rows.
Tensor of_ternary(std::span<const Tensor> sources, std::int64_t rows, std::int64_t columns) {
  const auto width = static_cast<std::size_t>(columns);
  const auto packed = sources[0].as<float>();
  const float scale = sources[1].as<float>()[0];
  static constexpr unsigned kPowers[] = {1, 3, 9, 27, 81};
  std::vector<float> y(static_cast<std::size_t>(rows) * width);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t row = i / width;
    const unsigned byte = byte_of(packed[row / 5 * width + i % width]);
    y[i] = static_cast<float>(static_cast<int>(byte / kPowers[row % 5] % 3) - 1) * scale;
  }
  return Tensor::floats({rows, columns}, y);
}

Tensor of_float8(std::span<const Tensor> sources, std::int64_t rows, std::int64_t columns) {
  const auto x = sources[0].as<float>();
  const float scale = sources[1].as<float>()[0];
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = to_float8(x[i] / scale) * scale;
  return Tensor::floats({rows, columns}, y);
}

Tensor rounded_bias(std::span<const Tensor> sources, double) {
  const Tensor rounded = sources[0].cast(DType::kBFloat16).cast(DType::kFloat32);
  return rounded.reshaped({rounded.shape().element_count()});
}

std::int64_t group_count(const Quantization& quantization, std::int64_t rows) {
  return quantization.block < 1 ? 1 : (rows + quantization.block - 1) / quantization.block;
}

}  // namespace

Quantization quantization_of(LayerCall& call, std::string_view part) {
  const Config& config = call.config();
  const json::value* dtype = config.find("dtype");
  if (dtype == nullptr) return {};
  std::string path = call.layer().path;
  if (!part.empty()) {
    // The policy of a layer is that of its parts only where it says so for each.
    const json::object* object = dtype->if_object();
    const json::object* inner = object == nullptr ? nullptr : object_at(*object, "config");
    if (inner == nullptr || !inner->contains("policy_map")) return {};
    path = fmt::format("{}/{}", path, part);
  }
  const std::string policy = policy_name(*dtype, path);
  const auto from = policy.find("_from_");
  if (from == std::string::npos) return {};
  const std::vector<std::string> parts = split(policy.substr(0, from));
  const std::string& mode = parts.front();
  const bool new_layout = call.layer().keras_minor >= 14;
  Quantization result;
  if (mode == "int8") {
    result.mode = Mode::kInt8;
    result.inputs = quantizes_inputs(config).value_or(true);
  } else if (mode == "int4") {
    result.mode = Mode::kInt4;
    result.packs_rows = !new_layout;
    result.block = size_of(config, parts, 1, -1);
    result.grouped = result.block > 0;
    result.inputs = quantizes_inputs(config).value_or(!new_layout);
  } else if (mode == "float8") {
    result.mode = Mode::kFloat8;
    result.rounds_bias = policy.substr(from + 6) == "float32";
    const json::object* object = dtype->if_object();
    const json::object* inner = object == nullptr ? nullptr : object_at(*object, "config");
    if (inner != nullptr) {
      result.history = Config(*inner, config.where()).size("amax_history_length", 1024);
    }
  } else if (mode == "gptq" || mode == "awq") {
    result.mode = mode == "gptq" ? Mode::kGptq : Mode::kAwq;
    result.bits = size_of(config, parts, 1, 4);
    result.block = size_of(config, parts, 2, -1);
    const bool known = result.bits == 2 || result.bits == 3 || result.bits == 4 || result.bits == 8;
    if (!known) config.unsupported("dtype", fmt::format("weights of {} bits", result.bits));
  } else if (mode == "ternary") {
    result.mode = Mode::kTernary;
  } else {
    config.unsupported("dtype", fmt::format("kerf does not know the quantization '{}'", policy));
  }
  return result;
}

DenseWeights dense_weights(LayerCall& call, const Quantization& quantization,
                           const DenseShape& shape) {
  const std::int64_t rows = shape.rows;
  const std::int64_t columns = shape.columns;
  const Shape matrix{rows, columns};
  if (quantization && (rows < 1 || columns < 1)) {
    call.config().unsupported("dtype", "a quantised layer needs a known number of channels");
  }
  DenseWeights result;
  const auto weight = [&](const char* name, const Shape& of, bool trainable = false) {
    return call.weight(shape.path + name, of, trainable);
  };
  const auto declare_bias = [&] {
    if (!shape.has_bias) return;
    ValueId bias = weight("bias", shape.bias, true);
    if (quantization.rounds_bias) {
      bias = call.derived(shape.path + "rounded bias", {bias}, {columns}, rounded_bias, 0);
    } else if (shape.bias.rank() != 1) {
      bias = call.derived(
          shape.path + "flat bias", {bias}, {columns},
          [](std::span<const Tensor> sources, double) {
            return sources[0].reshaped({sources[0].shape().element_count()});
          },
          0);
    }
    result.bias = bias;
  };
  const auto derive = [&](const char* name, std::vector<ValueId> sources,
                          const LayerCall::Derivation& make) {
    result.matrix = call.derived(fmt::format("{}{} {} {}", shape.path, name, rows, columns),
                                 std::move(sources), matrix, make, 0);
  };
  result.rounds_inputs = quantization.inputs;
  switch (quantization.mode) {
    case Mode::kNone: {
      const ValueId kernel = weight("kernel", shape.kernel, true);
      if (shape.kernel == matrix) {
        result.matrix = kernel;
      } else {
        derive("flat kernel", {kernel}, [matrix](std::span<const Tensor> sources, double) {
          return sources[0].reshaped(matrix);
        });
      }
      declare_bias();
      break;
    }
    case Mode::kInt8: {
      const ValueId kernel = weight("kernel", shape.kernel);
      declare_bias();
      derive("int8 kernel", {kernel, weight("kernel_scale", shape.kernel_scale)},
             [rows, columns](std::span<const Tensor> sources, double) {
               return of_int8(sources, rows, columns);
             });
      break;
    }
    case Mode::kInt4: {
      Shape packed{rows, (columns + 1) / 2};
      const std::int64_t outer = shape.kernel[0];
      if (quantization.packs_rows) {
        packed = shape.kernel;
        packed[0] = (outer + 1) / 2;
      }
      std::vector<ValueId> sources{weight("kernel", packed)};
      declare_bias();
      if (quantization.grouped) {
        const Shape each{group_count(quantization, rows), columns};
        sources.push_back(weight("kernel_scale", each));
        sources.push_back(weight("kernel_zero", each));
        sources.push_back(weight("g_idx", {rows}));
      } else {
        sources.push_back(
            weight("kernel_scale", quantization.packs_rows ? shape.kernel_scale : Shape{columns}));
      }
      derive("int4 kernel", std::move(sources),
             [quantization, rows, columns, outer](std::span<const Tensor> from, double) {
               return of_int4(from, quantization, rows, columns, outer);
             });
      break;
    }
    case Mode::kFloat8: {
      const ValueId kernel = weight("kernel", shape.kernel, true);
      declare_bias();
      result.input_scale = weight("inputs_scale", {});
      // Histories serve training only.
      weight("inputs_amax_history", {quantization.history});
      const ValueId scale = weight("kernel_scale", {});
      weight("kernel_amax_history", {quantization.history});
      weight("outputs_grad_scale", {});
      weight("outputs_grad_amax_history", {quantization.history});
      derive("float8 kernel", {kernel, scale},
             [rows, columns](std::span<const Tensor> sources, double) {
               return of_float8(sources, rows, columns);
             });
      break;
    }
    case Mode::kGptq:
    case Mode::kAwq: {
      declare_bias();
      const bool awq = quantization.mode == Mode::kAwq;
      const std::int64_t bits = awq ? 4 : quantization.bits;
      const std::int64_t each = bits == 2 ? 4 : bits == 4 ? 2 : 1;
      const Shape scales{columns, group_count(quantization, rows)};
      std::vector<ValueId> sources{weight("kernel", {(columns + each - 1) / each, rows}),
                                   weight("kernel_scale", scales), weight("kernel_zero", scales)};
      const ValueId factors = awq ? weight("awq_scales", {rows}) : 0;
      sources.push_back(weight("g_idx", {rows}));
      if (awq) sources.push_back(factors);
      derive("packed kernel", std::move(sources),
             [bits, rows, columns](std::span<const Tensor> from, double) {
               return of_packed_columns(from, bits, rows, columns);
             });
      break;
    }
    case Mode::kTernary: {
      const ValueId kernel = weight("kernel", {(rows + 4) / 5, columns});
      declare_bias();
      derive("ternary kernel", {kernel, weight("kernel_scale", {})},
             [rows, columns](std::span<const Tensor> sources, double) {
               return of_ternary(sources, rows, columns);
             });
      break;
    }
  }
  return result;
}

ValueId dense_product(LayerCall& call, ValueId x, const DenseWeights& weights) {
  program::ProgramBuilder& ops = call.ops();
  const auto apply = [&](Binary::Kind kind, ValueId a, ValueId b) {
    return ops.append(Binary{kind}, {a, b});
  };
  program::Linear op;
  if (!weights.rounds_inputs) {
    if (weights.input_scale) {
      const ValueId scaled = apply(Binary::Kind::kDivide, x, *weights.input_scale);
      x = apply(Binary::Kind::kMultiply, call.activated(scaled, {Function::kFloat8}),
                *weights.input_scale);
    }
    std::vector<ValueId> operands{x, weights.matrix};
    if (weights.bias) operands.push_back(*weights.bias);
    op.epilogue.bias = weights.bias.has_value();
    return ops.append(op, std::move(operands));
  }
  // Each row as integers up to 127.
  const auto last = static_cast<std::int64_t>(call.shape(x).rank()) - 1;
  const ValueId largest = ops.append(program::Reduce{program::Reduce::Kind::kMax, {last}, true},
                                     {call.activated(x, {Function::kAbs})});
  const ValueId factor = apply(Binary::Kind::kDivide, call.scalar(127),
                               apply(Binary::Kind::kAdd, largest, call.scalar(1e-7F)));
  const ValueId integers =
      call.activated(apply(Binary::Kind::kMultiply, x, factor), {Function::kRound});
  const ValueId y =
      apply(Binary::Kind::kDivide, ops.append(op, {integers, weights.matrix}), factor);
  return weights.bias ? apply(Binary::Kind::kAdd, y, *weights.bias) : y;
}

ValueId embedding_table(LayerCall& call, const Quantization& quantization, const std::string& name,
                        std::int64_t rows, std::int64_t width) {
  const auto scaled = [&](const Shape& stored, const LayerCall::Derivation& make) {
    std::vector<ValueId> sources{call.weight(name, stored, false)};
    if (quantization.grouped) {
      const Shape each{rows, group_count(quantization, width)};
      sources.push_back(call.weight(name + "_scale", each, false));
      sources.push_back(call.weight(name + "_zero", each, false));
      sources.push_back(call.weight("g_idx", {width}, false));
    } else {
      sources.push_back(call.weight(name + "_scale", {rows}, false));
    }
    return call.derived(name + " dequantized", std::move(sources), {rows, width}, make, 0);
  };
  const auto columns = static_cast<std::size_t>(width);
  if (!quantization) return call.weight(name, {rows, width});
  if (quantization.mode == Mode::kInt8) {
    return scaled({rows, width}, [rows, width, columns](std::span<const Tensor> from, double) {
      const auto q = from[0].as<float>();
      const auto scale = from[1].as<float>();
      std::vector<float> y(q.size());
      for (std::size_t i = 0; i < y.size(); ++i) y[i] = q[i] / scale[i / columns];
      return Tensor::floats({rows, width}, y);
    });
  }
  if (quantization.mode != Mode::kInt4) {
    call.config().unsupported("dtype", "tables are quantised to int8 and int4 only");
  }
  return scaled({rows, (width + 1) / 2}, [=](std::span<const Tensor> from, double) {
    std::vector<float> y = side_by_side(from[0], static_cast<std::size_t>(rows), columns);
    const auto scale = from[1].as<float>();
    if (from.size() == 2) {
      for (std::size_t i = 0; i < y.size(); ++i) y[i] /= scale[i / columns];
      return Tensor::floats({rows, width}, y);
    }
    const auto zero = from[2].as<float>();
    const std::size_t count = scale.size() / static_cast<std::size_t>(rows);
    const std::vector<std::size_t> groups = groups_of(from[3], count);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t at = i / columns * count + groups[i % columns];
      y[i] = (y[i] - zero[at]) * scale[at];
    }
    return Tensor::floats({rows, width}, y);
  });
}

}  // namespace kerf::layers
