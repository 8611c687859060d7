#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "graph/cut.h"
#include "kerf/error.h"

namespace kerf::graph {
namespace {

// How often each layer is called inside one call of its model, and each nested model likewise:
// what decides whether an address needs a call number.
struct Uses {
  std::map<std::pair<LayerId, ScopeId>, std::uint32_t> layers;
  std::map<std::pair<std::string, ScopeId>, std::uint32_t> scopes;
};

Uses count_uses(const Graph& graph) {
  Uses uses;
  for (const Call& call : graph.calls()) ++uses.layers[{call.layer, call.scope}];
  for (const Scope& scope : graph.scopes()) ++uses.scopes[{scope.name, scope.parent}];
  return uses;
}

std::string scope_prefix(const Graph& graph, const Uses& uses, ScopeId id) {
  std::string prefix;
  while (id != kNone) {
    const Scope& scope = graph.scopes()[id];
    const bool several = uses.scopes.at({scope.name, scope.parent}) > 1;
    prefix = (several ? fmt::format("{}:{}/", scope.name, scope.index) : scope.name + "/") + prefix;
    id = scope.parent;
  }
  return prefix;
}

std::string with_position(std::string base, bool several_calls, std::uint32_t call,
                          bool several_outputs, std::uint32_t output) {
  if (several_calls) return fmt::format("{}:{}:{}", base, call, output);
  if (several_outputs) return fmt::format("{}:{}", base, output);
  return base;
}

// Every address of every tensor: the table behind all three functions. Short forms come first.
struct Entry {
  std::string address;
  TensorId tensor;
};

std::vector<Entry> all_addresses(const Graph& graph) {
  const Uses uses = count_uses(graph);
  std::vector<Entry> entries;
  for (const Port& port : graph.inputs()) entries.push_back({port.name, port.tensor});
  const auto add_outputs = [&](const std::string& base, bool several, std::uint32_t index,
                               const std::vector<TensorId>& outputs,
                               const std::vector<TensorId>& masks) {
    const bool many = outputs.size() > 1;
    for (std::uint32_t i = 0; i < outputs.size(); ++i) {
      entries.push_back({with_position(base, several, index, many, i), outputs[i]});
      if (masks[i] != kNone) {
        const std::string prefix = several ? fmt::format("{}:{}", base, index) : base;
        entries.push_back({prefix + (i == 0 ? ":mask" : fmt::format(":{}:mask", i)), masks[i]});
      }
    }
    for (std::uint32_t i = 0; i < outputs.size(); ++i) {
      if (!several && !many) entries.push_back({fmt::format("{}:{}", base, i), outputs[i]});
      if (!several) entries.push_back({fmt::format("{}:{}:{}", base, index, i), outputs[i]});
    }
  };
  for (const Call& call : graph.calls()) {
    const std::string base =
        scope_prefix(graph, uses, call.scope) + std::string(graph.layer_of(call).name());
    add_outputs(base, uses.layers.at({call.layer, call.scope}) > 1, call.index, call.outputs,
                call.masks);
  }
  for (const Scope& scope : graph.scopes()) {
    add_outputs(scope_prefix(graph, uses, scope.parent) + scope.name,
                uses.scopes.at({scope.name, scope.parent}) > 1, scope.index, scope.outputs,
                scope.masks);
  }
  for (const Port& port : graph.outputs()) entries.push_back({port.name, port.tensor});
  return entries;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

[[noreturn]] void unknown(const std::vector<Entry>& entries, std::string_view address) {
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const Entry& entry : entries) {
    // A very long name is not a typing error: the distance would only cost time.
    if (address.size() > 256) break;
    near.emplace_back(edit_distance(address, entry.address), entry.address);
  }
  std::ranges::sort(near);
  std::vector<std::string> names;
  for (const auto& [distance, name] : near) {
    if (names.size() == 3 || distance > std::max<std::size_t>(2, address.size() / 2)) break;
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  throw Error(ErrorCode::kNotFound,
              fmt::format("there is no tensor '{}'{}", address.substr(0, 256),
                          names.empty() ? "; `kerf inspect` lists the addresses"
                                        : "; the nearest names are " + list(names)));
}

}  // namespace

TensorId resolve(const Graph& graph, std::string_view address) {
  const std::vector<Entry> entries = all_addresses(graph);
  // The model's own names win over a layer's.
  for (const auto ports : {graph.inputs(), graph.outputs()}) {
    for (const Port& port : ports) {
      if (port.name == address) return port.tensor;
    }
  }
  std::optional<TensorId> found;
  for (const Entry& entry : entries) {
    if (entry.address == address) {
      if (found && *found != entry.tensor) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("'{}' names several tensors; use {} or {}", address,
                                address_of(graph, *found), address_of(graph, entry.tensor)));
      }
      found = entry.tensor;
    }
  }
  if (found) return *found;
  // A layer with several outputs or calls, named bare or half.
  std::vector<std::string> candidates;
  const std::string prefix = std::string(address) + ":";
  for (const Entry& entry : entries) {
    if (entry.address.starts_with(prefix) && !entry.address.ends_with(":mask") &&
        entry.address == address_of(graph, entry.tensor)) {
      candidates.push_back(entry.address);
    }
  }
  if (!candidates.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is ambiguous; it may be {}", address, list(candidates)));
  }
  const auto slash = address.rfind('/');
  if (slash != std::string_view::npos) {
    for (const Call& call : graph.calls()) {
      if (graph.layer_of(call).path == address.substr(0, slash)) {
        throw Error(
            ErrorCode::kNotFound,
            fmt::format("'{}' lies inside the layer '{}' ({}), where no tensor has a batch "
                        "of its own; feed or fetch the layer itself",
                        address, address.substr(0, slash), graph.layer_of(call).class_name));
      }
    }
  }
  unknown(entries, address);
}

std::string address_of(const Graph& graph, TensorId tensor) {
  for (const Port& port : graph.inputs()) {
    if (port.tensor == tensor) return port.name;
  }
  const GraphTensor& info = graph.tensor(tensor);
  if (info.producer == kNone) return {};
  const Call& call = graph.call(info.producer);
  const Uses uses = count_uses(graph);
  const std::string base =
      scope_prefix(graph, uses, call.scope) + std::string(graph.layer_of(call).name());
  const bool several = uses.layers.at({call.layer, call.scope}) > 1;
  if (info.mask) {
    const std::string prefix = several ? fmt::format("{}:{}", base, call.index) : base;
    return prefix + (info.index == 0 ? ":mask" : fmt::format(":{}:mask", info.index));
  }
  return with_position(base, several, call.index, call.outputs.size() > 1, info.index);
}

std::vector<std::string> addresses_of(const Graph& graph, TensorId tensor) {
  std::vector<std::string> addresses{address_of(graph, tensor)};
  for (const Entry& entry : all_addresses(graph)) {
    if (entry.tensor == tensor && std::ranges::find(addresses, entry.address) == addresses.end()) {
      addresses.push_back(entry.address);
    }
  }
  return addresses;
}

}  // namespace kerf::graph
