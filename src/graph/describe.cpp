#include "graph/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <iterator>
#include <set>
#include <vector>

#include "graph/cut.h"

namespace kerf::graph {
namespace {

namespace json = boost::json;

std::string join(const Graph& graph, std::span<const TensorId> tensors) {
  std::string text;
  for (const TensorId tensor : tensors)
    text += (text.empty() ? "" : ", ") + address_of(graph, tensor);
  return text;
}

// Rows whose columns are as wide as their widest cell; the first row is the heading.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) { add(std::move(heading)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  // Columns of numbers, told by `right`, are aligned to the right.
  std::string to_string(std::string_view right) const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        line += right[i] == '>' ? fmt::format("{:>{}}  ", row[i], widths[i])
                                : fmt::format("{:<{}}  ", row[i], widths[i]);
      }
      text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
      if (&row == rows_.data()) {
        for (const std::size_t width : widths) text += std::string(width, '-') + "  ";
        text.replace(text.size() - 2, 2, "\n");
      }
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

// The shape, after the dtype where that is not the usual one.
std::string type_text(const GraphTensor& tensor) {
  if (tensor.dtype == DType::kFloat32) return tensor.shape.to_string();
  return fmt::format("{} {}", dtype_name(tensor.dtype), tensor.shape.to_string());
}

json::array dims(const Shape& shape) { return json::array(shape.begin(), shape.end()); }

json::object tensor_json(const Graph& graph, TensorId id) {
  const GraphTensor& tensor = graph.tensor(id);
  json::array addresses;
  for (const std::string& address : graph.addresses().of(id)) addresses.emplace_back(address);
  return {{"address", address_of(graph, id)},
          {"addresses", std::move(addresses)},
          {"datatype", dtype_protocol_name(tensor.dtype)},
          {"shape", dims(tensor.shape)},
          {"mask", tensor.mask}};
}

json::array addresses_json(const Graph& graph, std::span<const TensorId> tensors) {
  json::array array;
  for (const TensorId tensor : tensors) array.emplace_back(address_of(graph, tensor));
  return array;
}

// Keras keeps the state of such a layer from one prediction to the next.
bool is_stateful(const Layer& layer) {
  const json::value* stateful = layer.config.if_contains("stateful");
  return stateful != nullptr && stateful->is_bool() && stateful->get_bool();
}
constexpr std::string_view kStateless =
    "stateful in Keras; here every request starts from its initial state";

json::array ports_json(const Graph& graph, std::span<const Port> ports) {
  json::array array;
  for (const Port& port : ports) {
    const GraphTensor& tensor = graph.tensor(port.tensor);
    array.push_back(json::object{{"name", port.name},
                                 {"datatype", dtype_protocol_name(tensor.dtype)},
                                 {"shape", dims(tensor.shape)}});
  }
  return array;
}

}  // namespace

std::string describe_text(const Graph& graph) {
  Table layers({"address", "layer", "shape", "parameters", "inputs"});
  for (const Port& port : graph.inputs()) {
    layers.add({port.name, "(input)", type_text(graph.tensor(port.tensor)), "", ""});
  }
  std::set<LayerId> counted;
  std::int64_t total = 0;
  for (const Call& call : graph.calls()) {
    const Layer& layer = graph.layer_of(call);
    const std::int64_t parameters = counted.insert(call.layer).second ? layer.parameter_count() : 0;
    total += parameters;
    std::vector<TensorId> read = call.inputs;
    std::ranges::copy_if(call.implicit_masks, std::back_inserter(read),
                         [](TensorId mask) { return mask != kNone; });
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
      const TensorId id = call.outputs[i];
      layers.add({address_of(graph, id), i == 0 ? layer.class_name : "",
                  type_text(graph.tensor(id)), i == 0 ? std::to_string(parameters) : "",
                  i == 0 ? join(graph, read) : ""});
      const TensorId mask = call.masks[i];
      if (mask != kNone && graph.tensor(mask).mask &&
          graph.tensor(mask).producer == graph.tensor(id).producer) {
        layers.add({address_of(graph, mask), "", type_text(graph.tensor(mask)), "", ""});
      }
    }
  }
  std::string text = fmt::format("model {}\n\n{}\nparameters: {}\noutputs: ", graph.name(),
                                 layers.to_string("<<<><"), total);
  for (const Port& port : graph.outputs()) {
    text += fmt::format("{}{}", &port == graph.outputs().data() ? "" : ", ", port.name);
  }
  text += "\n";
  for (const Layer& layer : graph.layers()) {
    if (is_stateful(layer)) text += fmt::format("{}: {}\n", layer.path, kStateless);
  }
  Table points({"cut point", "shape", "bytes a sample", "flops before", "flops after"});
  for (const Dominator& dominator : dominators(graph)) {
    points.add({address_of(graph, dominator.tensor), type_text(graph.tensor(dominator.tensor)),
                std::to_string(dominator.bytes_per_sample),
                fmt::format("{:.0f}", dominator.flops_before),
                fmt::format("{:.0f}", dominator.flops_after)});
  }
  return text + "\n" + points.to_string("<<>>>");
}

json::object describe_json(const Graph& graph) {
  std::vector<json::array> calls(graph.layers().size());
  for (const Call& call : graph.calls()) {
    json::array masks;
    for (const TensorId mask : call.implicit_masks) {
      if (mask != kNone) masks.emplace_back(address_of(graph, mask));
    }
    calls[call.layer].push_back(json::object{{"inputs", addresses_json(graph, call.inputs)},
                                             {"masks", std::move(masks)},
                                             {"outputs", addresses_json(graph, call.outputs)},
                                             {"flops", call.flops}});
  }
  json::array layers;
  std::int64_t total = 0;
  for (LayerId id = 0; id < graph.layers().size(); ++id) {
    const Layer& layer = graph.layer(id);
    total += layer.parameter_count();
    layers.push_back(json::object{{"name", layer.path},
                                  {"class", layer.class_name},
                                  {"parameters", layer.parameter_count()},
                                  {"calls", std::move(calls[id])}});
    if (is_stateful(layer)) layers.back().get_object()["note"] = kStateless;
  }
  json::array tensors;
  for (TensorId id = 0; id < graph.tensors().size(); ++id) {
    tensors.push_back(tensor_json(graph, id));
  }
  json::array points;
  for (const Dominator& dominator : dominators(graph)) {
    const GraphTensor& tensor = graph.tensor(dominator.tensor);
    points.push_back(json::object{{"address", address_of(graph, dominator.tensor)},
                                  {"datatype", dtype_protocol_name(tensor.dtype)},
                                  {"shape", dims(tensor.shape)},
                                  {"bytes_per_sample", dominator.bytes_per_sample},
                                  {"flops_before", dominator.flops_before},
                                  {"flops_after", dominator.flops_after}});
  }
  return {{"name", graph.name()},
          {"parameters", total},
          {"inputs", ports_json(graph, graph.inputs())},
          {"outputs", ports_json(graph, graph.outputs())},
          {"layers", std::move(layers)},
          {"tensors", std::move(tensors)},
          {"cut_points", std::move(points)}};
}

std::string describe_dot(const Graph& graph) {
  const auto quoted = [](std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
    return result + "\"";
  };
  std::string text =
      fmt::format("digraph {} {{\n  rankdir=TB; node [shape=box];\n", quoted(graph.name()));
  for (const Port& port : graph.inputs()) {
    text += fmt::format("  t{} [label={}, shape=oval];\n", port.tensor, quoted(port.name));
  }
  for (const Call& call : graph.calls()) {
    const std::string address = address_of(graph, call.outputs.front());
    text += fmt::format("  t{} [label={}];\n", call.outputs.front(),
                        quoted(fmt::format("{}\n{}", address, graph.layer_of(call).class_name)));
    for (const TensorId input : call.inputs) {
      const CallId producer = graph.tensor(input).producer;
      const TensorId node = producer == kNone ? input : graph.call(producer).outputs.front();
      text += fmt::format("  t{} -> t{} [label={}];\n", node, call.outputs.front(),
                          quoted(graph.tensor(input).shape.to_string()));
    }
  }
  return text + "}\n";
}

}  // namespace kerf::graph
