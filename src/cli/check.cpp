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
std::vector<std::string> problems(const std::string& file, std::string& served) {
  std::vector<std::string> found = check_model(file);
  if (!found.empty()) return found;
  try {
    const Model model = load_model(file);
    const Cut whole = model.whole();
    served = describe_ports(whole.feeds()) + " -> " + describe_ports(whole.fetches());
  } catch (const Error& error) {
    found.emplace_back(error.what());
  }
  return found;
}

int check(const std::vector<std::string>& files) {
  int code = kSuccess;
  for (const std::string& file : files) {
    std::string served;
    const std::vector<std::string> reasons = problems(file, served);
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
  CLI::App& command = *app.add_subcommand("check", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", *files, "a model file or folder of any kind")->required();
  command.callback([=, &chosen] { chosen = [files] { return check(*files); }; });
}

}  // namespace kerf::cli
