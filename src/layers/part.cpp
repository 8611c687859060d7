#include "layers/part.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "kerf/error.h"
#include "layers/base_call.h"
#include "layers/lower.h"
#include "layers/model_walk.h"
#include "layers/taken_masks.h"
#include "layers/user_definitions.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

// The call of a part inside the call of the whole.
class PartCall final : public BaseCall {
 public:
  PartCall(LayerCall& whole, const std::string& path, bool trainable, const graph::Layer& layer,
           const json::object& arguments, const std::vector<Flow>& tensors)
      : BaseCall(layer, arguments, whole.ops()),
        whole_(whole),
        path_(path),
        trainable_(trainable),
        tensors_(tensors) {}

  ValueId argument_tensor(std::size_t i) override { return tensors_.at(i).value; }
  ValueId weight(std::string name, const Shape& shape, bool trainable) override {
    return whole_.weight(fmt::format("{}/{}", path_, name), shape, trainable && trainable_);
  }
  ValueId derived(std::string_view name, std::vector<ValueId> weights, const Shape& shape,
                  const Derivation& make, double parameter) override {
    return whole_.derived(fmt::format("{}/{}", path_, name), std::move(weights), shape, make,
                          parameter);
  }
  ValueId made(std::string_view name, const program::ValueType& type,
               const std::function<Tensor()>& make) override {
    return whole_.made(fmt::format("{}/{}", path_, name), type, make);
  }
  void part(std::string path, std::string name) override {
    whole_.part(fmt::format("{}/{}", path_, path), std::move(name));
  }

  std::vector<Flow> results() const {
    std::vector<Flow> flows;
    for (const Output& made : outputs()) {
      flows.push_back({made.value, made.mask});
      if (made.passes_mask_of) flows.back().mask = tensors_[*made.passes_mask_of].mask;
    }
    return flows;
  }

 protected:
  bool travels(std::size_t argument) const override { return tensors_[argument].mask.has_value(); }
  ValueId travelling_mask(std::size_t argument) override { return *tensors_[argument].mask; }

 private:
  LayerCall& whole_;
  const std::string& path_;
  bool trainable_;
  const std::vector<Flow>& tensors_;
};

std::vector<Flow> run(LayerCall& whole, const LayerSpec& spec, const std::string& path,
                      bool trainable, const json::object& arguments,
                      const std::vector<Flow>& tensors) {
  const std::string& where = whole.config().where();
  // Wrappers that call their parts twice, nested, would grow without end.
  constexpr std::size_t kMostInstructions = 200'000;
  if (whole.ops().peek().instructions.size() > kMostInstructions || path.size() > 4096) {
    throw Error(ErrorCode::kInvalidFile, "layers are nested too deeply", where);
  }
  trainable = trainable && spec.trainable;
  if (spec.model) {
    require_inference(arguments);
    const std::map<std::string, std::string> folders = layer_folders(*spec.model);
    for (const auto& [name, folder] : folders) {
      whole.part(fmt::format("{}/layers/{}", path, folder), name);
    }
    std::vector<Flow> inputs;
    for (const std::size_t i : tensors_at(arguments, 0)) inputs.push_back(tensors.at(i));
    const std::vector<std::size_t> mask = tensors_at(arguments, "mask");
    if (mask.size() == 1 && inputs.size() == 1) inputs.front().mask = tensors.at(mask[0]).value;
    const TakenMasks taken =
        taken_masks(*spec.model, whole.layer().keras_major, whole.layer().keras_minor);
    return walk(*spec.model, std::move(inputs), where,
                [&](const LayerSpec& layer, std::uint32_t index, const json::object& inner,
                    std::vector<Flow> flows) {
                  if (const auto found = taken.find({layer.name, index}); found != taken.end()) {
                    for (const std::size_t i : found->second) flows[i].mask.reset();
                  }
                  const auto folder = folders.find(layer.name);
                  const std::string below = folder == folders.end()
                                                ? path
                                                : fmt::format("{}/layers/{}", path, folder->second);
                  return run(whole, layer, below, trainable, inner, flows);
                });
  }
  if (!is_known(spec, whole.layer().extensions.get())) {
    throw Error(ErrorCode::kUnsupported, unknown_reason(spec), where);
  }
  const graph::Layer layer{.path = fmt::format("{}/{}", whole.layer().path, path),
                           .class_name = spec.class_name,
                           .operation = spec.operation,
                           .config = spec.config,
                           .keras_major = whole.layer().keras_major,
                           .keras_minor = whole.layer().keras_minor,
                           .identity = {},
                           .weights = {},
                           .parts = {},
                           .extensions = whole.layer().extensions};
  PartCall call(whole, path, trainable, layer, arguments, tensors);
  require_inference(arguments);
  find_definition(spec.class_name, spec.operation, spec.identity, layer.extensions.get())
      ->lower(call);
  return call.results();
}

}  // namespace

const json::object& object_in(const Config& config, std::string_view field) {
  const json::value* value = config.find(field);
  if (value == nullptr || !value->is_object()) config.invalid(field, "holds no layer");
  return value->get_object();
}

Part::Part(LayerCall& whole, std::string path, std::string_view field)
    : Part(whole, std::move(path), object_in(whole.config(), field)) {}

Part::Part(LayerCall& whole, std::string path, const json::object& object)
    : whole_(whole),
      path_(std::move(path)),
      spec_(read_layer_spec(object, whole.config().where())) {
  whole_.part(path_, spec_.name);
}

bool Part::flag(std::string_view key) const {
  return Config(spec_.config, whole_.config().where()).boolean(key, false);
}

std::vector<Flow> Part::call(const std::vector<Flow>& inputs,
                             const std::vector<ValueId>& initial_state) {
  std::vector<Flow> tensors = inputs;
  json::array first;
  for (std::size_t i = 0; i < inputs.size(); ++i) first.push_back(json::object{{"tensor", i}});
  json::array states;
  for (const ValueId state : initial_state) {
    states.push_back(json::object{{"tensor", tensors.size()}});
    tensors.push_back({state});
  }
  json::object kwargs;
  if (!states.empty()) kwargs["initial_state"] = std::move(states);
  // A single tensor stands alone, as in a call of the layer itself.
  json::array args;
  args.push_back(first.size() == 1 ? first.front() : json::value(first));
  const json::object arguments{{"args", std::move(args)}, {"kwargs", std::move(kwargs)}};
  return run(whole_, spec_, path_, true, arguments, tensors);
}

}  // namespace kerf::layers
