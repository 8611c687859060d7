#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "protocol/infer_request.h"

namespace kerf::protocol {

// What a parameter of the Open Inference Protocol may be, in JSON or in gRPC.
using ParameterValue = std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view>;

// Each takes a parameter that kerf knows into what it belongs to; others are ignored, as the
// protocol has it. Throws Error(kInvalidArgument) for a value of the wrong type.
void set_parameter(std::string_view key, const ParameterValue& value, InferRequest& request);
void set_parameter(std::string_view key, const ParameterValue& value, RequestInput& input);
void set_parameter(std::string_view key, const ParameterValue& value, RequestOutput& output);

}  // namespace kerf::protocol
