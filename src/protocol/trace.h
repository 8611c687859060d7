#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace kerf::protocol {

// A W3C traceparent (Trace Context, level 1): "00-" trace id "-" span id "-" flags.
using TraceParent = std::array<char, 55>;

// That of this server's own span in the trace that a client's header names: the trace and the flags
// are the client's, the span is new. Nothing for a header that is none, which is to be ignored.
std::optional<TraceParent> continue_trace(std::string_view header) noexcept;

}  // namespace kerf::protocol
