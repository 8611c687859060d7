#include "formats/old_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <cstring>
#include <string_view>
#include <utility>

namespace kerf::formats {
namespace {

namespace json = boost::json;

std::string_view leaf_of(std::string_view name) { return name.substr(name.rfind('/') + 1); }

// The layer that a weight belongs to: the layer itself, or one that it wraps.
struct Owner {
  std::string_view class_name;
  const json::object* config;
};

Owner owner_of(const graph::Layer& layer, std::string_view weight) {
  Owner owner{layer.class_name, &layer.config};
  while (true) {
    const json::value* inner = nullptr;
    for (const std::string_view part : {"layer/", "forward_layer/", "backward_layer/"}) {
      if (!weight.starts_with(part)) continue;
      weight.remove_prefix(part.size());
      inner = owner.config->if_contains(part.substr(0, part.size() - 1));
      if (inner == nullptr) inner = owner.config->if_contains("layer");
      break;
    }
    const json::object* object = inner != nullptr ? inner->if_object() : nullptr;
    const json::value* name = object != nullptr ? object->if_contains("class_name") : nullptr;
    const json::value* config = object != nullptr ? object->if_contains("config") : nullptr;
    if (name == nullptr || !name->is_string() || config == nullptr || !config->is_object()) {
      return owner;
    }
    owner = {std::string_view(name->get_string()), &config->get_object()};
  }
}

bool is_channels_first(const json::object& config) {
  const json::value* format = config.if_contains("data_format");
  return format != nullptr && format->is_string() && format->get_string() == "channels_first";
}

// A tensor with its axes in another order.
Tensor permuted(const Tensor& x, const std::vector<std::size_t>& axes) {
  const Shape& from = x.shape();
  Shape shape;
  std::vector<std::size_t> strides(axes.size());
  for (const std::size_t axis : axes) shape.push_back(from[axis]);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    strides[i] = 1;
    for (std::size_t j = axes[i] + 1; j < from.rank(); ++j) {
      strides[i] *= static_cast<std::size_t>(from[j]);
    }
  }
  const auto source = x.as<float>();
  std::vector<float> values(source.size());
  std::vector<std::int64_t> at(axes.size());
  std::size_t offset = 0;
  for (float& value : values) {
    value = source[offset];
    for (std::size_t i = axes.size(); i-- > 0;) {
      offset += strides[i];
      if (++at[i] < shape[i]) break;
      offset -= strides[i] * static_cast<std::size_t>(shape[i]);
      at[i] = 0;
    }
  }
  return Tensor::floats(shape, values);
}

// A kernel (spatial..., in, out) turned round in all spatial directions: as these axes stand
// outermost, its matrices in reverse order.
Tensor turned_round(const Tensor& kernel) {
  const std::size_t rank = kernel.shape().rank();
  const auto source = kernel.as<float>();
  const auto matrix = static_cast<std::size_t>(kernel.shape()[rank - 2] * kernel.shape()[rank - 1]);
  std::vector<float> values;
  values.reserve(source.size());
  for (std::size_t end = source.size(); end > 0; end -= matrix) {
    const auto part = source.subspan(end - matrix, matrix);
    values.insert(values.end(), part.begin(), part.end());
  }
  return Tensor::floats(kernel.shape(), values);
}

// Joined along the last axis; the first alone where they do not fit together.
Tensor joined(const std::vector<Tensor>& parts) {
  const Shape& first = parts.front().shape();
  if (parts.size() == 1 || first.rank() == 0) return parts.front();
  for (const Tensor& part : parts) {
    if (part.shape() != first) return parts.front();
  }
  const auto width = static_cast<std::size_t>(first.back());
  if (width == 0) return parts.front();
  const std::size_t rows = parts.front().as<float>().size() / width;
  std::vector<float> values;
  values.reserve(rows * width * parts.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (const Tensor& part : parts) {
      const auto line = part.as<float>().subspan(row * width, width);
      values.insert(values.end(), line.begin(), line.end());
    }
  }
  Shape shape = first;
  shape[shape.rank() - 1] *= static_cast<std::int64_t>(parts.size());
  return Tensor::floats(shape, values);
}

// Keras 1's convolution kernels: those of 1D had another axis, those of channels_first (and the
// oldest of 1D) stood as Theano has them.
Tensor keras1_kernel(Tensor stored, const Owner& owner, const Shape& expected) {
  const std::size_t rank = stored.shape().rank();
  if (owner.class_name == "Conv1D") {
    if (rank != 4 || expected.rank() != 3) return stored;
    if (stored.shape()[0] != expected[0] || stored.shape()[1] != 1) {
      stored = permuted(stored, {2, 3, 1, 0});
    }
    if (stored.shape()[1] != 1) return stored;
    Shape flat = stored.shape();
    flat.erase(1);
    return stored.reshaped(flat);
  }
  if (!is_channels_first(*owner.config)) return stored;
  if (rank == 4) return permuted(stored, {2, 3, 1, 0});
  return rank == 5 ? permuted(stored, {2, 3, 4, 1, 0}) : stored;
}

// How many gates the cell has whose kernel is expected[i]: its three weights stand together. 0 if
// it is no such kernel.
std::size_t gates_at(std::span<const ExpectedWeight> expected, std::size_t i) {
  if (i + 2 >= expected.size()) return 0;
  const auto is = [&](std::size_t j, std::string_view leaf) {
    return expected[j].id == expected[i].id && leaf_of(expected[j].spec->name) == leaf;
  };
  if (!is(i, "kernel") || !is(i + 1, "recurrent_kernel") || !is(i + 2, "bias")) return 0;
  const Shape& shape = expected[i + 1].spec->shape;
  if (shape.rank() < 2 || shape[shape.rank() - 2] < 1) return 0;
  return static_cast<std::size_t>(shape.back() / shape[shape.rank() - 2]);
}

bool is_theano_name(const std::string& name) {
  return name.find(':') == std::string::npos && !name.starts_with("param_");
}

// The matrix of each gate, whose elements fill it column by column instead of row by row.
// For the square ones of recurrent kernels that is to transpose.
Tensor cudnn_kernel(const Tensor& kernel, std::size_t gates) {
  const auto rows = static_cast<std::size_t>(kernel.shape()[0]);
  const std::size_t width = static_cast<std::size_t>(kernel.shape()[1]);
  const std::size_t units = width / gates;
  const auto source = kernel.as<float>();
  std::vector<float> values(source.size());
  for (std::size_t gate = 0; gate < gates; ++gate) {
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t unit = 0; unit < units; ++unit) {
        const std::size_t n = unit * rows + row;
        const std::size_t from = (n / units) * width + gate * units + n % units;
        values[row * width + gate * units + unit] = source[from];
      }
    }
  }
  return Tensor::floats(kernel.shape(), values);
}

}  // namespace

OldStorage old_storage(const Hdf5File& file, const std::string& root, bool keras1) {
  OldStorage storage;
  // Keras 1 wrote its version beside the model only, and at first not at all.
  auto version = file.text_attribute(root, "keras_version");
  if (!version) version = file.text_attribute("/", "keras_version");
  storage.keras1 = version ? version->starts_with("1.") : keras1;
  if (!storage.keras1) {
    storage.mirrored = file.text_attribute("/", "backend") == "theano" ||
                       file.text_attribute(root, "backend") == "theano";
    return storage;
  }
  for (const std::string& layer :
       file.text_array(root, "layer_names").value_or(std::vector<std::string>{})) {
    const std::string group = fmt::format("{}/{}", root, layer);
    if (!file.has(group)) continue;
    for (const std::string& name :
         file.text_array(group, "weight_names").value_or(std::vector<std::string>{})) {
      storage.mirrored = storage.mirrored || is_theano_name(name);
    }
  }
  return storage;
}

std::optional<std::vector<std::vector<std::string>>> names_of_gates(
    const std::vector<std::string>& names, std::span<const ExpectedWeight> expected,
    std::span<const std::size_t> order) {
  std::vector<std::vector<std::string>> parts(expected.size());
  std::size_t next = 0;
  for (std::size_t n = 0; n < order.size(); ++n) {
    const std::size_t i = order[n];
    const std::size_t gates = gates_at(expected, i);
    if (gates != 3 && gates != 4) {
      if (next >= names.size()) return std::nullopt;
      parts[i].push_back(names[next++]);
      continue;
    }
    if (next + 3 * gates > names.size()) return std::nullopt;
    for (std::size_t gate = 0; gate < gates; ++gate) {
      // An LSTM's gates were i, c, f, o, and are i, f, c, o.
      const std::size_t stored = gates == 4 && (gate == 1 || gate == 2) ? 3 - gate : gate;
      for (std::size_t which = 0; which < 3; ++which) {
        parts[i + which].push_back(names[next + 3 * stored + which]);
      }
    }
    next += 3 * gates;
    n += 2;
  }
  if (next != names.size()) return std::nullopt;
  return parts;
}

Tensor modern_weight(std::vector<Tensor> parts, const layers::WeightSpec& spec,
                     const graph::Layer& layer, OldStorage storage) {
  const std::string_view leaf = leaf_of(spec.name);
  const bool kernel = leaf == "kernel" || leaf == "recurrent_kernel";
  if (parts.size() == 1 && (!kernel || (!storage.keras1 && !storage.mirrored))) return parts[0];
  const Owner owner = owner_of(layer, spec.name);
  static constexpr std::string_view kConvolutions[] = {"Conv1D", "Conv2D", "Conv3D",
                                                       "Conv2DTranspose", "ConvLSTM2D"};
  const bool convolution = kernel && std::ranges::find(kConvolutions, owner.class_name) !=
                                         std::ranges::end(kConvolutions);
  if (parts.size() == 1 && !convolution) return parts[0];
  for (Tensor& part : parts) {
    part = part.cast(DType::kFloat32);
    if (storage.keras1 && convolution) part = keras1_kernel(part, owner, spec.shape);
  }
  Tensor whole = joined(parts);
  const bool turns = storage.mirrored && convolution && whole.shape().rank() > 2;
  return turns && !whole.as<float>().empty() ? turned_round(whole) : whole;
}

void convert_cudnn(std::span<const ExpectedWeight> expected, std::span<Tensor> values) {
  for (std::size_t i = 0; i + 2 < expected.size(); ++i) {
    const std::size_t gates = gates_at(expected, i);
    Tensor& bias = values.subspan(i)[2];
    if ((gates != 3 && gates != 4) || bias.empty() || bias.shape().rank() != 1) continue;
    const Shape& want = expected[i + 2].spec->shape;
    const std::int64_t length = bias.shape()[0];
    const bool two = want.rank() == 2 && want.element_count() == length;
    const bool sum = want.rank() == 1 && 2 * want[0] == length && gates == 4;
    if (!two && !sum) continue;
    bias = bias.cast(DType::kFloat32);
    if (two) {
      bias = bias.reshaped(want);
    } else {
      const auto both = bias.as<float>();
      std::vector<float> added(both.size() / 2);
      for (std::size_t k = 0; k < added.size(); ++k) added[k] = both[k] + both[added.size() + k];
      bias = Tensor::floats(want, added);
    }
    for (std::size_t k = 0; k < 2; ++k) {
      Tensor& kernel = values[i + k];
      if (kernel.empty() || kernel.shape() != expected[i + k].spec->shape) continue;
      kernel = cudnn_kernel(kernel.cast(DType::kFloat32), gates);
    }
  }
}

}  // namespace kerf::formats
