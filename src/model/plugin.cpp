#include "kerf/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <cstddef>
#include <exception>
#include <optional>
#include <vector>

#include "kerf/error.h"
#include "kerf/extensions.h"
#include "layers/user_definitions.h"

// One use of a layer of a plug-in, as the plug-in sees it.
struct kerf_layer {
  explicit kerf_layer(kerf::layers::LayerCall& the_call) : call(the_call), evaluator(the_call) {}

  kerf::layers::LayerCall& call;
  kerf::layers::python::Evaluator evaluator;
  std::string config;
  std::vector<kerf::layers::ValueId> tensors;
  std::exception_ptr error;
  std::size_t outputs = 0;
};

namespace kerf {
namespace {

namespace json = boost::json;
using layers::ValueId;
using layers::python::Expression;
using layers::python::TensorValue;
using layers::python::Value;

// Runs `step`, of a call from the plug-in, and keeps what it throws: no exception may pass through
// frames that another compiler made.
template <typename Result, typename Step>
Result guarded(kerf_layer* layer, Result otherwise, const Step& step) {
  if (layer->error != nullptr) return otherwise;
  try {
    return step();
  } catch (...) {
    layer->error = std::current_exception();
    return otherwise;
  }
}

[[noreturn]] void misused(const kerf_layer* layer, std::string message) {
  layer->evaluator.refuse("its plug-in " + std::move(message));
}

ValueId value_of(const kerf_layer* layer, kerf_tensor tensor) {
  if (tensor < 0 || static_cast<std::size_t>(tensor) >= layer->tensors.size()) {
    misused(layer, "uses a tensor that is not there");
  }
  return layer->tensors[static_cast<std::size_t>(tensor)];
}

kerf_tensor tensor_of(kerf_layer* layer, ValueId value) {
  layer->tensors.push_back(value);
  return static_cast<kerf_tensor>(layer->tensors.size() - 1);
}

Shape shape_of(const kerf_layer* layer, const std::int64_t* shape, std::int32_t rank) {
  if (rank < 0 || rank > static_cast<std::int32_t>(Shape::kMaxRank) ||
      (rank > 0 && shape == nullptr)) {
    misused(layer, fmt::format("gives a shape of {} dimensions", rank));
  }
  Shape result;
  for (std::int32_t i = 0; i < rank; ++i) {
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    if (shape[i] < 0 || shape[i] > kMost) {
      misused(layer, fmt::format("gives a dimension of {}", shape[i]));
    }
    result.push_back(shape[i]);
  }
  return result;
}

const char* host_config(kerf_layer* layer) { return layer->config.c_str(); }

std::int32_t host_input_count(kerf_layer* layer) {
  return static_cast<std::int32_t>(layer->call.input_count());
}

kerf_tensor host_input(kerf_layer* layer, std::int32_t index) {
  return guarded(layer, kerf_tensor{-1}, [&] {
    if (index < 0) misused(layer, "asks for an input of a negative number");
    return tensor_of(layer, layer->call.input(static_cast<std::size_t>(index)));
  });
}

std::int32_t host_rank(kerf_layer* layer, kerf_tensor tensor) {
  return guarded(layer, std::int32_t{-1}, [&] {
    return static_cast<std::int32_t>(layer->call.shape(value_of(layer, tensor)).rank());
  });
}

std::int64_t host_dimension(kerf_layer* layer, kerf_tensor tensor, std::int32_t axis) {
  return guarded(layer, std::int64_t{KERF_UNKNOWN}, [&] {
    const Shape& shape = layer->call.shape(value_of(layer, tensor));
    if (axis < 0 || static_cast<std::size_t>(axis) >= shape.rank()) {
      misused(layer, fmt::format("asks for axis {} of {}", axis, shape.rank()));
    }
    return shape[static_cast<std::size_t>(axis)];
  });
}

kerf_tensor host_weight(kerf_layer* layer, const char* name, const std::int64_t* shape,
                        std::int32_t rank) {
  return guarded(layer, kerf_tensor{-1}, [&] {
    if (name == nullptr || *name == '\0') misused(layer, "asks for a weight without a name");
    return tensor_of(layer, layer->call.weight(name, shape_of(layer, shape, rank)));
  });
}

kerf_tensor host_constant(kerf_layer* layer, const float* values, const std::int64_t* shape,
                          std::int32_t rank) {
  return guarded(layer, kerf_tensor{-1}, [&] {
    const Shape dims = shape_of(layer, shape, rank);
    const auto count = static_cast<std::size_t>(dims.element_count());
    if (count > 0 && values == nullptr) misused(layer, "gives a constant without values");
    return tensor_of(layer, layer->call.ops().constant(Tensor::floats(dims, {values, count})));
  });
}

kerf_tensor host_expression(kerf_layer* layer, const char* text, const kerf_tensor* tensors,
                            std::int32_t count) {
  return guarded(layer, kerf_tensor{-1}, [&] {
    constexpr std::string_view kNames = "xyzuvw";
    if (text == nullptr || count < 0 || count > static_cast<std::int32_t>(kNames.size()) ||
        (count > 0 && tensors == nullptr)) {
      misused(layer, "gives an expression without a text, or more than 6 tensors");
    }
    const Expression expression = Expression::parse(text);
    const Value result =
        expression.evaluate(layer->evaluator, [&](std::string_view name) -> std::optional<Value> {
          const std::size_t place = name.size() == 1 ? kNames.find(name) : std::string_view::npos;
          if (place < static_cast<std::size_t>(count)) {
            return Value{TensorValue{value_of(layer, tensors[place])}};
          }
          const json::value* value = layer->call.layer().config.if_contains(name);
          return value == nullptr ? std::nullopt
                                  : std::optional(layer->evaluator.from_json(*value));
        });
    return tensor_of(layer, layer->evaluator.tensor(result));
  });
}

void host_output(kerf_layer* layer, kerf_tensor tensor) {
  guarded(layer, 0, [&] {
    layer->call.output(value_of(layer, tensor), {});
    ++layer->outputs;
    return 0;
  });
}

void host_fail(kerf_layer* layer, const char* message) {
  guarded(layer, 0, [&]() -> int {
    layer->evaluator.refuse(message == nullptr ? "its plug-in refuses it" : message);
  });
}

constexpr kerf_host kHost{.version = KERF_PLUGIN_VERSION,
                          .size = sizeof(kerf_host),
                          .config = host_config,
                          .input_count = host_input_count,
                          .input = host_input,
                          .rank = host_rank,
                          .dimension = host_dimension,
                          .weight = host_weight,
                          .constant = host_constant,
                          .expression = host_expression,
                          .output = host_output,
                          .fail = host_fail};

void lower(layers::LayerCall& call, void (*build)(const kerf_host*, kerf_layer*)) {
  kerf_layer layer(call);
  layer.config = json::serialize(call.layer().config);
  build(&kHost, &layer);
  if (layer.error != nullptr) std::rethrow_exception(layer.error);
  if (layer.outputs == 0) misused(&layer, "gives it no output");
}

[[noreturn]] void refuse(const std::filesystem::path& file, std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message), file.string());
}

}  // namespace

void Extensions::plugin(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(file, ignored)) {
    throw Error(ErrorCode::kNotFound, "there is no such plug-in", file.string());
  }
  // An absolute path, since a bare name would be looked for elsewhere.
  void* const library =
      dlopen(std::filesystem::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    refuse(file, fmt::format("it is no shared library that can be loaded: {}", dlerror()));
  }
  void* const symbol = dlsym(library, "kerf_plugin_entry");
  if (symbol == nullptr) {
    refuse(file, "it is no plug-in of kerf: it has no function kerf_plugin_entry (kerf/plugin.h)");
  }
  const auto entry = reinterpret_cast<const kerf_plugin* (*)()>(symbol);
  const kerf_plugin* plugin = entry();
  if (plugin == nullptr) refuse(file, "it does not want to be loaded");
  if (plugin->version != KERF_PLUGIN_VERSION) {
    refuse(file, fmt::format("it is a plug-in of version {}, and this kerf loads those of version "
                             "{}; build it again with this kerf's kerf/plugin.h",
                             plugin->version, KERF_PLUGIN_VERSION));
  }
  if (plugin->size < sizeof(kerf_plugin) ||
      (plugin->class_count > 0 && plugin->classes == nullptr)) {
    refuse(file, "it is a plug-in that says nothing of its classes");
  }
  for (std::uint32_t i = 0; i < plugin->class_count; ++i) {
    const kerf_layer_class& known = plugin->classes[i];
    if (known.name == nullptr || *known.name == '\0' || known.build == nullptr) {
      refuse(file, fmt::format("its class {} has no name or computes nothing", i));
    }
    layers::LayerDefinition definition{.class_name = known.name, .lower = {}};
    definition.lower = [build = known.build](layers::LayerCall& call) { lower(call, build); };
    impl_->add_layer(std::move(definition));
  }
}

}  // namespace kerf
