#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kerf/error.h"

namespace kerf::config {
namespace {

using std::chrono::microseconds;

[[noreturn]] void expect(std::string_view what) {
  throw Error(ErrorCode::kInvalidArgument, std::string(what));
}

std::string read_text(const toml::node& node, std::string_view what) {
  const std::optional<std::string> text = node.value_exact<std::string>();
  if (!text) expect(what);
  return *text;
}

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

// A whole number with one of the units behind it, in the smallest unit.
std::int64_t read_with_unit(std::string_view text, std::span<const Unit> units,
                            std::string_view what) {
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const auto unit = std::ranges::find(units, rest, &Unit::name);
  std::int64_t value = 0;
  if (failed != std::errc() || number < 0 || unit == units.end() ||
      __builtin_mul_overflow(number, unit->factor, &value) || value > std::int64_t{1} << 53) {
    expect(what);
  }
  return value;
}

// In the largest unit that needs no fraction.
std::string show_with_unit(std::int64_t value, std::span<const Unit> units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value % unit.factor == 0 && unit.factor > best->factor && value != 0) best = &unit;
  }
  return shown_text(fmt::format("{}{}", value / best->factor, best->name));
}

constexpr Unit kSizes[] = {{"B", 1},
                           {"KiB", std::int64_t{1} << 10},
                           {"MiB", std::int64_t{1} << 20},
                           {"GiB", std::int64_t{1} << 30},
                           {"TiB", std::int64_t{1} << 40}};
constexpr Unit kTimes[] = {{"us", 1},
                           {"ms", 1000},
                           {"s", 1'000'000},
                           {"m", 60'000'000},
                           {"h", std::int64_t{3'600'000'000}}};

std::string join(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", "));
}

// A version as text or as a number.
std::string read_version(const toml::node& node, std::string_view what) {
  if (const std::optional<std::int64_t> number = node.value_exact<std::int64_t>()) {
    if (*number < 0) expect(what);
    return std::to_string(*number);
  }
  return read_text(node, what);
}

}  // namespace

std::string shown_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string shown_key(std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
  return bare ? std::string(key) : shown_text(key);
}

std::int64_t read_integer(const toml::node& node, std::int64_t from, std::int64_t to) {
  const std::optional<std::int64_t> number = node.value_exact<std::int64_t>();
  if (!number || *number < from || *number > to) {
    expect(to < std::int64_t{1} << 53
               ? fmt::format("a whole number from {} to {} is wanted here", from, to)
               : fmt::format("a whole number of at least {} is wanted here", from));
  }
  return *number;
}

void Flag::read(const toml::node& node, bool& value) {
  const std::optional<bool> flag = node.value_exact<bool>();
  if (!flag) expect("true or false is wanted here");
  value = *flag;
}
std::string Flag::show(bool value) { return value ? "true" : "false"; }

void Text::read(const toml::node& node, std::string& value) {
  value = read_text(node, "a text in quotes is wanted here");
}
std::string Text::show(const std::string& value) { return shown_text(value); }

void Path::read(const toml::node& node, std::filesystem::path& value) {
  value = read_text(node, "a path in quotes is wanted here");
  const toml::source_path_ptr& source = node.source().path;
  if (source && value.is_relative() && !value.empty()) {
    value = std::filesystem::path(*source).parent_path() / value;
  }
}
std::string Path::show(const std::filesystem::path& value) { return shown_text(value.string()); }

void TextList::read(const toml::node& node, std::vector<std::string>& value) {
  constexpr std::string_view kWhat = "a list of texts is wanted here: [\"a\", \"b\"]";
  const toml::array* list = node.as_array();
  if (list == nullptr) expect(kWhat);
  value.clear();
  for (const toml::node& item : *list) value.push_back(read_text(item, kWhat));
}
std::string TextList::show(const std::vector<std::string>& value) {
  std::vector<std::string> parts;
  for (const std::string& text : value) parts.push_back(shown_text(text));
  return "[" + join(parts) + "]";
}

void Real::read(const toml::node& node, double& value) {
  const std::optional<double> number = node.value<double>();
  if (!node.is_number() || !number || !(*number >= 0) || std::isinf(*number)) {
    expect("a number of at least 0 is wanted here");
  }
  value = *number;
}
std::string Real::show(double value) { return fmt::format("{:#}", value); }

void Bytes::read(const toml::node& node, std::size_t& value) {
  if (node.is_integer()) {
    value = static_cast<std::size_t>(read_integer(node, 0, std::int64_t{1} << 53));
    return;
  }
  constexpr std::string_view kWhat = "a size is wanted here: \"64MiB\", \"1GiB\" or \"512KiB\"";
  value = static_cast<std::size_t>(read_with_unit(read_text(node, kWhat), kSizes, kWhat));
}
std::string Bytes::show(std::size_t value) {
  return show_with_unit(static_cast<std::int64_t>(value), kSizes);
}

microseconds Duration::read(const toml::node& node) {
  constexpr std::string_view kWhat =
      "a duration is wanted here: \"30s\", \"500ms\", \"200us\", \"5m\" or \"1h\"";
  return microseconds(read_with_unit(read_text(node, kWhat), kTimes, kWhat));
}
std::string Duration::show(microseconds value) {
  return value.count() == 0 ? "\"0s\"" : show_with_unit(value.count(), kTimes);
}

void Versions::read(const toml::node& node, std::optional<serving::VersionPolicy>& value) {
  using Kind = serving::VersionPolicy::Kind;
  constexpr std::string_view kWhat =
      "\"all\", \"latest\", \"latest 2\" or a list of versions is wanted here";
  serving::VersionPolicy policy;
  if (const toml::array* list = node.as_array()) {
    policy.kind = Kind::kSpecific;
    for (const toml::node& item : *list) policy.versions.push_back(read_version(item, kWhat));
    if (policy.versions.empty()) expect(kWhat);
  } else {
    const std::string text = read_text(node, kWhat);
    constexpr std::string_view kLatest = "latest";
    if (text == "all") {
      policy.kind = Kind::kAll;
    } else if (text.starts_with(kLatest)) {
      if (text != kLatest) {
        static constexpr Unit kNone[] = {{"", 1}};
        policy.count = static_cast<std::size_t>(
            text[kLatest.size()] == ' '
                ? read_with_unit(std::string_view(text).substr(kLatest.size() + 1), kNone, kWhat)
                : 0);
      }
      if (policy.count == 0) expect(kWhat);
    } else {
      expect(kWhat);
    }
  }
  value = policy;
}
std::string Versions::show(const std::optional<serving::VersionPolicy>& value) {
  using Kind = serving::VersionPolicy::Kind;
  if (!value || (value->kind == Kind::kLatest && value->count == 1)) return "\"latest\"";
  if (value->kind == Kind::kAll) return "\"all\"";
  if (value->kind == Kind::kLatest) return fmt::format("\"latest {}\"", value->count);
  return TextList::show(value->versions);
}

void Labels::read(const toml::node& node, Map& value) {
  constexpr std::string_view kWhat = "a table of versions is wanted here: { stable = 3 }";
  const toml::table* table = node.as_table();
  if (table == nullptr) expect(kWhat);
  value.clear();
  for (const auto& [label, version] : *table) {
    value[std::string(label.str())] = read_version(version, kWhat);
  }
}
std::string Labels::show(const Map& value) {
  std::vector<std::string> parts;
  for (const auto& [label, version] : value) {
    parts.push_back(fmt::format("{} = {}", shown_key(label), shown_text(version)));
  }
  return parts.empty() ? "{}" : "{ " + join(parts) + " }";
}

void PrecisionName::read(const toml::node& node, Precision& value) {
  constexpr std::string_view kWhat = "\"float32\", \"bf16\" or \"int8\" is wanted here";
  const std::optional<Precision> precision = parse_precision(read_text(node, kWhat));
  if (!precision) expect(kWhat);
  value = *precision;
}
std::string PrecisionName::show(Precision value) { return shown_text(precision_name(value)); }

void Control::read(const toml::node& node, serving::ModelControl& value) {
  constexpr std::string_view kWhat = "\"none\", \"explicit\" or \"poll\" is wanted here";
  const std::string text = read_text(node, kWhat);
  if (text == "none") {
    value = serving::ModelControl::kNone;
  } else if (text == "explicit") {
    value = serving::ModelControl::kExplicit;
  } else if (text == "poll") {
    value = serving::ModelControl::kPoll;
  } else {
    expect(kWhat);
  }
}
std::string Control::show(serving::ModelControl value) {
  switch (value) {
    case serving::ModelControl::kExplicit:
      return "\"explicit\"";
    case serving::ModelControl::kPoll:
      return "\"poll\"";
    case serving::ModelControl::kNone:
      break;
  }
  return "\"none\"";
}

void GrpcPort::read(const toml::node& node, std::int64_t& value) {
  const std::optional<std::string> text = node.value_exact<std::string>();
  if (text == "next") {
    value = -1;
  } else if (text == "off") {
    value = -2;
  } else {
    value = read_integer(node, 0, 65535);
  }
}
std::string GrpcPort::show(std::int64_t value) {
  return value == -1 ? "\"next\"" : value == -2 ? "\"off\"" : std::to_string(value);
}

void Hash::read(const toml::node& node, serving::KeyHash& value) {
  constexpr std::string_view kWhat =
      "the SHA-256 of a key is wanted here, as `kerf hash-key` prints it: 64 hexadecimal digits";
  const std::string text = read_text(node, kWhat);
  if (text.size() != 2 * value.size()) expect(kWhat);
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char* at = text.data() + 2 * i;
    const auto [end, failed] = std::from_chars(at, at + 2, value[i], 16);
    if (failed != std::errc() || end != at + 2) expect(kWhat);
  }
}
std::string Hash::show(const serving::KeyHash& value) {
  return shown_text(fmt::format("{:02x}", fmt::join(value, "")));
}

void Moment::read(const toml::node& node, Value& value) {
  namespace chr = std::chrono;
  toml::date date;
  toml::time time{};
  int offset = 0;
  if (const auto* whole = node.as_date_time()) {
    date = whole->get().date;
    time = whole->get().time;
    if (whole->get().offset) offset = whole->get().offset->minutes;
  } else if (const auto* day = node.as_date()) {
    date = day->get();
  } else {
    expect("a date is wanted here, without quotes: 2027-01-31, or 2027-01-31T12:00:00Z");
  }
  const chr::sys_days day = chr::year(date.year) / date.month / date.day;
  value = chr::system_clock::time_point(day) + chr::hours(time.hour) + chr::minutes(time.minute) +
          chr::seconds(time.second) - chr::minutes(offset);
}
std::string Moment::show(const Value& value) {
  if (!value) return {};
  namespace chr = std::chrono;
  const chr::sys_days day = chr::floor<chr::days>(*value);
  const chr::year_month_day date(day);
  const chr::hh_mm_ss time(chr::floor<chr::seconds>(*value - day));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace kerf::config
