#include "graph/address.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kerf/error.h"

namespace kerf::graph {
namespace {

// The path of each nested model's call, as addresses may write it. Call numbers may be left out
// where there is one call only, and always be given.
struct ScopePath {
  std::string shortest;  // "encoder:1/block/"
  std::string bare;      // "encoder/block/", also how Layer::path starts
  std::string full;      // "encoder:1/block:0/"
};

std::vector<ScopePath> scope_paths(const Graph& graph) {
  std::map<std::pair<ScopeId, std::string>, std::uint32_t> calls;
  for (const Scope& scope : graph.scopes()) ++calls[{scope.parent, scope.name}];
  std::vector<ScopePath> paths;
  for (const Scope& scope : graph.scopes()) {
    const ScopePath outer = scope.parent == kNone ? ScopePath{} : paths[scope.parent];
    const std::string numbered = fmt::format("{}:{}/", scope.name, scope.index);
    const bool several = calls[{scope.parent, scope.name}] > 1;
    paths.push_back({.shortest = outer.shortest + (several ? numbered : scope.name + "/"),
                     .bare = outer.bare + scope.name + "/",
                     .full = outer.full + numbered});
  }
  return paths;
}

std::vector<std::string> distinct(const ScopePath& path) {
  std::vector<std::string> prefixes{path.shortest};
  for (const std::string* other : {&path.bare, &path.full}) {
    if (std::ranges::find(prefixes, *other) == prefixes.end()) prefixes.push_back(*other);
  }
  return prefixes;
}

// Insertions, deletions and substitutions that turn one text into the other.
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

// Without ":1", ":1:0", ":mask" at the end.
std::string_view without_numbers(std::string_view address) {
  if (address.ends_with(":mask")) address.remove_suffix(5);
  for (int i = 0; i < 2; ++i) {
    const auto colon = address.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == address.size() ||
        address.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) {
      break;
    }
    address = address.substr(0, colon);
  }
  return address;
}

}  // namespace

AddressIndex::AddressIndex(const Graph& graph) : addresses_(graph.tensors().size()) {
  const auto add_input = [&](const std::string& name, TensorId tensor) {
    for (const char* numbers : {"", ":0", ":0:0"}) add(name + numbers, tensor, false);
  };
  for (const Port& port : graph.inputs()) {
    inputs_.emplace(port.name, port.tensor);
    add_input(port.name, port.tensor);
  }
  for (const Port& port : graph.outputs()) outputs_.emplace(port.name, port.tensor);

  const std::vector<ScopePath> scopes = scope_paths(graph);
  const auto path_of = [&](ScopeId scope) { return scope == kNone ? ScopePath{} : scopes[scope]; };
  std::map<std::pair<ScopeId, LayerId>, std::uint32_t> calls;
  for (const Call& call : graph.calls()) ++calls[{call.scope, call.layer}];
  for (const Call& call : graph.calls()) {
    const Layer& layer = graph.layer_of(call);
    const ScopePath path = path_of(call.scope);
    const std::string name = layer.path.substr(path.bare.size());
    for (std::string& prefix : distinct(path)) {
      layers_.emplace(prefix + name, layer.class_name);
      add_place({.prefix = std::move(prefix),
                 .name = name,
                 .call = call.index,
                 .several_calls = calls[{call.scope, call.layer}] > 1},
                call.outputs, call.masks);
    }
  }
  std::map<std::pair<ScopeId, std::string>, std::uint32_t> nested;
  for (const Scope& scope : graph.scopes()) ++nested[{scope.parent, scope.name}];
  for (ScopeId id = 0; id < graph.scopes().size(); ++id) {
    const Scope& scope = graph.scopes()[id];
    for (const std::string& prefix : distinct(scopes[id])) {
      for (const Port& port : scope.inputs) add_input(prefix + port.name, port.tensor);
    }
    for (std::string& prefix : distinct(path_of(scope.parent))) {
      add_place({.prefix = std::move(prefix),
                 .name = scope.name,
                 .call = scope.index,
                 .several_calls = nested[{scope.parent, scope.name}] > 1},
                scope.outputs, scope.masks);
    }
  }
  for (const Port& port : graph.outputs()) addresses_[port.tensor].push_back(port.name);

  // Only what names the tensor in every role is an address of it.
  for (TensorId tensor = 0; tensor < addresses_.size(); ++tensor) {
    std::vector<std::string> kept;
    for (std::string& address : addresses_[tensor]) {
      const auto names_it = [&](const Names<TensorId>& first, const Names<TensorId>& second) {
        if (const auto port = first.find(address); port != first.end()) {
          return port->second == tensor;
        }
        if (const auto port = second.find(address); port != second.end()) {
          return port->second == tensor;
        }
        const auto meaning = meanings_.find(address);
        return meaning != meanings_.end() && !meaning->second.partial &&
               meaning->second.tensors.size() == 1;
      };
      if (names_it(inputs_, outputs_) && names_it(outputs_, inputs_) &&
          std::ranges::find(kept, address) == kept.end()) {
        kept.push_back(std::move(address));
      }
    }
    // A tensor of a file with contradictory names: something to show, if not to resolve.
    if (kept.empty()) kept.push_back(fmt::format("tensor {}", tensor));
    addresses_[tensor] = std::move(kept);
  }
}

void AddressIndex::add(std::string address, TensorId tensor, bool partial) {
  Meaning& meaning = meanings_[address];
  meaning.partial = meaning.partial || partial;
  if (std::ranges::find(meaning.tensors, tensor) == meaning.tensors.end()) {
    meaning.tensors.push_back(tensor);
  }
  if (!partial) addresses_[tensor].push_back(std::move(address));
}

void AddressIndex::add_place(const Place& place, std::span<const TensorId> outputs,
                             std::span<const TensorId> masks) {
  const std::string base = place.prefix + place.name;
  const bool several_outputs = outputs.size() > 1;
  // For output i (or its mask, with `end` ":mask"): the exact forms, the shortest first, then those
  // that leave something open.
  const auto add_forms = [&](TensorId tensor, std::size_t i, const char* end) {
    if (!place.several_calls && !several_outputs) add(base + end, tensor, false);
    if (!place.several_calls) add(fmt::format("{}:{}{}", base, i, end), tensor, false);
    if (place.several_calls && !several_outputs && *end != '\0') {
      add(fmt::format("{}:{}{}", base, place.call, end), tensor, false);
    }
    add(fmt::format("{}:{}:{}{}", base, place.call, i, end), tensor, false);
    if (place.several_calls || several_outputs) add(base + end, tensor, true);
    if (place.several_calls && (several_outputs || *end == '\0')) {
      add(fmt::format("{}:{}{}", base, place.call, end), tensor, true);
      add(fmt::format("{}:{}{}", base, i, end), tensor, true);
    }
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) add_forms(outputs[i], i, "");
  for (std::size_t i = 0; i < masks.size(); ++i) {
    if (masks[i] != kNone) add_forms(masks[i], i, ":mask");
  }
}

TensorId AddressIndex::resolve(std::string_view address, Role role) const {
  const auto port = [&](std::string_view name) -> const TensorId* {
    const Names<TensorId>& first = role == Role::kFeed ? inputs_ : outputs_;
    const Names<TensorId>& second = role == Role::kFeed ? outputs_ : inputs_;
    if (const auto it = first.find(name); it != first.end()) return &it->second;
    if (const auto it = second.find(name); it != second.end()) return &it->second;
    return nullptr;
  };
  if (const TensorId* tensor = port(address)) return *tensor;
  if (const auto it = meanings_.find(address); it != meanings_.end()) {
    const Meaning& meaning = it->second;
    if (!meaning.partial && meaning.tensors.size() == 1) return meaning.tensors.front();
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("'{}' {}; it may be {}", address,
                    meaning.tensors.size() > 1 ? "is ambiguous" : "names no tensor by itself",
                    candidates(meaning.tensors)));
  }
  // TensorFlow's name:0, of an output that has a name of its own.
  if (address.ends_with(":0")) {
    if (const TensorId* tensor = port(address.substr(0, address.size() - 2))) return *tensor;
  }
  refuse(address);
}

std::string AddressIndex::candidates(std::span<const TensorId> tensors) const {
  constexpr std::size_t kShown = 8;
  std::string text;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (i == kShown) return text + fmt::format(", and {} more", tensors.size() - i);
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", addresses_[tensors[i]].front());
  }
  return text;
}

// Says why there is no such tensor as exactly as can be.
void AddressIndex::refuse(std::string_view address) const {
  constexpr std::size_t kLongest = 256;
  const std::string_view shown = address.substr(0, kLongest);
  const std::string_view base = without_numbers(address);
  if (const auto place = meanings_.find(base); place != meanings_.end() && base != address) {
    if (address.ends_with(":mask")) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("no mask travels beside '{}', so there is no '{}'", base, shown));
    }
    throw Error(ErrorCode::kNotFound, fmt::format("there is no tensor '{}'; '{}' has {}", shown,
                                                  base, candidates(place->second.tensors)));
  }
  for (auto slash = address.find('/'); slash != std::string_view::npos;
       slash = address.find('/', slash + 1)) {
    const std::string_view outer = without_numbers(address.substr(0, slash));
    if (const auto layer = layers_.find(outer); layer != layers_.end()) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("'{}' lies inside the layer '{}' ({}), where no tensor has a batch "
                              "of its own; feed or fetch the layer itself",
                              shown, outer, layer->second));
    }
  }
  std::string names;
  // Something longer is no typing error, and comparing it would only cost time.
  if (address.size() <= kLongest) {
    for (const std::string& name : nearest(address)) {
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", name);
    }
  }
  throw Error(ErrorCode::kNotFound, fmt::format("there is no tensor '{}'; {}", shown,
                                                names.empty() ? "`kerf inspect` lists the addresses"
                                                              : "the nearest names are " + names));
}

std::vector<std::string> AddressIndex::nearest(std::string_view address) const {
  std::vector<std::pair<std::size_t, std::string_view>> near;
  const std::size_t bound = std::max<std::size_t>(2, address.size() / 3);
  for (const std::vector<std::string>& addresses : addresses_) {
    std::pair<std::size_t, std::string_view> best{std::numeric_limits<std::size_t>::max(), ""};
    for (const std::string& candidate : addresses) {
      const std::size_t longer = std::max(candidate.size(), address.size());
      std::size_t distance = std::numeric_limits<std::size_t>::max();
      if (candidate.ends_with(fmt::format("/{}", address))) {
        distance = 0;  // the right layer without its path
      } else if (longer - std::min(candidate.size(), address.size()) <= bound) {
        distance = edit_distance(address, candidate);
      }
      if (distance <= bound && distance < best.first) best = {distance, candidate};
    }
    if (best.first <= bound) near.push_back(best);
  }
  std::ranges::sort(near);
  constexpr std::size_t kShown = 3;
  std::vector<std::string> names;
  for (const auto& [distance, name] : near) {
    if (names.size() < kShown) names.emplace_back(name);
  }
  return names;
}

TensorId resolve(const Graph& graph, std::string_view address, Role role) {
  return graph.addresses().resolve(address, role);
}

const std::string& address_of(const Graph& graph, TensorId tensor) {
  return graph.addresses().of(tensor).front();
}

}  // namespace kerf::graph
