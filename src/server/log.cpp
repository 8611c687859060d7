#include "server/log.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "protocol/buffer.h"
#include "protocol/json_text.h"

namespace kerf::server {
namespace {

LogFormat format_in_use = LogFormat::kText;

std::string quoted(std::string_view text) {
  protocol::Buffer buffer;
  protocol::append_string(buffer, text);
  return std::string(buffer.view());
}

// Beside the text of a message, which it quotes, one that is an object already is put in as fields.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
              spdlog::memory_buf_t& out) override {
    const std::string_view text(message.payload.data(), message.payload.size());
    const std::string field = text.starts_with('{') ? std::string(text.substr(1, text.size() - 2))
                                                    : "\"message\":" + quoted(text);
    out.append(field.data(), field.data() + field.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

}  // namespace

void set_up_logging(LogFormat format, const std::string& level) {
  format_in_use = format;
  spdlog::logger& logger = *spdlog::default_logger();
  logger.set_level(spdlog::level::from_str(level));
  if (format == LogFormat::kText) {
    logger.sinks() = {std::make_shared<spdlog::sinks::stderr_color_sink_mt>()};
    return;
  }
  logger.sinks() = {std::make_shared<spdlog::sinks::stderr_sink_mt>()};
  auto json = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  json->add_flag<JsonMessage>('*').set_pattern(
      R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%*})");
  logger.set_formatter(std::move(json));
}

bool logs_access() noexcept { return spdlog::should_log(spdlog::level::debug); }

void log_access(const AccessLine& line) {
  const double milliseconds = std::chrono::duration<double, std::milli>(line.took).count();
  if (format_in_use == LogFormat::kJson) {
    spdlog::debug(
        R"({{"message":"request","method":{},"target":{},"status":{},"request_bytes":{},"reply_bytes":{},"milliseconds":{:.3f}{}}})",
        quoted(line.method), quoted(line.target), line.status, line.request_bytes, line.reply_bytes,
        milliseconds,
        line.trace.empty() ? std::string()
                           : fmt::format(",\"traceparent\":{}", quoted(line.trace)));
    return;
  }
  spdlog::debug("{} {} {}: {} bytes in, {} out, {:.3f} ms{}{}", line.method, quoted(line.target),
                line.status, line.request_bytes, line.reply_bytes, milliseconds,
                line.trace.empty() ? "" : ", trace ", line.trace);
}

}  // namespace kerf::server
