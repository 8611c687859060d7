#include "layers/snake_case.h"

namespace kerf::layers {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_word(char c) { return is_upper(c) || is_lower(c) || (c >= '0' && c <= '9') || c == '_'; }

// (.)([A-Z][a-z]+) -> \1_\2
std::string before_words(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    result += text[i++];
    if (i + 1 >= text.size() || !is_upper(text[i]) || !is_lower(text[i + 1])) continue;
    result += '_';
    result += text[i++];
    while (i < text.size() && is_lower(text[i])) result += text[i++];
  }
  return result;
}

// ([a-z])([A-Z]) -> \1_\2
std::string between_cases(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (i > 0 && is_lower(text[i - 1]) && is_upper(text[i])) result += '_';
    result += text[i];
  }
  return result;
}

}  // namespace

std::string snake_case(std::string_view class_name) {
  std::string text;
  for (const char c : class_name) {
    if (is_word(c)) text += c;
  }
  text = between_cases(before_words(text));
  for (char& c : text) {
    if (is_upper(c)) c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace kerf::layers
