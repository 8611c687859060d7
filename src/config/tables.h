#pragma once

#include <toml++/toml.h>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/values.h"

namespace kerf::config {

// The one place where keys of the configuration are told: reading, showing and explaining them all
// go by these tables.

template <typename Owner>
struct Key {
  std::string_view name;
  std::string_view form;  // what stands there
  std::string_view help;
  std::function<void(const toml::node&, Owner&)> read;
  std::function<std::string(const Owner&)> show;  // empty: there is nothing to show
};

template <typename Owner>
struct Section {
  std::string name;  // "server"; of tables that have names of their own, "models.NAME"
  std::string help;
  std::vector<Key<Owner>> keys;
};

// [server], [tls] and so on: each there once.
const std::vector<Section<Config>>& sections();
// [models.NAME]; a table whose "path" is given is a model, the keys of [models] are not.
const Section<serving::ModelSpec>& model_section();
// [models.NAME.batching].
const Section<serving::Batching>& batching_section();
// [models.NAME.cuts.CUT].
const Section<serving::NamedCut>& cut_section();
// [auth.keys.NAME].
const Section<serving::AccessKey>& key_section();

}  // namespace kerf::config
