#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/model_spec.h"
#include "layers/registry.h"

namespace kerf::layers {

// A tensor on its way into or out of a part, with the mask that travels beside it.
struct Flow {
  ValueId value = 0;
  std::optional<ValueId> mask = {};
  static bool known() { return true; }
};

// A layer or model that another layer holds, and calls: the one in a wrapper, a cell. Its
// definition runs as part of the call of the whole, its weights stand below `path` in those of the
// whole, and its class may be any that kerf knows. Lives as long as one call of the whole.
class Part {
 public:
  // Of the object {"class_name", "config"} in a field of the whole's configuration.
  Part(LayerCall& whole, std::string path, std::string_view field);
  // Of that object wherever it stands.
  Part(LayerCall& whole, std::string path, const boost::json::object& object);

  const std::string& class_name() const noexcept { return spec_.class_name; }
  const std::string& name() const noexcept { return spec_.name; }
  bool is_model() const noexcept { return spec_.model != nullptr; }
  // The configuration that the calls will see.
  const boost::json::object& config() const noexcept { return spec_.config; }
  void set(std::string_view key, boost::json::value value) { spec_.config[key] = std::move(value); }
  bool flag(std::string_view key) const;  // false if absent

  // Calls it with `inputs` as its first argument, and returns its outputs.
  std::vector<Flow> call(const std::vector<Flow>& inputs,
                         const std::vector<ValueId>& initial_state = {});

 private:
  LayerCall& whole_;
  std::string path_;
  LayerSpec spec_;
};

// The object in a field of a configuration. Throws where there is none.
const boost::json::object& object_in(const Config& config, std::string_view field);

}  // namespace kerf::layers
