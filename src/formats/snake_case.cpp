#include "formats/snake_case.h"

#include <cctype>
#include <regex>

namespace kerf::formats {

std::string snake_case(std::string_view class_name) {
  static const std::regex kNonWord("\\W+");
  static const std::regex kWord("(.)([A-Z][a-z]+)");
  static const std::regex kCamel("([a-z])([A-Z])");
  std::string text = std::regex_replace(std::string(class_name), kNonWord, "");
  text = std::regex_replace(text, kWord, "$1_$2");
  text = std::regex_replace(text, kCamel, "$1_$2");
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace kerf::formats
