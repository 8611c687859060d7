#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace kerf::cli {

// The exit codes of `kerf`, promised to scripts (see `kerf --help`).
enum ExitCode {
  kSuccess = 0,
  kRejected = 1,  // the model or the request is wrong: another model or other arguments would do
  kUsage = 2,     // the command line could not be understood
  kFailed = 3,    // right, but it could not be done here and now (memory, a limit, a file, a port)
  kDefect = 4,    // a defect of kerf
};

// What the command line asks for; returns the exit code. May throw kerf::Error.
using Action = std::function<int()>;

// Each adds one command with its options and help to `app`. When the command line names it, what
// to do is left in `chosen`, for main() to run once all of the line is understood.
void add_serve(CLI::App& app, Action& chosen);
void add_inspect(CLI::App& app, Action& chosen);
void add_run(CLI::App& app, Action& chosen);
void add_cut(CLI::App& app, Action& chosen);
void add_convert(CLI::App& app, Action& chosen);
void add_bench(CLI::App& app, Action& chosen);
void add_check(CLI::App& app, Action& chosen);
void add_config(CLI::App& app, Action& chosen);
void add_hash_key(CLI::App& app, Action& chosen);
void add_layers(CLI::App& app, Action& chosen);
void add_top(CLI::App& app, Action& chosen);

}  // namespace kerf::cli
