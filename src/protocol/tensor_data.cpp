#include "protocol/tensor_data.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "kerf/error.h"
#include "protocol/json_number.h"
#include "protocol/json_text.h"
#include "tensor/convert.h"
#include "tensor/packed_strings.h"
#include "tensor/visit_integer.h"

namespace kerf::protocol {
namespace {

[[noreturn]] void invalid(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

bool fits(DType dtype, bool negative, std::uint64_t magnitude) {
  bool result = false;
  visit_integer(dtype, [&](auto type) {
    using T = decltype(type);
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    result = negative ? magnitude <= (std::is_signed_v<T> ? kMax + 1 : 0) : magnitude <= kMax;
  });
  return result;
}

// The token at `p`, for messages.
std::string token_at(const char* p, const char* end) {
  constexpr std::ptrdiff_t kShown = 32;
  const char* stop = p;
  while (stop != end && stop - p < kShown && *stop != ',' && *stop != ']' && *stop != '\n') ++stop;
  return {p, stop};
}

// Walks a JSON array whose leaves `read(p, out)` reads, each into the next `Element`.
template <typename Element, typename Read>
class ArrayReader {
 public:
  ArrayReader(std::string_view array, const Shape& shape, Element* out, Read read)
      : p_(array.data()),
        end_(array.data() + array.size()),
        shape_(shape),
        count_(static_cast<std::size_t>(shape.element_count())),
        out_(out),
        read_(read) {}

  void run() {
    // counts[d]: the entries so far of the array open at depth d + 1.
    std::int64_t counts[Shape::kMaxRank] = {};
    std::size_t depth = 0;
    for (;;) {  // a value is expected, or the end of an empty array
      skip_space();
      if (*p_ == '[') {
        if (depth == std::max<std::size_t>(shape_.rank(), 1)) {
          invalid(fmt::format("the data is nested deeper than shape {}", shape_.to_string()));
        }
        if (depth != 0 && leaf_depth_ == depth) mixed();
        counts[depth++] = 0;
        ++p_;
        skip_space();
        if (*p_ != ']') continue;
      } else {
        read_leaves(depth, counts[depth - 1]);
      }
      // Here *p_ is what follows a value.
      while (*p_ == ']') {
        check_closed(depth, counts[depth - 1]);
        ++p_;
        if (--depth == 0) return finish();
        ++counts[depth - 1];
        skip_space();
      }
      if (*p_ != ',') invalid(fmt::format("',' or ']' is missing before '{}'", token_at(p_, end_)));
      ++p_;
    }
  }

 private:
  void skip_space() {
    while (*p_ == ' ' || *p_ == '\n' || *p_ == '\r' || *p_ == '\t') ++p_;
  }

  [[noreturn]] void mixed() const {
    invalid(fmt::format("the data mixes values and arrays; it may be flat, or nested as shape {}",
                        shape_.to_string()));
  }

  // Reads values of the innermost array up to its end.
  void read_leaves(std::size_t depth, std::int64_t& entries) {
    if (leaf_depth_ == 0) leaf_depth_ = depth;
    if (leaf_depth_ != depth) mixed();
    if (depth != 1 && depth != shape_.rank()) {
      invalid(fmt::format("the data is nested {} deep; it may be flat, or nested as shape {}",
                          depth, shape_.to_string()));
    }
    for (;;) {
      if (done_ == count_) {
        invalid(fmt::format("the data has more elements than the {} of shape {}", count_,
                            shape_.to_string()));
      }
      const char* next = read_(p_, out_[done_]);
      if (next == nullptr) read_.fail(done_, token_at(p_, end_));
      p_ = next;
      ++done_;
      ++entries;
      if (*p_ == ',') {
        ++p_;
        if (*p_ == ' ') ++p_;
        if (*p_ > ' ' && *p_ != '[') continue;
        skip_space();
        if (*p_ == '[') mixed();
        continue;
      }
      skip_space();
      if (*p_ != ',') return;
      ++p_;
      skip_space();
      if (*p_ == '[') mixed();
    }
  }

  void check_closed(std::size_t depth, std::int64_t entries) const {
    const bool flat = depth == 1 && (leaf_depth_ == 1 || (leaf_depth_ == 0 && entries == 0));
    if (flat) return;  // finish() compares the count
    if (depth > shape_.rank() || entries != shape_[depth - 1]) {
      invalid(
          fmt::format("an array at depth {} of the data has {} entries, which shape {} does "
                      "not have there",
                      depth, entries, shape_.to_string()));
    }
  }

  void finish() const {
    if (p_ != end_) invalid(fmt::format("unexpected text behind the data"));
    if (done_ != count_) {
      invalid(fmt::format("the data has {} elements, but shape {} needs {}", done_,
                          shape_.to_string(), count_));
    }
  }

  const char* p_;
  const char* end_;
  const Shape& shape_;
  std::size_t count_;
  std::size_t done_ = 0;
  std::size_t leaf_depth_ = 0;  // at which depth values stand; 0 until one was seen
  Element* out_;
  Read read_;
};

struct FloatLeaf {
  template <typename T>
  const char* operator()(const char* p, T& value) const noexcept {
    return read_float(p, value);
  }
  [[noreturn]] static void fail(std::size_t index, const std::string& token) {
    invalid(fmt::format("element {} is not a number in range: {}", index, token));
  }
};

struct IntegerLeaf {
  DType declared;
  template <typename T>
  const char* operator()(const char* p, T& value) const {
    bool negative = false;
    std::uint64_t magnitude = 0;
    const char* end = read_integer(p, negative, magnitude);
    if (end == nullptr) return nullptr;
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<T>::max());
    const std::uint64_t most = negative ? (std::is_signed_v<T> ? kMax + 1 : 0) : kMax;
    if (magnitude > most || !fits(declared, negative, magnitude)) return nullptr;
    value = static_cast<T>(negative ? std::uint64_t{0} - magnitude : magnitude);
    return end;
  }
  [[noreturn]] void fail(std::size_t index, const std::string& token) const {
    invalid(fmt::format("element {} is not an integer that fits {}: {}", index,
                        dtype_protocol_name(declared), token));
  }
};

struct BoolLeaf {
  const char* operator()(const char* p, std::uint8_t& value) const noexcept {
    if (std::memcmp(p, "true", 4) == 0) {
      value = 1;
      return p + 4;
    }
    if (std::memcmp(p, "false", 5) == 0) {
      value = 0;
      return p + 5;
    }
    return nullptr;
  }
  [[noreturn]] static void fail(std::size_t index, const std::string& token) {
    invalid(fmt::format("element {} is not true or false: {}", index, token));
  }
};

// The code unit of "\\uXXXX" at p[2...], or nothing where the digits are none.
std::optional<std::uint32_t> code_unit(const char* p, const char* end) noexcept {
  std::uint32_t unit = 0;
  if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return std::nullopt;
  const auto [stop, error] = std::from_chars(p + 2, p + 6, unit, 16);
  if (error != std::errc() || stop != p + 6) return std::nullopt;
  return unit;
}

char* write_utf8(std::uint32_t code, char* out) noexcept {
  const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
    return out;
  }
  if (code < 0x800) {
    put(0xC0U | (code >> 6U));
  } else {
    if (code < 0x10000) {
      put(0xE0U | (code >> 12U));
    } else {
      put(0xF0U | (code >> 18U));
      put(0x80U | ((code >> 12U) & 0x3FU));
    }
    put(0x80U | ((code >> 6U) & 0x3FU));
  }
  put(0x80U | (code & 0x3FU));
  return out;
}

// Reads the escape at p, and writes what it stands for, which is never longer. Null where it is
// none, or half of a surrogate pair.
const char* unescape(const char* p, const char* end, char*& out) noexcept {
  static constexpr std::string_view kNames = "\"\\/bfnrt";
  static constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  if (end - p < 2) return nullptr;
  if (const std::size_t i = kNames.find(p[1]); i != std::string_view::npos) {
    *out++ = kMeant[i];
    return p + 2;
  }
  std::optional<std::uint32_t> code = code_unit(p, end);
  if (!code) return nullptr;
  p += 6;
  if (*code >= 0xD800 && *code < 0xE000) {
    const std::optional<std::uint32_t> low = code_unit(p, end);
    if (*code >= 0xDC00 || !low || *low < 0xDC00 || *low >= 0xE000) return nullptr;
    code = 0x10000 + ((*code - 0xD800) << 10U) + (*low - 0xDC00);
    p += 6;
  }
  out = write_utf8(*code, out);
  return p;
}

struct StringLeaf {
  const char* end;  // of the array
  Buffer& unescaped;

  const char* operator()(const char* p, std::string_view& value) const {
    if (*p != '"') return nullptr;
    const char* const start = ++p;
    while (p != end && *p != '"' && *p != '\\') ++p;
    if (p != end && *p == '"') {
      value = {start, static_cast<std::size_t>(p - start)};
      return p + 1;
    }
    // A plain stretch, an escape, and so on; the end is a quote, or there is none.
    const char* quote = p;
    while (quote != end && *quote != '"') quote += *quote == '\\' && quote + 1 != end ? 2 : 1;
    if (quote == end) return nullptr;
    char* const text = unescaped.reserve(static_cast<std::size_t>(quote - start));
    char* out = text + (p - start);
    std::memcpy(text, start, static_cast<std::size_t>(p - start));
    while (p != quote) {
      if (*p != '\\') {
        *out++ = *p++;
      } else if ((p = unescape(p, quote, out)) == nullptr) {
        return nullptr;
      }
    }
    value = {text, static_cast<std::size_t>(out - text)};
    unescaped.commit(value.size());
    return quote + 1;
  }
  [[noreturn]] static void fail(std::size_t index, const std::string& token) {
    invalid(fmt::format("element {} is not a string, or has a wrong escape: {}", index, token));
  }
};

std::span<const std::string_view> strings_at(const std::byte* data, std::size_t count) {
  return {reinterpret_cast<const std::string_view*>(data), count};
}

}  // namespace

void check_datatype(DType declared, DType wanted) {
  if (declared == wanted || (is_integer(declared) && is_integer(wanted)) ||
      (is_floating(declared) && is_floating(wanted))) {
    return;
  }
  invalid(fmt::format("the tensor is {}, but the request declares {}", dtype_protocol_name(wanted),
                      dtype_protocol_name(declared)));
}

void read_json_data(std::string_view array, DType declared, DType wanted, const Shape& shape,
                    std::byte* out, Buffer& unescaped) {
  if (declared == DType::kString) {
    return ArrayReader(array, shape, reinterpret_cast<std::string_view*>(out),
                       StringLeaf{array.data() + array.size(), unescaped})
        .run();
  }
  if (declared == DType::kFloat16 || declared == DType::kBFloat16) {
    invalid(
        fmt::format("{} data cannot be given as JSON: send it as binary data "
                    "(binary_data_size), or declare FP32",
                    dtype_protocol_name(declared)));
  }
  if (declared == DType::kBool) {
    return ArrayReader(array, shape, reinterpret_cast<std::uint8_t*>(out), BoolLeaf{}).run();
  }
  if (is_integer(declared)) {
    return visit_integer(wanted, [&](auto type) {
      ArrayReader(array, shape, reinterpret_cast<decltype(type)*>(out), IntegerLeaf{declared})
          .run();
    });
  }
  if (wanted == DType::kFloat32) {
    return ArrayReader(array, shape, reinterpret_cast<float*>(out), FloatLeaf{}).run();
  }
  if (wanted == DType::kFloat64) {
    return ArrayReader(array, shape, reinterpret_cast<double*>(out), FloatLeaf{}).run();
  }
  // The half types: read as float32, then rounded.
  const auto count = static_cast<std::size_t>(shape.element_count());
  const std::unique_ptr<float[]> floats(new float[count]);
  ArrayReader(array, shape, floats.get(), FloatLeaf{}).run();
  convert(DType::kFloat32, floats.get(), wanted, out, count);
}

void read_binary_data(std::span<const std::byte> bytes, DType declared, DType wanted,
                      std::size_t count, std::byte* out) {
  if (declared == DType::kString) {
    return read_packed_strings(bytes, {reinterpret_cast<std::string_view*>(out), count});
  }
  if (bytes.size() != count * dtype_size(declared)) {
    invalid(fmt::format("{} elements of {} take {} bytes, but {} are given", count,
                        dtype_protocol_name(declared), count * dtype_size(declared), bytes.size()));
  }
  const std::byte* const data = bytes.data();
  if (declared == DType::kBool) {
    for (std::size_t i = 0; i < count; ++i) {
      if (std::to_integer<unsigned>(data[i]) > 1) {
        invalid(fmt::format("element {} is not 0 or 1, as BOOL data must be", i));
      }
    }
  }
  if (declared == wanted) {
    if (count != 0) std::memcpy(out, data, count * dtype_size(wanted));
    return;
  }
  if (is_floating(declared)) return convert(declared, data, wanted, out, count);
  visit_integer(declared, [&](auto from_type) {
    using From = decltype(from_type);
    visit_integer(wanted, [&](auto to_type) {
      using To = decltype(to_type);
      for (std::size_t i = 0; i < count; ++i) {
        From value;
        std::memcpy(&value, data + i * sizeof(From), sizeof(From));
        if (!std::in_range<To>(value)) {
          invalid(
              fmt::format("element {} does not fit {}: {}", i, dtype_protocol_name(wanted), value));
        }
        // NOLINTNEXTLINE(bugprone-signed-char-misuse): a number, not a character
        const auto converted = static_cast<To>(value);
        std::memcpy(out + i * sizeof(To), &converted, sizeof(To));
      }
    });
  });
}

std::size_t binary_size(DType dtype, const std::byte* data, std::size_t count) {
  return dtype == DType::kString ? packed_size(strings_at(data, count)) : count * dtype_size(dtype);
}

void append_binary_data(Buffer& out, DType dtype, const std::byte* data, std::size_t count) {
  const std::size_t bytes = binary_size(dtype, data, count);
  if (dtype == DType::kString) {
    auto* packed = reinterpret_cast<std::byte*>(out.reserve(bytes));
    write_packed_strings(strings_at(data, count), packed);
    out.commit(bytes);
  } else {
    out.append({reinterpret_cast<const char*>(data), bytes});
  }
}

void append_json_data(Buffer& out, DType dtype, const std::byte* data, std::size_t count) {
  out.push_back('[');
  const auto append_all = [&](auto type, auto append) {
    using T = decltype(type);
    for (std::size_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, data + i * sizeof(T), sizeof(T));
      if (i != 0) out.push_back(',');
      append(value);
    }
  };
  const auto append_floats = [&](auto type) {
    using T = decltype(type);
    constexpr std::size_t kBlock = 256;
    for (std::size_t i = 0; i < count;) {
      char* const begin = out.reserve(kBlock * (kFloatChars + 1));
      char* p = begin;
      for (const std::size_t stop = std::min(count, i + kBlock); i < stop; ++i) {
        T value;
        std::memcpy(&value, data + i * sizeof(T), sizeof(T));
        if (i != 0) *p++ = ',';
        p = write_float(p, value);
      }
      out.commit(static_cast<std::size_t>(p - begin));
    }
  };
  if (dtype == DType::kFloat32) {
    append_floats(float{});
  } else if (dtype == DType::kFloat64) {
    append_floats(double{});
  } else if (dtype == DType::kBool) {
    append_all(std::uint8_t{},
               [&](std::uint8_t value) { out.append(value != 0 ? "true" : "false"); });
  } else if (dtype == DType::kString) {
    append_all(std::string_view{}, [&](std::string_view value) {
      if (!simdjson::validate_utf8(value.data(), value.size())) {
        invalid(
            "a string of the result is not UTF-8, which JSON needs: ask for binary data (the "
            "output's parameter binary_data, or the request's binary_data_output)");
      }
      append_string(out, value);
    });
  } else if (is_integer(dtype)) {
    visit_integer(dtype, [&](auto type) {
      append_all(type, [&](auto value) {
        if constexpr (std::is_signed_v<decltype(value)>) {
          append_integer(out, static_cast<std::int64_t>(value));
        } else {
          append_integer(out, static_cast<std::uint64_t>(value));
        }
      });
    });
  } else {
    invalid(
        fmt::format("{} cannot be written as JSON: ask for binary data (the output's parameter "
                    "binary_data, or the request's binary_data_output)",
                    dtype_protocol_name(dtype)));
  }
  out.push_back(']');
}

}  // namespace kerf::protocol
