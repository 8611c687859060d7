#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "layers/activation.h"
#include "layers/quantization.h"

// EinsumDense: a sum of products over letters, such as "abc,cde->abde", as one matrix product.
namespace kerf::layers {
namespace {

using program::Reshape;

// The letters of the input, the kernel and the output; an ellipsis is written out.
struct Equation {
  std::string x;
  std::string kernel;
  std::string y;
};

[[noreturn]] void refuse(LayerCall& call, std::string_view why) {
  call.config().unsupported("equation",
                            fmt::format("'{}': {}", call.config().text("equation", ""), why));
}

bool has(const std::string& letters, char letter) {
  return letters.find(letter) != std::string::npos;
}

Equation equation_of(LayerCall& call, std::size_t rank) {
  std::string text = call.config().text("equation", "");
  std::erase(text, ' ');
  const auto comma = text.find(',');
  const auto arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || arrow < comma) {
    call.config().invalid("equation", fmt::format("'{}' is no equation of two operands", text));
  }
  Equation e{text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1),
             text.substr(arrow + 2)};
  // An ellipsis stands for the axes of the input that have no letter.
  const auto dots = e.x.find("...");
  if (dots != std::string::npos) {
    if (e.x.size() - 3 > rank) refuse(call, "the input has too few axes");
    std::string spare;
    for (char letter = '0'; spare.size() + e.x.size() - 3 < rank; ++letter) spare += letter;
    e.x.replace(dots, 3, spare);
    const auto out = e.y.find("...");
    if (out == std::string::npos) refuse(call, "the output has no ellipsis");
    e.y.replace(out, 3, spare);
  }
  for (const std::string* letters : {&e.x, &e.kernel, &e.y}) {
    if (letters->size() > Shape::kMaxRank) refuse(call, "it has too many letters");
    for (std::size_t i = 0; i < letters->size(); ++i) {
      if ((*letters)[i] == '.' || letters->find((*letters)[i], i + 1) != std::string::npos) {
        refuse(call, "a letter stands twice in one operand");
      }
    }
  }
  if (e.x.size() != rank) {
    refuse(call, fmt::format("the input has the shape {}", call.shape(call.input()).to_string()));
  }
  return e;
}

// The size of a letter of the output by the configuration, which leaves out the batch and what an
// ellipsis stands for; -1 where that says nothing.
std::int64_t output_size(LayerCall& call, const Equation& e, char letter) {
  const std::vector<std::int64_t> shape = call.config().integers("output_shape");
  std::string named;
  for (const char c : e.y) {
    if (c < '0' || c > '9') named += c;
  }
  if (named.size() == shape.size() + 1) named.erase(0, 1);
  const auto at = named.find(letter);
  return at == std::string::npos || named.size() != shape.size() ? -1 : shape[at];
}

std::vector<std::int64_t> permutation(const std::string& from, const std::string& to) {
  std::vector<std::int64_t> result;
  for (const char letter : to) result.push_back(static_cast<std::int64_t>(from.find(letter)));
  return result;
}

ValueId transposed(LayerCall& call, ValueId x, const std::string& from, const std::string& to) {
  if (from == to) return x;
  return call.ops().append(program::Transpose{permutation(from, to)}, {x});
}

// A float32 tensor whose axis i is axis order[i] of another.
Tensor permuted(const Tensor& tensor, const std::vector<std::int64_t>& order) {
  const std::size_t rank = order.size();
  Shape shape;
  std::vector<std::size_t> strides(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const auto axis = static_cast<std::size_t>(order[i]);
    shape.push_back(tensor.shape()[axis]);
    std::size_t stride = 1;
    for (std::size_t j = axis + 1; j < rank; ++j) {
      stride *= static_cast<std::size_t>(tensor.shape()[j]);
    }
    strides[i] = stride;
  }
  const auto from = tensor.as<float>();
  std::vector<float> to(from.size());
  std::vector<std::int64_t> index(rank);
  std::size_t at = 0;
  for (float& value : to) {
    value = from[at];
    for (std::size_t i = rank; i-- > 0;) {
      at += strides[i];
      if (++index[i] < shape[i]) break;
      at -= strides[i] * static_cast<std::size_t>(shape[i]);
      index[i] = 0;
    }
  }
  return Tensor::floats(shape, to);
}

// Letters of `letters` for which `keep` holds.
template <typename Keep>
std::string filtered(const std::string& letters, const Keep& keep) {
  std::string result;
  std::ranges::copy_if(letters, std::back_inserter(result), keep);
  return result;
}

void lower_einsum_dense(LayerCall& call) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  ValueId x = call.float_input();
  Equation e = equation_of(call, call.shape(x).rank());

  const auto size_of = [&](char letter) {
    const std::int64_t given = has(e.y, letter) ? output_size(call, e, letter) : -1;
    const auto at = e.x.find(letter);
    const std::int64_t size = given >= 0 || at == std::string::npos ? given : call.shape(x)[at];
    if (size < 0) refuse(call, fmt::format("the size of '{}' is unknown", letter));
    return size;
  };
  const std::string alone =
      filtered(e.x, [&](char c) { return !has(e.kernel, c) && !has(e.y, c); });
  if (!alone.empty()) {
    std::vector<std::int64_t> axes;
    for (std::size_t i = 0; i < e.x.size(); ++i) {
      if (has(alone, e.x[i])) axes.push_back(static_cast<std::int64_t>(i));
    }
    x = ops.append(program::Reduce{program::Reduce::Kind::kSum, axes, false}, {x});
    e.x = filtered(e.x, [&](char c) { return !has(alone, c); });
  }
  const std::string shared = filtered(e.x, [&](char c) { return has(e.kernel, c) && has(e.y, c); });
  const std::string summed =
      filtered(e.x, [&](char c) { return has(e.kernel, c) && !has(e.y, c); });
  const std::string rows = filtered(e.x, [&](char c) { return !has(e.kernel, c); });
  const std::string columns = filtered(e.kernel, [&](char c) { return !has(e.x, c); });
  for (const char c : columns) {
    if (!has(e.y, c)) refuse(call, "a letter stands in the kernel alone");
  }
  std::int64_t groups = 1;
  std::int64_t depth = 1;
  std::int64_t width = 1;
  for (const char c : shared) groups *= size_of(c);
  for (const char c : summed) depth *= size_of(c);
  for (const char c : columns) width *= size_of(c);

  // (shared, rows, summed) times (shared, summed, columns).
  x = transposed(call, x, e.x, shared + rows + summed);
  Shape bias_shape;
  const std::string bias_axes = config.text("bias_axes", "");
  if (config.has("bias_axes")) {
    for (const char c : e.y) {
      const bool own = has(bias_axes, c);
      if (own || bias_shape.rank() != 0) bias_shape.push_back(own ? size_of(c) : 1);
    }
  }
  Shape kernel_shape;
  for (const char letter : e.kernel) kernel_shape.push_back(size_of(letter));
  const Quantization quantization = quantization_of(call);
  DenseWeights weights;
  if (quantization) {
    // What is stored is a matrix.
    const std::string kept = filtered(e.y, [&](char c) { return has(columns, c); });
    const bool plain = groups == 1 && shared.empty() && alone.empty() &&
                       e.kernel == summed + columns && kept == columns &&
                       (bias_shape.rank() == 0 || bias_axes == columns);
    if (!plain) refuse(call, "kerf does not know how this is quantised");
    Shape scale_shape;
    for (const char c : e.y) scale_shape.push_back(has(columns, c) ? size_of(c) : 1);
    weights = dense_weights(call, quantization,
                            {.path = "",
                             .rows = depth,
                             .columns = width,
                             .kernel = kernel_shape,
                             .bias = bias_shape,
                             .kernel_scale = scale_shape,
                             .has_bias = bias_shape.rank() != 0});
  } else {
    const std::string order = shared + summed + columns;
    const Shape matrices = groups == 1 ? Shape{depth, width} : Shape{groups, depth, width};
    weights.matrix = call.derived(
        fmt::format("einsum kernel {} as {}", e.kernel, order),
        {call.weight("kernel", kernel_shape)}, matrices,
        [&](std::span<const Tensor> sources, double) {
          return permuted(sources[0], permutation(e.kernel, order)).reshaped(matrices);
        },
        0);
  }
  const ValueId like = x;
  std::vector<std::int64_t> dims;
  if (groups == 1) {
    for (std::size_t i = 0; i < rows.size(); ++i) dims.push_back(Reshape::copy(shared.size() + i));
    dims.push_back(depth);
  } else {
    dims = {groups, Reshape::kInfer, depth};
  }
  x = ops.append(Reshape{dims}, {x});
  ValueId y = groups == 1 ? dense_product(call, x, weights)
                          : ops.append(program::MatMul{}, {x, weights.matrix});
  dims.clear();
  for (std::size_t i = 0; i < shared.size() + rows.size(); ++i) dims.push_back(Reshape::like(i));
  for (const char c : columns) dims.push_back(size_of(c));
  y = ops.append(Reshape{dims}, {y, like});
  y = transposed(call, y, shared + rows + columns, e.y);

  if (!quantization && bias_shape.rank() != 0) {
    y = ops.append(program::Binary{program::Binary::Kind::kAdd},
                   {y, call.weight("bias", bias_shape)});
  }
  call.output(apply_activation(call, y, "activation"));
}

}  // namespace

void register_einsum_dense(Registry& registry);
void register_einsum_dense(Registry& registry) {
  registry.add({.class_name = "EinsumDense",
                .lower = lower_einsum_dense,
                .refuses = {{"equation",
                             "a letter that is twice in one operand, or stands for "
                             "several unknown sizes"}}});
}

}  // namespace kerf::layers
