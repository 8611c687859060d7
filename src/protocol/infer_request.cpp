#include "protocol/infer_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "kerf/error.h"
#include "protocol/json_reading.h"
#include "protocol/parameters.h"
#include "tensor/packed_strings.h"

namespace kerf::protocol {
namespace {

namespace ondemand = simdjson::ondemand;
static_assert(kBodyPadding >= simdjson::SIMDJSON_PADDING);

[[noreturn]] void invalid(std::string message, std::string_view where = {}) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message), std::string(where));
}

class Reader {
 public:
  Reader(std::span<const char> body, std::size_t json_size, InferRequest& request)
      : json_(body.data(), json_size),
        blobs_(std::as_bytes(body.subspan(json_size))),
        request_(request) {}

  void run() {
    // One per thread, as it grows with the largest message; a huge one does not stay.
    thread_local ondemand::parser parser;
    constexpr std::size_t kKeptCapacity = std::size_t{1} << 20;
    if (parser.capacity() > kKeptCapacity && json_.size() <= kKeptCapacity) {
      parser = ondemand::parser();
    }
    ondemand::document document;
    const simdjson::error_code code =
        parser.iterate(json_.data(), json_.size(), json_.size() + kBodyPadding).get(document);
    if (code != simdjson::SUCCESS) invalid_json(code);
    bool inputs = false;
    for (auto entry : expect_json(document.get_object(), "an object", "the body")) {
      ondemand::field field = expect_json(std::move(entry), "a field", "the body");
      const std::string_view key = key_of(field, "the body");
      if (is_null(field.value())) continue;
      if (key == "inputs") {
        if (std::exchange(inputs, true)) invalid("stands there twice", "inputs");
        read_inputs(field.value());
      } else if (key == "outputs") {
        if (!request_.outputs.empty()) invalid("stands there twice", "outputs");
        read_outputs(field.value());
      } else if (key == "id") {
        request_.id = text(field.value(), "id");
      } else if (key == "parameters") {
        read_parameters(field.value(), "parameters", request_);
      }
    }
    // Nothing is left exactly if there is no location to name.
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
      invalid("the body is not JSON: text follows the object");
    }
    if (!inputs) invalid("the field is missing", "inputs");
    if (!blobs_.empty()) {
      invalid(fmt::format("unexpected additional input data: {} bytes follow the last binary input",
                          blobs_.size()));
    }
  }

 private:
  // Some clients write null for what they leave out.
  static bool is_null(ondemand::value value) { return value.raw_json_token().starts_with("null"); }

  // The text between the quotes at the start of `token`, if nothing in it is escaped.
  static std::optional<std::string_view> plain(std::string_view token) {
    if (!token.starts_with('"')) return std::nullopt;
    for (std::size_t end = 1; end < token.size() && token[end] != '\\'; ++end) {
      if (token[end] == '"') return token.substr(1, end - 1);
    }
    return std::nullopt;
  }

  // A string of the message: a view of it, or of a copy where it has escapes.
  std::string_view text(ondemand::value value, std::string_view where) {
    if (const auto view = plain(value.raw_json_token())) return *view;
    return request_.unescaped.emplace_back(expect_json(value.get_string(), "a string", where));
  }

  // The key of a field; valid until the next string is unescaped.
  std::string_view key_of(ondemand::field& field, std::string_view where) const {
    const char* quote = field.key().raw() - 1;
    const auto rest = static_cast<std::size_t>(json_.data() + json_.size() - quote);
    if (const auto view = plain({quote, rest})) return *view;
    return expect_json(field.unescaped_key(), "a key", where);
  }

  void read_inputs(ondemand::value value) {
    for (auto entry : expect_json(value.get_array(), "an array", "inputs")) {
      read_input(expect_json(entry, "an object", "inputs"));
    }
    if (request_.inputs.empty()) invalid("must name at least one tensor", "inputs");
  }

  void read_input(ondemand::value value) {
    RequestInput& input = request_.inputs.emplace_back();
    bool name = false;
    bool shape = false;
    bool datatype = false;
    for (auto entry : expect_json(value.get_object(), "an object", "inputs[]")) {
      ondemand::field field = expect_json(std::move(entry), "a field", "inputs[]");
      const std::string_view key = key_of(field, "inputs[]");
      if (is_null(field.value())) continue;
      if (key == "name") {
        input.name = text(field.value(), "inputs[].name");
        name = true;
      } else if (key == "shape") {
        read_shape(field.value(), input);
        shape = true;
      } else if (key == "datatype") {
        const std::string_view given = text(field.value(), "inputs[].datatype");
        const std::optional<DType> dtype = dtype_from_protocol_name(given);
        if (!dtype) {
          invalid(fmt::format("'{}' is not a datatype of the protocol (BOOL, UINT8 to UINT64, INT8 "
                              "to INT64, FP16, BF16, FP32, FP64, BYTES)",
                              given),
                  "inputs[].datatype");
        }
        input.datatype = *dtype;
        datatype = true;
      } else if (key == "data") {
        input.json = expect_json(
            expect_json(field.value().get_array(), "an array", "inputs[].data").raw_json(),
            "an array", "inputs[].data");
        // simdjson counts the space behind it in.
        input.json = input.json.substr(0, input.json.find_last_not_of(" \n\r\t") + 1);
      } else if (key == "parameters") {
        read_parameters(field.value(), "inputs[].parameters", input);
      }
    }
    if (!name) invalid("the field is missing", "inputs[].name");
    const auto missing = [&](std::string_view field) {
      invalid("the field is missing", fmt::format("input {}, {}", input.name, field));
    };
    if (!shape) missing("shape");
    if (!datatype) missing("datatype");
    const auto given_twice = [&](std::string_view a, std::string_view b) {
      invalid(fmt::format("both {} and {} are given", a, b), fmt::format("input {}", input.name));
    };
    if (input.shared) {
      if (!input.json.empty()) given_twice("data", "shared_memory_region");
      if (input.binary_size) given_twice("binary_data_size", "shared_memory_region");
    } else if (input.binary_size) {
      if (!input.json.empty()) given_twice("data", "binary_data_size");
      if (*input.binary_size > blobs_.size()) {
        invalid(fmt::format("binary_data_size is {}, but {} bytes of the body are left",
                            *input.binary_size, blobs_.size()),
                fmt::format("input {}", input.name));
      }
      input.binary = blobs_.first(*input.binary_size);
      blobs_ = blobs_.subspan(*input.binary_size);
    } else if (input.json.empty()) {
      if (!is_empty(input.shape)) missing("data");
    }
  }

  static bool is_empty(const Shape& shape) { return std::ranges::find(shape, 0) != shape.end(); }

  static void read_shape(ondemand::value value, RequestInput& input) {
    input.shape = Shape();
    for (auto entry : expect_json(value.get_array(), "an array", "inputs[].shape")) {
      ondemand::value element = expect_json(entry, "an integer", "inputs[].shape");
      const std::int64_t dim =
          expect_json(element.get_int64(), "an array of integers from 0", "inputs[].shape");
      if (dim < 0) invalid(fmt::format("a dimension is {}", dim), "inputs[].shape");
      if (input.shape.rank() == Shape::kMaxRank) {
        invalid(fmt::format("a tensor has at most {} dimensions", Shape::kMaxRank),
                "inputs[].shape");
      }
      input.shape.push_back(dim);
    }
  }

  // What belongs to the request, an input or an output.
  template <typename Owner>
  void read_parameters(ondemand::value value, std::string_view where, Owner& owner) {
    for (auto entry : expect_json(value.get_object(), "an object", where)) {
      ondemand::field field = expect_json(std::move(entry), "a field", where);
      const std::string_view key = key_of(field, where);
      if (const auto parameter = parameter_value(field.value(), where)) {
        try {
          set_parameter(key, *parameter, owner);
        } catch (const Error& error) {
          throw error.within(where);
        }
      }
    }
  }

  // A scalar; nothing for null, and for arrays and objects, which no parameter known here is.
  std::optional<ParameterValue> parameter_value(ondemand::value value, std::string_view where) {
    switch (expect_json(value.type(), "a value", where)) {
      case ondemand::json_type::boolean:
        return expect_json(value.get_bool(), "true or false", where);
      case ondemand::json_type::string:
        return text(value, where);
      case ondemand::json_type::number: {
        const ondemand::number number = expect_json(value.get_number(), "a number", where);
        if (number.is_int64()) return number.get_int64();
        if (number.is_uint64()) return number.get_uint64();
        return number.get_double();
      }
      default:
        return std::nullopt;
    }
  }

  void read_outputs(ondemand::value value) {
    for (auto entry : expect_json(value.get_array(), "an array", "outputs")) {
      ondemand::value element = expect_json(entry, "an object", "outputs");
      RequestOutput& output = request_.outputs.emplace_back();
      bool name = false;
      for (auto part : expect_json(element.get_object(), "an object", "outputs[]")) {
        ondemand::field field = expect_json(std::move(part), "a field", "outputs[]");
        const std::string_view key = key_of(field, "outputs[]");
        if (is_null(field.value())) continue;
        if (key == "name") {
          output.name = text(field.value(), "outputs[].name");
          name = true;
        } else if (key == "parameters") {
          read_parameters(field.value(), "outputs[].parameters", output);
        }
      }
      if (!name) invalid("the field is missing", "outputs[].name");
    }
  }

  std::string_view json_;
  std::span<const std::byte> blobs_;  // not yet taken by an input
  InferRequest& request_;
};

}  // namespace

void InferRequest::clear() {
  model = {};
  version = {};
  id.reset();
  inputs.clear();
  outputs.clear();
  binary_output = false;
  timeout = {};
  priority = 0;
  unescaped.clear();
  raw.clear();
}

void read_infer_request(std::span<const char> body, std::size_t json_size, InferRequest& request) {
  request.clear();
  Reader(body, json_size, request).run();
}

void read_raw_request(std::span<const char> body, std::span<const TensorInfo> inputs,
                      InferRequest& request) {
  request.clear();
  if (inputs.size() != 1) {
    invalid(fmt::format("a raw binary request is for models with one input, but this one has {}",
                        inputs.size()),
            "Inference-Header-Content-Length: 0");
  }
  const TensorInfo& input = inputs.front();
  Shape shape = input.shape;
  if (input.dtype == DType::kString) {
    for (std::int64_t& dim : std::span(&shape[0], shape.rank())) dim = std::abs(dim);
    if (shape.element_count() != 1) {
      invalid(fmt::format("a raw binary request gives one string, but the input {} has shape {}",
                          input.name, input.shape.to_string()),
              "Inference-Header-Content-Length: 0");
    }
    const std::string_view text(body.data(), body.size());
    std::string& packed = request.unescaped.emplace_back(packed_size({&text, 1}), '\0');
    write_packed_strings({&text, 1}, reinterpret_cast<std::byte*>(packed.data()));
    request.inputs.push_back({.name = input.name,
                              .datatype = input.dtype,
                              .shape = shape,
                              .json = {},
                              .binary = std::as_bytes(std::span(packed))});
    request.binary_output = true;
    return;
  }
  std::size_t unknown = 0;
  for (const std::int64_t dim : shape) unknown += dim == Shape::kUnknown ? 1 : 0;
  if (unknown > 1 && shape[0] == Shape::kUnknown) {
    shape[0] = 1;
    --unknown;
  }
  if (unknown > 1) {
    invalid(fmt::format("the input {} of shape {} has several unknown dimensions; a raw binary "
                        "request cannot give them",
                        input.name, input.shape.to_string()),
            "Inference-Header-Content-Length: 0");
  }
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != Shape::kUnknown) continue;
    shape[axis] = 1;
    const std::size_t bytes =
        static_cast<std::size_t>(shape.element_count()) * dtype_size(input.dtype);
    if (bytes == 0 || body.size() % bytes != 0 || body.empty()) {
      invalid(fmt::format("{} bytes are no multiple of the {} that one entry along axis {} of the "
                          "input {} of shape {} takes",
                          body.size(), bytes, axis, input.name, input.shape.to_string()),
              "Inference-Header-Content-Length: 0");
    }
    shape[axis] = static_cast<std::int64_t>(body.size() / bytes);
  }
  request.inputs.push_back({.name = input.name,
                            .datatype = input.dtype,
                            .shape = shape,
                            .json = {},
                            .binary = std::as_bytes(body)});
  request.binary_output = true;
}

}  // namespace kerf::protocol
