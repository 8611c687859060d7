#include "protocol/infer_tensors.h"

#include <fmt/format.h>

#include <cstdint>
#include <optional>

#include "kerf/error.h"
#include "protocol/classification.h"
#include "protocol/contents.h"
#include "protocol/tensor_data.h"

namespace kerf::protocol {
namespace {

std::string where_input(std::string_view name) { return fmt::format("input {}", name); }

// What can be told from the declaration alone; so nothing is compiled or allocated for a lie.
void check_size(const RequestInput& input, const serving::Limits& limits) {
  const auto count = static_cast<std::size_t>(input.shape.element_count());
  if (!input.json.empty()) {
    // "[1,2]": an element takes two characters at least.
    if (count > input.json.size() / 2) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the data is too short for the {} elements of shape {}", count,
                              input.shape.to_string()));
    }
  } else if (input.contents) {
    // Most take a byte at least.
    if (count > input.contents->size()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the contents have fewer elements than the {} of shape {}", count,
                              input.shape.to_string()));
    }
  } else {
    const std::size_t given = input.shared ? input.shared->byte_size : input.binary.size();
    if (input.datatype == DType::kString) {
      if (given > limits.request_bytes) {
        throw Error(ErrorCode::kResourceExhausted,
                    fmt::format("{} bytes of strings are more than this server's limit of {}",
                                given, limits.request_bytes));
      }
      // Each has four bytes of length.
      if (count > given / 4) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("{} bytes are too few for the {} strings of shape {}", given, count,
                                input.shape.to_string()));
      }
    } else if (given != count * dtype_size(input.datatype)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("shape {} of {} needs {} bytes, but {} are given",
                              input.shape.to_string(), dtype_protocol_name(input.datatype),
                              count * dtype_size(input.datatype), given));
    }
  }
}

bool can_be_used_in_place(std::span<const std::byte> bytes, DType declared, DType wanted) {
  constexpr std::size_t kWorthIt = 4096;
  return declared == wanted && (is_floating(wanted) || is_integer(wanted)) &&
         bytes.size() >= kWorthIt &&
         reinterpret_cast<std::uintptr_t>(bytes.data()) % dtype_size(wanted) == 0;
}

serving::Priority priority_of(std::uint64_t given) {
  if (given == 1) return serving::Priority::kHigh;
  return given <= 2 ? serving::Priority::kNormal : serving::Priority::kLow;
}

}  // namespace

void InferTensors::declare(const InferRequest& request, serving::Call& call) {
  if (request.timeout.count() != 0) {
    call.deadline = std::min(call.deadline, serving::Clock::now() + request.timeout);
  }
  call.priority = priority_of(request.priority);
  for (const RequestInput& input : request.inputs) {
    call.feed(input.name, input.shape);
    try {
      check_size(input, call.model()->limits());
    } catch (const Error& error) {
      throw error.within(where_input(input.name));
    }
  }
  for (const RequestOutput& output : request.outputs) call.fetch(output.name);
}

void InferTensors::read_input(const RequestInput& input, const TensorInfo& feed, std::size_t index,
                              serving::Call& call) {
  check_datatype(input.datatype, feed.dtype);
  std::byte* const memory = call.feed_memory(index);
  const auto count = static_cast<std::size_t>(input.shape.element_count());
  if (!input.json.empty()) {
    return read_json_data(input.json, input.datatype, feed.dtype, input.shape, memory, unescaped_);
  }
  if (input.contents) {
    return read_contents(*input.contents, input.datatype, feed.dtype, count, memory);
  }
  std::span<const std::byte> bytes = input.binary;
  if (input.shared) {
    Buffer& copy = copies_.emplace_back();
    shared_.read(*input.shared, copy);
    bytes = std::as_bytes(std::span(copy.data(), copy.size()));
  }
  if (can_be_used_in_place(bytes, input.datatype, feed.dtype) &&
      bytes.size() == count * dtype_size(feed.dtype)) {
    return call.set_feed(index, bytes.data());
  }
  read_binary_data(bytes, input.datatype, feed.dtype, count, memory);
}

void InferTensors::read(const InferRequest& request, serving::Call& call) {
  std::size_t text = 0;
  std::size_t shared = 0;
  for (const RequestInput& input : request.inputs) {
    if (input.datatype == DType::kString) text += input.json.size();
    if (input.shared) ++shared;
  }
  unescaped_.clear();
  unescaped_.reserve(text);
  copies_.clear();
  copies_.reserve(shared);
  const std::vector<TensorInfo>& feeds = call.feeds();
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    try {
      read_input(request.inputs[i], feeds[i], i, call);
    } catch (const Error& error) {
      throw error.within(where_input(request.inputs[i].name));
    }
  }
}

void InferTensors::put_into_shared_memory(const Output& output) const {
  Buffer bytes;
  append_binary_data(bytes, output.datatype, output.data, output.count);
  shared_.write(*output.shared, bytes.view());
}

const std::vector<InferTensors::Output>& InferTensors::outputs(const InferRequest& request,
                                                               const serving::Call& call) {
  outputs_.clear();
  labels_.clear();
  const std::vector<TensorInfo>& fetches = call.fetches();
  std::vector<std::size_t> label_starts(fetches.size());
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    const TensorInfo& fetch = fetches[i];
    const RequestOutput* wanted = request.outputs.empty() ? nullptr : &request.outputs[i];
    Output& output = outputs_.emplace_back();
    output.name = fetch.name;
    output.datatype = fetch.dtype;
    output.shape = fetch.shape;
    output.data = call.fetched(i);
    if (wanted == nullptr) continue;
    if (wanted->shared) output.shared = &*wanted->shared;
    if (wanted->classes == 0) continue;
    try {
      if (wanted->shared) {
        throw Error(ErrorCode::kInvalidArgument, "classification cannot be put into shared memory");
      }
      label_starts[i] = labels_.size();
      output.shape = classify(fetch, output.data, wanted->classes, labels_);
      output.datatype = DType::kString;
    } catch (const Error& error) {
      throw error.within(fmt::format("output {}", fetch.name));
    }
  }
  label_views_.assign(labels_.begin(), labels_.end());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Output& output = outputs_[i];
    if (!request.outputs.empty() && request.outputs[i].classes != 0) {
      output.data = reinterpret_cast<const std::byte*>(label_views_.data() + label_starts[i]);
    }
    output.count = static_cast<std::size_t>(output.shape.element_count());
    output.bytes = binary_size(output.datatype, output.data, output.count);
    // The characters of strings come on top of what the shapes say, which was checked.
    if (output.datatype == DType::kString) bytes += output.bytes;
  }
  if (const std::size_t limit = call.model()->limits().reply_bytes; bytes > limit) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("the strings of the reply take {} bytes, more than this server's limit "
                            "of {}: ask for fewer tensors, or send smaller batches",
                            bytes, limit));
  }
  for (const Output& output : outputs_) {
    if (output.shared == nullptr) continue;
    try {
      put_into_shared_memory(output);
    } catch (const Error& error) {
      throw error.within(fmt::format("output {}", output.name));
    }
  }
  return outputs_;
}

}  // namespace kerf::protocol
