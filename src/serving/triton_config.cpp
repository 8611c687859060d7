#include "serving/triton_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <utility>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

constexpr int kMostDepth = 100;

// One value of a field: a scalar as it is written, strings without their quotes, or a message.
struct Field;
struct Value {
  std::string scalar;
  std::vector<Field> message;
  bool is_message = false;
};
struct Field {
  std::string name;
  Value value;
};

// Protobuf's text format, as far as files in the wild use it.
class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}

  std::vector<Field> read() {
    std::vector<Field> fields = message('\0', 0);
    if (at_ != text_.size()) fail("there is a bracket too many");
    return fields;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::ranges::count(before, '\n');
    const std::size_t start = before.rfind('\n');
    const std::size_t column = start == std::string_view::npos ? at_ + 1 : at_ - start;
    throw Error(ErrorCode::kInvalidFile, std::string(what), fmt::format("{}:{}", line, column));
  }

  void skip_space() {
    while (at_ < text_.size()) {
      if (text_[at_] == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
        ++at_;
      } else {
        return;
      }
    }
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  std::string word() {
    skip_space();
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
            std::string_view("_.+-").find(text_[at_]) != std::string_view::npos)) {
      ++at_;
    }
    if (at_ == start) fail("a name or a value is missing here");
    return std::string(text_.substr(start, at_ - start));
  }

  std::string quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      out.push_back(text_[at_++]);
    }
    if (at_ == text_.size() || text_[at_] != quote) fail("a string does not end");
    ++at_;
    return out;
  }

  void value(const std::string& name, int depth, std::vector<Field>& out) {
    const char next = peek();
    if (next == '{' || next == '<') {
      ++at_;
      out.push_back({name,
                     {.scalar = {},
                      .message = message(next == '{' ? '}' : '>', depth + 1),
                      .is_message = true}});
    } else if (next == '"' || next == '\'') {
      std::string text;
      while (peek() == '"' || peek() == '\'') text += quoted();
      out.push_back({name, {.scalar = std::move(text), .message = {}, .is_message = false}});
    } else {
      out.push_back({name, {.scalar = word(), .message = {}, .is_message = false}});
    }
  }

  std::vector<Field> message(char end, int depth) {
    if (depth > kMostDepth) fail("messages nest too deep");
    std::vector<Field> fields;
    for (;;) {
      const char next = peek();
      if (at_ == text_.size()) {
        if (end != '\0') fail(fmt::format("a {} is missing", end));
        return fields;
      }
      if (next == end) {
        ++at_;
        return fields;
      }
      if (next == '}' || next == '>' || next == ']') {
        if (end == '\0') return fields;
        fail(fmt::format("this closes nothing; a {} is missing", end));
      }
      const std::string name = word();
      const bool colon = take(':');
      if (take('[')) {
        if (!take(']')) {
          do {
            value(name, depth, fields);
          } while (take(','));
          if (!take(']')) fail("a ] is missing");
        }
      } else {
        if (!colon && peek() != '{' && peek() != '<') fail("a : is missing");
        value(name, depth, fields);
      }
      if (!take(',')) take(';');
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::int64_t whole_number(const Field& field) {
  const std::string& text = field.value.scalar;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) {
    throw Error(ErrorCode::kInvalidFile, fmt::format("'{}' is not a whole number", text),
                field.name);
  }
  return number;
}

VersionPolicy read_policy(const Field& field) {
  VersionPolicy policy;
  for (const Field& choice : field.value.message) {
    if (choice.name == "all") {
      policy.kind = VersionPolicy::Kind::kAll;
    } else if (choice.name == "latest") {
      policy.kind = VersionPolicy::Kind::kLatest;
      for (const Field& inner : choice.value.message) {
        if (inner.name == "num_versions") {
          policy.count = static_cast<std::size_t>(std::max<std::int64_t>(1, whole_number(inner)));
        }
      }
    } else if (choice.name == "specific") {
      policy.kind = VersionPolicy::Kind::kSpecific;
      for (const Field& inner : choice.value.message) {
        if (inner.name == "versions")
          policy.versions.push_back(std::to_string(whole_number(inner)));
      }
    } else {
      throw Error(ErrorCode::kInvalidFile,
                  fmt::format("there is no policy '{}', but latest, all and specific", choice.name),
                  field.name);
    }
  }
  return policy;
}

}  // namespace

TritonConfig parse_triton_config(std::string_view text) {
  TritonConfig config;
  for (const Field& field : TextReader(text).read()) {
    if (field.name == "name") {
      config.name = field.value.scalar;
    } else if (field.name == "version_policy") {
      config.versions = read_policy(field);
    } else if (std::ranges::find(config.ignored, field.name) == config.ignored.end()) {
      config.ignored.push_back(field.name);
    }
  }
  return config;
}

TritonConfig read_triton_config(const std::filesystem::path& file) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMostBytes + 1, '\0');
  if (!stream.read(text.data(), static_cast<std::streamsize>(text.size())) && !stream.eof()) {
    throw Error(ErrorCode::kNotFound, "this cannot be read", file.string());
  }
  text.resize(static_cast<std::size_t>(stream.gcount()));
  try {
    if (text.size() > kMostBytes) throw Error(ErrorCode::kInvalidFile, "this is larger than 1 MiB");
    return parse_triton_config(text);
  } catch (const Error& error) {
    throw error.within(file.string());
  }
}

}  // namespace kerf::serving
