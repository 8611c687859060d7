#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kerf::server {

enum class LogFormat : std::uint8_t { kText, kJson };

// Has everything that is logged go to stderr, a line each, from this level ("debug", "info",
// "warning", "error") on: as text, or as JSON objects {"time", "level", "message"}. Called once,
// before other threads start.
void set_up_logging(LogFormat format, const std::string& level);

// What is logged of a request, at the level debug.
struct AccessLine {
  std::string_view method;
  std::string_view target;
  int status = 0;
  std::size_t request_bytes = 0;  // of the bodies
  std::size_t reply_bytes = 0;
  std::chrono::nanoseconds took{0};
  std::string_view trace;  // a W3C traceparent; empty if the client sent none
};
// Whether it would be written: a request pays for its line only then. Any thread.
bool logs_access() noexcept;
void log_access(const AccessLine& line);

}  // namespace kerf::server
