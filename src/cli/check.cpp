#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/load.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Say whether kerf can serve these models, and if not, every reason why. All unknown layers
are named at once, and missing weights, and options that are not supported. Nothing in a
file is executed. The exit code is 0 if all of the models can be served, else 1.)";

constexpr auto kExamples = R"(Examples:
  kerf check recommender.keras
  kerf check models/*.keras && kerf serve models/)";

// What is found by reading the file, and only if that is nothing, what compiling it finds.
std::vector<std::string> problems(const std::string& file, const config::ExtensionList& extensions,
                                  std::string& served) {
  std::vector<std::string> found =
      check_model(file, {.progress = {}, .extensions = extensions.read(), .weights = {}});
  if (!found.empty()) return found;
  try {
    const Model model = load_model(file, extensions);
    const Cut whole = model.whole();
    served = describe_ports(whole.feeds()) + " -> " + describe_ports(whole.fetches());
  } catch (const Error& error) {
    found.emplace_back(error.what());
  }
  return found;
}

int check(const std::vector<std::string>& files, const config::ExtensionList& extensions) {
  int code = kSuccess;
  for (const std::string& file : files) {
    std::string served;
    const std::vector<std::string> reasons = problems(file, extensions, served);
    if (reasons.empty()) {
      fmt::print("{}: can be served: {}\n", file, served);
      continue;
    }
    code = kRejected;
    fmt::print("{}: cannot be served, for {} reason{}:\n", file, reasons.size(),
               reasons.size() == 1 ? "" : "s");
    for (const std::string& reason : reasons) {
      // Reasons begin with where they are: with the file, which stands above them all.
      const std::size_t start = reason.starts_with(file) ? reason.find(' ', file.size()) + 1 : 0;
      fmt::print("  {}\n", reason.substr(start));
    }
  }
  return code;
}

}  // namespace

void add_check(CLI::App& app, Action& chosen) {
  const auto files = std::make_shared<std::vector<std::string>>();
  const auto extensions = std::make_shared<config::ExtensionList>();
  CLI::App& command = *app.add_subcommand("check", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", *files, "a model file or folder of any kind")->required();
  add_extension_options(command, *extensions);
  command.callback([=, &chosen] { chosen = [=] { return check(*files, *extensions); }; });
}

}  // namespace kerf::cli
