#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string_view>

#include "cli/command.h"
#include "cli/help.h"
#include "kerf/error.h"
#include "kerf/version.h"

namespace kerf::cli {
namespace {

constexpr auto kDescription =
    "kerf serves Keras models, and any part of them: any tensor can be fed, and any fetched.";

constexpr auto kFooter = R"(Addresses name the tensors of a model:
  dense_1          the output of the layer dense_1; an input or output by its own name
  lstm:1           output 1 of a layer with several outputs
  shared:1:0       output 0 of the second call of a shared layer
  encoder/conv2d   a layer of the nested model encoder
  embedding:mask   the mask that travels beside a tensor
`kerf inspect MODEL` lists the addresses of a model.

Exit codes:
  0  done
  1  the model or the request is wrong (a damaged file, an unknown layer or tensor, a cut that
     cannot be computed, a shape that does not fit)
  2  the command line could not be understood
  3  it could not be done here and now (memory, a limit, a file that cannot be written, a port)
  4  a defect of kerf: please report it
Errors go to stderr, as "kerf: WHERE: MESSAGE".)";

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kInvalidFile:
    case ErrorCode::kUnsupported:
      return kRejected;
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
      return kFailed;
    case ErrorCode::kInternal:
      return kDefect;
  }
  return kDefect;
}

int fail(ExitCode code, std::string_view message) {
  fmt::print(stderr, "kerf: {}\n", message);
  return code;
}

int main(int argc, char** argv) {
  CLI::App app(kDescription, "kerf");
  app.footer(kFooter);
  app.set_help_flag("-h,--help", "explain this");
  app.set_version_flag("--version", fmt::format("kerf {}", kVersion), "print the version");
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  Action chosen;
  add_serve(app, chosen);
  add_inspect(app, chosen);
  add_run(app, chosen);
  add_cut(app, chosen);
  add_convert(app, chosen);
  add_bench(app, chosen);
  add_check(app, chosen);
  add_config(app, chosen);
  add_hash_key(app, chosen);
  add_layers(app, chosen);
  add_top(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help or --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    const auto commands = app.get_subcommands();
    fmt::print(stderr, "kerf: {}\nkerf: see `kerf {}--help`\n", error.what(),
               commands.empty() ? "" : commands.front()->get_name() + " ");
    return kUsage;
  }
  try {
    return chosen();
  } catch (const Error& error) {
    return fail(exit_code(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(kFailed, "out of memory");
  } catch (const std::exception& error) {
    return fail(kDefect, fmt::format("a defect of kerf, please report it: {}", error.what()));
  }
}

}  // namespace
}  // namespace kerf::cli

int main(int argc, char** argv) { return kerf::cli::main(argc, argv); }
