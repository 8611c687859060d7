#include "protocol/predict_json.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "protocol/base64.h"
#include "protocol/json_reading.h"
#include "protocol/json_text.h"
#include "protocol/tensor_data.h"
#include "tensor/convert.h"
#include "tensor/packed_strings.h"

namespace kerf::protocol {
namespace {

namespace ondemand = simdjson::ondemand;

[[noreturn]] void invalid(std::string message, std::string where = {}) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message), std::move(where));
}

// Parses text behind which kBodyPadding bytes are readable. One parser for a body, another for a
// part of it.
ondemand::document parse(ondemand::parser& parser, std::string_view text) {
  constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;
  if (parser.capacity() > kKeptCapacity && text.size() <= kKeptCapacity) {
    parser = ondemand::parser();
  }
  ondemand::document document;
  const simdjson::error_code code =
      parser.iterate(text.data(), text.size(), text.size() + kBodyPadding).get(document);
  if (code != simdjson::SUCCESS) invalid_json(code);
  return document;
}

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

// The first character within an array that is not space.
char first_in(std::string_view array) noexcept {
  std::size_t i = 1;
  while (i < array.size() && is_space(array[i])) ++i;
  return i < array.size() ? array[i] : ']';
}

// Text with the padding that parsers need behind it, kept by the request.
std::string_view keep(InferRequest& request, std::string text) {
  const std::size_t size = text.size();
  text.resize(size + kBodyPadding, ' ');
  return std::string_view(request.unescaped.emplace_back(std::move(text))).substr(0, size);
}

// A tensor of the request, by name; in rows, a value for each instance.
struct Named {
  std::string name;
  std::vector<std::string_view> values;
};

// Adds the fields of an object to `tensors`.
void read_fields(ondemand::object object, std::vector<Named>& tensors, std::string_view where) {
  for (auto entry : object) {
    ondemand::field field = expect_json(std::move(entry), "a field", where);
    const std::string_view key = expect_json(field.unescaped_key(), "a key", where);
    auto it = std::ranges::find(tensors, key, &Named::name);
    if (it == tensors.end()) it = tensors.insert(it, Named{std::string(key), {}});
    it->values.push_back(raw_json(field.value(), where));
  }
}

// Strings come as they are, or as {"b64": base64}.
bool is_base64(const std::vector<Named>& fields) {
  return fields.size() == 1 && fields[0].name == "b64" && fields[0].values[0].starts_with('"');
}

// The named tensors of the value, or nothing if it is one tensor without a name.
std::vector<Named> read_named(const PredictJson& json) {
  thread_local ondemand::parser parser;
  std::vector<Named> tensors;
  if (!json.row) {
    if (!json.value.starts_with('{')) return {};
    ondemand::document document = parse(parser, json.value);
    read_fields(expect_json(document.get_object(), "an object", "inputs"), tensors, "inputs");
    if (is_base64(tensors)) tensors.clear();
    return tensors;
  }
  if (!json.value.starts_with('[') || first_in(json.value) == ']') {
    invalid("must be an array of one instance at least", "instances");
  }
  if (first_in(json.value) != '{') return {};
  ondemand::document document = parse(parser, json.value);
  std::size_t rows = 0;
  for (auto element : expect_json(document.get_array(), "an array", "instances")) {
    ondemand::value value = expect_json(std::move(element), "an object", "instances[]");
    read_fields(expect_json(value.get_object(), "an object", "instances[]"), tensors,
                "instances[]");
    if (rows++ == 0 && is_base64(tensors)) return {};
    for (const Named& tensor : tensors) {
      if (tensor.values.size() == rows) continue;
      invalid(fmt::format("instance {} has not the same tensors as those before it: '{}'", rows - 1,
                          tensor.name),
              "instances");
    }
  }
  return tensors;
}

// The shape of a nested array of numbers, as far as its first entries tell it.
Shape shape_of(std::string_view array, const Shape* expected) {
  std::size_t rank = 0;
  for (const char c : array) {
    if (c == '[') ++rank;
    if (c != '[' && !is_space(c)) break;
  }
  if (rank > Shape::kMaxRank) {
    invalid(fmt::format("it is nested more than {} deep", Shape::kMaxRank));
  }
  if (expected != nullptr && expected->rank() == rank) {
    // If only the batch is unknown it follows from the number of commas; the rest is checked when
    // the elements are read.
    std::int64_t each = 1;
    for (std::size_t axis = 1; axis < rank; ++axis)
      each *= std::max<std::int64_t>((*expected)[axis], 0);
    const std::int64_t leaves = 1 + std::count(array.begin(), array.end(), ',');
    if (each != 0 && leaves % each == 0 && first_in(array) != ']') {
      Shape shape = *expected;
      shape[0] = leaves / each;
      return shape;
    }
  }
  std::int64_t counts[Shape::kMaxRank + 1] = {};
  bool closed[Shape::kMaxRank + 1] = {};
  std::size_t depth = 0;
  bool empty = true;  // nothing came since the last bracket
  for (const char c : array) {
    if (is_space(c)) continue;
    if (c == '[') {
      if (depth == rank) invalid("it mixes values and arrays");
      ++depth;
      empty = true;
      continue;
    }
    if (c == ',' && !closed[depth]) ++counts[depth];
    if (c == ']') {
      if (!closed[depth]) counts[depth] += empty ? 0 : 1;
      closed[depth] = true;
      if (--depth == 0) break;
    }
    empty = false;
  }
  Shape shape;
  for (std::size_t axis = 1; axis <= rank; ++axis) shape.push_back(counts[axis]);
  return shape;
}

class StringsReader {
 public:
  // NOLINTNEXTLINE(misc-no-recursion): as deep as tensors have dimensions
  void read(ondemand::value value, std::size_t depth) {
    if (expect_json(value.type(), "a value", "") != ondemand::json_type::array) {
      if (rank_.value_or(depth) != depth) ragged();
      rank_ = depth;
      return read_string(value);
    }
    if (depth == Shape::kMaxRank) invalid("it is nested too deep");
    std::int64_t count = 0;
    for (auto element : expect_json(value.get_array(), "an array", "")) {
      read(expect_json(std::move(element), "a value", ""), depth + 1);
      ++count;
    }
    std::int64_t& dim = dims_[depth];
    if (dim != -1 && dim != count) ragged();
    dim = count;
  }

  std::string packed() {
    const std::vector<std::string_view> views(strings_.begin(), strings_.end());
    std::string bytes(packed_size(views), '\0');
    write_packed_strings(views, reinterpret_cast<std::byte*>(bytes.data()));
    return bytes;
  }
  Shape shape(bool scalar) const {
    Shape shape;
    for (std::size_t axis = 0; !scalar && axis < Shape::kMaxRank && dims_[axis] != -1; ++axis) {
      shape.push_back(dims_[axis]);
    }
    return shape;
  }

 private:
  [[noreturn]] static void ragged() { invalid("its arrays differ in length or depth"); }

  void read_string(ondemand::value value) {
    if (expect_json(value.type(), "a value", "") == ondemand::json_type::object) {
      std::optional<std::string> decoded;
      for (auto entry : expect_json(value.get_object(), "an object", "")) {
        ondemand::field field = expect_json(std::move(entry), "a field", "");
        if (decoded || expect_json(field.unescaped_key(), "a key", "") != "b64") {
          invalid("a string is given as text or as {\"b64\": base64}");
        }
        decoded = decode_base64(expect_json(field.value().get_string(), "a string", "b64"));
        if (!decoded) invalid("this is not base64", "b64");
      }
      if (!decoded) invalid("a string is given as text or as {\"b64\": base64}");
      strings_.push_back(*std::move(decoded));
      return;
    }
    strings_.emplace_back(expect_json(value.get_string(), "a string", ""));
  }

  std::vector<std::string> strings_;
  std::optional<std::size_t> rank_;
  std::int64_t dims_[Shape::kMaxRank] = {-1, -1, -1, -1, -1, -1, -1, -1};
};

void add_tensor(std::string_view name, std::string_view json, const TensorInfo* info,
                InferRequest& request) {
  RequestInput& input = request.inputs.emplace_back();
  input.name = name;
  input.datatype = info == nullptr ? DType::kFloat32 : info->dtype;
  // JSON has numbers of the half types as well as others.
  if (is_floating(input.datatype) && input.datatype != DType::kFloat64) {
    input.datatype = DType::kFloat32;
  }
  const bool scalar = !json.starts_with('[');
  if (scalar) json = keep(request, fmt::format("[{}]", json));
  try {
    if (input.datatype == DType::kString) {
      thread_local ondemand::parser parser;
      ondemand::document document = parse(parser, json);
      StringsReader reader;
      reader.read(expect_json(document.get_value(), "a value", ""), 0);
      const std::string& packed = request.unescaped.emplace_back(reader.packed());
      input.binary = std::as_bytes(std::span(packed));
      input.shape = reader.shape(scalar);
      return;
    }
    input.json = json;
    if (!scalar) input.shape = shape_of(json, info == nullptr ? nullptr : &info->shape);
  } catch (const Error& error) {
    throw error.within(fmt::format("input {}", name));
  }
}

}  // namespace

PredictJson read_predict_json(std::span<const char> body) {
  thread_local ondemand::parser parser;
  ondemand::document document = parse(parser, {body.data(), body.size()});
  PredictJson json;
  bool given = false;
  for (auto entry : expect_json(document.get_object(), "a JSON object", "the body")) {
    ondemand::field field = expect_json(std::move(entry), "a field", "the body");
    const std::string_view key = expect_json(field.unescaped_key(), "a key", "the body");
    if (key == "signature_name") {
      json.signature = expect_json(field.value().get_string(), "a string", "signature_name");
    } else if (key == "instances" || key == "inputs") {
      if (std::exchange(given, true)) {
        invalid("Not formatted correctly expecting only one of \"inputs\" or \"instances\" keys");
      }
      json.row = key == "instances";
      json.value = raw_json(field.value(), json.row ? "instances" : "inputs");
    }
  }
  if (!given) invalid("Missing 'inputs' or 'instances' key");
  return json;
}

void read_predict_tensors(const PredictJson& json, const serving::Signature& signature,
                          InferRequest& request) {
  request.clear();
  std::vector<Named> tensors = read_named(json);
  const bool free = signature.name == serving::kDefaultSignature;
  if (tensors.empty()) {
    if (signature.inputs.size() != 1) {
      invalid(fmt::format("signature {} has {} inputs, so they must be named: {}", signature.name,
                          signature.inputs.size(),
                          json.row ? "give an object for each instance" : "give an object"),
              json.row ? "instances" : "inputs");
    }
    return add_tensor(signature.inputs[0].name, json.value, &signature.inputs[0], request);
  }
  // In the signature's order, whatever the body's: calls of one form share a plan.
  std::vector<const Named*> others;
  for (const Named& tensor : tensors) {
    if (std::ranges::find(signature.inputs, tensor.name, &TensorInfo::name) ==
        signature.inputs.end()) {
      if (!free) {
        invalid(fmt::format("signature {} has no input '{}'", signature.name, tensor.name));
      }
      others.push_back(&tensor);
    }
  }
  std::ranges::sort(others, {}, &Named::name);
  const auto add = [&](const Named& tensor, const TensorInfo* info) {
    const std::string_view name = request.unescaped.emplace_back(tensor.name);
    if (!json.row) {
      if (tensor.values.size() != 1) invalid(fmt::format("input {} is given twice", name));
      return add_tensor(name, tensor.values[0], info, request);
    }
    add_tensor(name, keep(request, fmt::format("[{}]", fmt::join(tensor.values, ","))), info,
               request);
  };
  for (const TensorInfo& input : signature.inputs) {
    const auto it = std::ranges::find(tensors, input.name, &Named::name);
    if (it != tensors.end()) {
      add(*it, &input);
    } else if (!free) {
      invalid(fmt::format("signature {} also needs input '{}'", signature.name, input.name));
    }
  }
  for (const Named* tensor : others) add(*tensor, nullptr);
}

namespace {

// An array of strings as TensorFlow Serving writes those of outputs called SOMETHING_bytes.
void append_base64(Buffer& out, const std::byte*& data, std::size_t count) {
  const auto* strings = reinterpret_cast<const std::string_view*>(data);
  out.push_back('[');
  for (std::size_t i = 0; i < count; ++i) {
    out.append(i == 0 ? "{\"b64\":\"" : ",{\"b64\":\"");
    out.append(encode_base64(strings[i]));
    out.append("\"}");
  }
  out.push_back(']');
  data += count * sizeof(std::string_view);
}

// The elements from one on, nested as the dimensions from `axis` on.
// NOLINTNEXTLINE(misc-no-recursion): as deep as tensors have dimensions
void write_nested(Buffer& out, const InferTensors::Output& output, std::size_t axis,
                  const std::byte*& data) {
  const Shape& shape = output.shape;
  const auto take = [&](std::size_t count) {
    if (output.datatype == DType::kString && output.name.ends_with("_bytes")) {
      return append_base64(out, data, count);
    }
    append_json_data(out, output.datatype, data, count);
    data += count * element_size(output.datatype);
  };
  if (axis == shape.rank()) {
    const std::size_t start = out.size();
    take(1);
    // Without the brackets of an array.
    std::memmove(out.data() + start, out.data() + start + 1, out.size() - start - 2);
    out.resize(out.size() - 2);
    return;
  }
  if (axis + 1 == shape.rank()) return take(static_cast<std::size_t>(shape[axis]));
  out.push_back('[');
  for (std::int64_t i = 0; i < shape[axis]; ++i) {
    if (i != 0) out.push_back(',');
    write_nested(out, output, axis + 1, data);
  }
  out.push_back(']');
}

// Outputs in a form that JSON has.
class JsonOutputs {
 public:
  explicit JsonOutputs(std::span<const InferTensors::Output> outputs)
      : outputs_(outputs.begin(), outputs.end()), floats_(outputs.size()) {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      InferTensors::Output& output = outputs_[i];
      if (output.datatype == DType::kFloat16 || output.datatype == DType::kBFloat16) {
        floats_[i].resize(output.count);
        convert(output.datatype, output.data, DType::kFloat32, floats_[i].data(), output.count);
        output.datatype = DType::kFloat32;
        output.data = reinterpret_cast<const std::byte*>(floats_[i].data());
      }
    }
  }
  const std::vector<InferTensors::Output>& get() const noexcept { return outputs_; }

 private:
  std::vector<InferTensors::Output> outputs_;
  std::vector<std::vector<float>> floats_;
};

}  // namespace

void write_predict_json(Buffer& out, std::span<const InferTensors::Output> given, bool row) {
  const JsonOutputs json(given);
  const std::vector<InferTensors::Output>& outputs = json.get();
  if (!row) {
    out.append("{\"outputs\":");
    if (outputs.size() != 1) out.push_back('{');
    for (const InferTensors::Output& output : outputs) {
      if (outputs.size() != 1) {
        if (&output != outputs.data()) out.push_back(',');
        append_string(out, output.name);
        out.push_back(':');
      }
      const std::byte* data = output.data;
      write_nested(out, output, 0, data);
    }
    out.append(outputs.size() != 1 ? "}}" : "}");
    return;
  }
  std::vector<const std::byte*> next;
  for (const InferTensors::Output& output : outputs) {
    if (output.shape.rank() == 0) {
      invalid(fmt::format("Tensor name: {} has no shape information", output.name));
    }
    if (output.shape[0] != outputs[0].shape[0]) {
      invalid(fmt::format("Tensor name: {} has inconsistent batch size: {} expecting: {}",
                          output.name, output.shape[0], outputs[0].shape[0]));
    }
    next.push_back(output.data);
  }
  out.append("{\"predictions\":[");
  for (std::int64_t i = 0; i < outputs[0].shape[0]; ++i) {
    if (i != 0) out.push_back(',');
    if (outputs.size() == 1) {
      write_nested(out, outputs[0], 1, next[0]);
      continue;
    }
    out.push_back('{');
    for (std::size_t j = 0; j < outputs.size(); ++j) {
      if (j != 0) out.push_back(',');
      append_string(out, outputs[j].name);
      out.push_back(':');
      write_nested(out, outputs[j], 1, next[j]);
    }
    out.push_back('}');
  }
  out.append("]}");
}

}  // namespace kerf::protocol
