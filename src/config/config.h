#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/extension_list.h"
#include "server/server.h"
#include "serving/access.h"
#include "serving/model_spec.h"
#include "serving/repository.h"

namespace kerf::config {

struct Auth {
  bool open_health = true;
  bool open_metrics = false;
  std::vector<serving::AccessKey> keys;
};

// Stand for a port: the one after HTTP's (any free one, if HTTP's is that; none beside a Unix
// socket or one that systemd has passed, or where keys are asked for without TLS), or none.
inline constexpr std::int64_t kNextPort = -1;
inline constexpr std::int64_t kNoPort = -2;

// Where models are looked for, and what becomes of them while the server runs.
struct Models {
  std::vector<std::string> paths;  // as on the command line: PATH or NAME=PATH
  serving::ModelControl control = serving::ModelControl::kNone;
  std::chrono::milliseconds poll_interval{1000};
  unsigned load_threads = 0;
  bool start_without_all = false;
  Precision precision = Precision::kFloat32;  // of models that say nothing of it
  std::vector<serving::ModelSpec> named;      // [models.NAME]
};

// All that `kerf serve` can be told. A plain value.
struct Config {
  server::ServerOptions server;  // but for its grpc_port
  std::int64_t grpc_port = kNextPort;
  Models models;
  Auth auth;
  ExtensionList extensions;
  std::string log_level = "info";
  std::string log_format = "text";

  // Every place where models are, of both kinds.
  std::vector<serving::ModelSpec> specs() const;
  // The server's options, complete.
  server::ServerOptions server_options() const;
};

// A value from the command line: the key it stands for ("server.port"), and the value as TOML.
struct Override {
  std::string key;
  std::string value;
  std::string option;  // where it comes from, for messages: "--port"
};

// Throws Error(kInvalidArgument) for keys that do not exist and values that they cannot have.
void check_overrides(std::span<const Override> overrides);

// What a configuration file says, and what the command line puts in its place. Throws one
// Error(kInvalidArgument) with every problem on a line of its own, as "FILE:LINE:COLUMN: KEY: what
// is wrong"; a key that does not exist comes with the nearest one that does.
Config read_config(const std::optional<std::filesystem::path>& file,
                   std::span<const Override> overrides = {});

// The same from text; `name` is what stands in messages.
Config parse_config(std::string_view text, const std::string& name,
                    std::span<const Override> overrides = {});

// The configuration as a file that reads as the same again, every key with its value.
std::string print_config(const Config& config);

// docs/configuration.md: every key, what it means, and its default.
std::string reference();

}  // namespace kerf::config
