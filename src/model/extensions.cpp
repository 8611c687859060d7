#include "kerf/extensions.h"

#include <fmt/format.h>

#include <string>

#include "kerf/error.h"
#include "layers/user_definitions.h"

namespace kerf {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

}  // namespace

Extensions::Extensions() : impl_(std::make_shared<layers::UserDefinitions>()) {}

void Extensions::alias(std::string_view name, std::string_view meaning) {
  impl_->add_alias(std::string(trimmed(name)), trimmed(meaning));
}

void Extensions::alias(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the alias \"{}\" has no '=' between a name and its meaning", text));
  }
  alias(text.substr(0, equals), text.substr(equals + 1));
}

}  // namespace kerf
