#include "tests/golden/golden.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "tensor/npy.h"

namespace kerf::golden {
namespace {

namespace json = boost::json;

std::vector<Truth> truths(const json::value& list) {
  std::vector<Truth> result;
  for (const json::value& entry : list.as_array()) {
    const json::object& object = entry.as_object();
    const auto text = [&](const char* key) {
      const json::value* value = object.if_contains(key);
      return value == nullptr ? std::string() : std::string(value->as_string());
    };
    result.push_back({.key = text("key"),
                      .path = text(object.contains("path") ? "path" : "name"),
                      .class_name = text("class"),
                      .dtype = text("dtype"),
                      .index = object.contains("index")
                                   ? object.at("index").to_number<std::size_t>()
                                   : std::size_t{0}});
  }
  return result;
}

// Names of the nested models around a call, outermost first, and its number among the calls of its
// layer: how often the models around it were called before counts.
std::vector<std::uint32_t> position(const graph::Graph& graph, graph::ScopeId scope,
                                    std::uint32_t index) {
  std::vector<std::uint32_t> numbers{index};
  for (; scope != graph::kNone; scope = graph.scopes()[scope].parent) {
    numbers.insert(numbers.begin(), graph.scopes()[scope].index);
  }
  return numbers;
}

std::string path_of(const graph::Graph& graph, graph::ScopeId id) {
  const graph::Scope& scope = graph.scopes()[id];
  return (scope.parent == graph::kNone ? "" : path_of(graph, scope.parent) + "/") + scope.name;
}

}  // namespace

std::vector<std::filesystem::path> folders() {
  const std::filesystem::path source(KERF_SOURCE_DIR);
  std::vector<std::filesystem::path> result;
  for (const auto& folder : {source / "tests/data/golden", source / "../shared/golden"}) {
    if (std::filesystem::is_directory(folder)) result.push_back(folder);
  }
  return result;
}

std::vector<std::string> names(const std::filesystem::path& folder) {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") result.push_back(entry.path().stem());
  }
  std::ranges::sort(result);
  return result;
}

Golden read(const std::filesystem::path& folder, const std::string& name) {
  std::ifstream stream(folder / (name + ".json"));
  std::stringstream text;
  text << stream.rdbuf();
  const json::value description = json::parse(text.str());
  Golden golden{.name = name,
                .folder = folder,
                .inputs = truths(description.at("inputs")),
                .outputs = truths(description.at("outputs")),
                .layers = truths(description.at("layers")),
                .arrays = {}};
  for (auto& [key, tensor] : read_npz(folder / (name + ".npz"))) {
    golden.arrays.emplace(key, std::move(tensor));
  }
  return golden;
}

graph::TensorId tensor_of(const graph::Graph& graph, const Truth& truth) {
  std::string path = truth.path;
  std::size_t number = 0;
  if (const auto colon = path.rfind(':'); colon != std::string::npos) {
    number = std::stoul(path.substr(colon + 1));
    path.resize(colon);
  }
  std::map<std::vector<std::uint32_t>, const std::vector<graph::TensorId>*> calls;
  for (const graph::Call& call : graph.calls()) {
    if (graph.layer_of(call).path == path) {
      calls[position(graph, call.scope, call.index)] = &call.outputs;
    }
  }
  for (graph::ScopeId id = 0; id < graph.scopes().size(); ++id) {
    const graph::Scope& scope = graph.scopes()[id];
    if (path_of(graph, id) == path) {
      calls[position(graph, scope.parent, scope.index)] = &scope.outputs;
    }
  }
  if (number >= calls.size()) throw std::runtime_error("the graph has no " + truth.path);
  return std::next(calls.begin(), static_cast<std::ptrdiff_t>(number))->second->at(truth.index);
}

double distance(const Tensor& actual, const Tensor& expected) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (actual.shape() != expected.shape()) return kInfinity;
  const Tensor a = actual.cast(DType::kFloat64);
  const Tensor b = expected.cast(DType::kFloat64);
  double largest = 0;
  double apart = 0;
  for (std::size_t i = 0; i < a.as<double>().size(); ++i) {
    const double x = a.as<double>()[i];
    const double y = b.as<double>()[i];
    if (!std::isfinite(x) || !std::isfinite(y)) {
      if (!(std::isnan(x) && std::isnan(y)) && x != y) return kInfinity;
      continue;
    }
    largest = std::max(largest, std::abs(y));
    apart = std::max(apart, std::abs(x - y));
  }
  if (apart == 0) return 0;
  return largest == 0 ? kInfinity : apart / largest;
}

double tolerance(const std::string& dtype) {
  if (dtype == "float16") return 2e-3;
  if (dtype == "bfloat16") return 1.6e-2;
  return 1e-5;
}

}  // namespace kerf::golden
