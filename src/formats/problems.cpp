#include "formats/problems.h"

#include <fmt/format.h>

#include <algorithm>

namespace kerf::formats {

void Problems::add(const Error& error) {
  errors_.push_back(error.where().starts_with(where_) ? error : error.within(where_));
}

Error Problems::all() const {
  if (errors_.size() == 1) return errors_.front();
  constexpr std::size_t kListed = 50;
  std::string list;
  for (std::size_t i = 0; i < std::min(errors_.size(), kListed); ++i) {
    std::string_view text = errors_[i].what();
    text.remove_prefix(std::min(where_.size(), text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(":, "), text.size()));
    list += fmt::format("{}{}", i == 0 ? "" : "; ", text);
  }
  if (errors_.size() > kListed) list += fmt::format("; and {} more", errors_.size() - kListed);
  return {errors_.front().code(), fmt::format("{} problems: {}", errors_.size(), list), where_};
}

}  // namespace kerf::formats
