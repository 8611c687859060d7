#include "tensor/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>

#include "kerf/error.h"

namespace kerf {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// How the elements stand in the file.
struct Layout {
  DType dtype = DType::kFloat32;
  char kind = 'f';
  std::size_t item = 4;  // bytes per element
  bool swap = false;     // big-endian
  bool fortran = false;
  Shape shape;
};

// Reads the header, a Python dict literal with the keys descr, fortran_order and shape. Only the
// grammar that NumPy writes is understood.
class Header {
 public:
  Header(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  Layout read() {
    Layout layout;
    bool descr = false;
    bool order = false;
    bool shape = false;
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        read_descr(layout);
        descr = true;
      } else if (key == "fortran_order" && !order) {
        layout.fortran = boolean();
        order = true;
      } else if (key == "shape" && !shape) {
        layout.shape = tuple();
        shape = true;
      } else {
        damaged(fmt::format("the header has the key '{}' twice, or does not know it", key));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (!text_.empty()) damaged("something follows the header's dictionary");
    if (!descr || !order || !shape) damaged("the header lacks descr, fortran_order or shape");
    return layout;
  }

 private:
  [[noreturn]] void damaged(std::string message) const {
    throw Error(ErrorCode::kInvalidFile, std::move(message), where_);
  }
  void skip() {
    const auto end = text_.find_first_not_of(" \n\t");
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end);
  }
  bool take(char c) {
    skip();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) damaged(fmt::format("the header is malformed: '{}' is missing", c));
  }
  std::string_view quoted() {
    skip();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) {
      damaged("the header is malformed: a text in quotes is missing");
    }
    const auto end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) damaged("the header is malformed: a quote does not end");
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }
  bool boolean() {
    skip();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.starts_with(word)) {
        text_.remove_prefix(word.size());
        return value;
      }
    }
    damaged("the header's fortran_order is neither True nor False");
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      skip();
      std::int64_t dim = -1;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), dim);
      if (error != std::errc() || dim < 0) damaged("the header's shape is not a list of sizes");
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      take('L');  // Python 2 wrote long integers so
      try {
        shape.push_back(dim);
      } catch (const Error& error_of_rank) {
        throw error_of_rank.within(where_);
      }
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  void read_descr(Layout& layout) {
    skip();
    if (!text_.empty() && text_.front() == '[') {
      throw Error(ErrorCode::kUnsupported, "it is an array of records; save the fields one by one",
                  where_);
    }
    const std::string_view descr = quoted();
    std::string_view rest = descr;
    if (!rest.empty() && std::string_view("<>|=").find(rest.front()) != std::string_view::npos) {
      layout.swap = rest.front() == '>';
      rest.remove_prefix(1);
    }
    std::size_t size = 0;
    const bool sized =
        rest.size() > 1 && std::from_chars(rest.data() + 1, rest.data() + rest.size(), size).ptr ==
                               rest.data() + rest.size();
    const std::optional<DType> dtype = sized ? dtype_of(rest.front(), size) : std::nullopt;
    if (!dtype) {
      const bool objects = !rest.empty() && rest.front() == 'O';
      throw Error(
          ErrorCode::kUnsupported,
          objects ? std::string("it holds pickled Python objects, which kerf does not execute")
                  : fmt::format("its dtype '{}' is not supported; convert it with astype()", descr),
          where_);
    }
    layout.dtype = *dtype;
    layout.kind = rest.front();
    layout.item = layout.kind == 'U' ? size * 4 : size;
    layout.swap = layout.swap && (layout.kind == 'U' || (*dtype != DType::kString && size > 1));
  }

  static std::optional<DType> dtype_of(char kind, std::size_t size) {
    struct Known {
      char kind;
      std::size_t size;
      DType dtype;
    };
    static constexpr std::array kKnown{
        Known{'b', 1, DType::kBool},    Known{'u', 1, DType::kUInt8},
        Known{'u', 2, DType::kUInt16},  Known{'u', 4, DType::kUInt32},
        Known{'u', 8, DType::kUInt64},  Known{'i', 1, DType::kInt8},
        Known{'i', 2, DType::kInt16},   Known{'i', 4, DType::kInt32},
        Known{'i', 8, DType::kInt64},   Known{'f', 2, DType::kFloat16},
        Known{'f', 4, DType::kFloat32}, Known{'f', 8, DType::kFloat64},
        Known{'V', 2, DType::kBFloat16}};
    constexpr std::size_t kLongest = 1 << 28;  // characters of one string
    if ((kind == 'S' || kind == 'U') && size <= kLongest) return DType::kString;
    for (const Known& known : kKnown) {
      if (known.kind == kind && known.size == size) return known.dtype;
    }
    return std::nullopt;
  }

  std::string_view text_;
  const std::string& where_;
};

// Calls visit(i) with the position in the file of each element, in row-major order.
template <typename Visit>
void for_each_position(const Layout& layout, std::size_t count, const Visit& visit) {
  const std::size_t rank = layout.shape.rank();
  if (!layout.fortran || rank < 2) {
    for (std::size_t i = 0; i < count; ++i) visit(i);
    return;
  }
  std::array<std::size_t, Shape::kMaxRank> stride{};
  std::array<std::int64_t, Shape::kMaxRank> index{};
  std::size_t step = 1;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    stride[axis] = step;
    step *= static_cast<std::size_t>(layout.shape[axis]);
  }
  std::size_t position = 0;
  for (std::size_t i = 0; i < count; ++i) {
    visit(position);
    for (std::size_t axis = rank; axis-- > 0;) {
      position += stride[axis];
      if (++index[axis] < layout.shape[axis]) break;
      position -= stride[axis] * static_cast<std::size_t>(layout.shape[axis]);
      index[axis] = 0;
    }
  }
}

void append_utf8(std::vector<std::byte>& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<std::byte>(byte)); };
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) code = 0xFFFD;
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | (code >> 6U));
    put(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12U));
    put(0x80U | ((code >> 6U) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  } else {
    put(0xF0U | (code >> 18U));
    put(0x80U | ((code >> 12U) & 0x3FU));
    put(0x80U | ((code >> 6U) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  }
}

std::uint32_t load32(const std::byte* from, bool swap) {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof(value));
  return swap ? __builtin_bswap32(value) : value;
}

Tensor strings(const Layout& layout, std::size_t count, std::span<const std::byte> data) {
  std::vector<std::byte> out;
  for_each_position(layout, count, [&](std::size_t position) {
    const std::byte* item = data.data() + position * layout.item;
    const std::size_t start = out.size();
    out.resize(start + sizeof(std::uint32_t));
    // NumPy pads with zeros and drops them when it reads.
    if (layout.kind == 'S') {
      std::size_t length = layout.item;
      while (length > 0 && item[length - 1] == std::byte{0}) --length;
      out.insert(out.end(), item, item + length);
    } else {
      std::size_t length = layout.item / 4;
      while (length > 0 && load32(item + 4 * (length - 1), false) == 0) --length;
      for (std::size_t i = 0; i < length; ++i) append_utf8(out, load32(item + 4 * i, layout.swap));
    }
    const auto length = static_cast<std::uint32_t>(out.size() - start - sizeof(std::uint32_t));
    std::memcpy(out.data() + start, &length, sizeof(length));
  });
  return Tensor::copy_of(DType::kString, layout.shape, out);
}

std::string descr_of(const Tensor& tensor, std::size_t width) {
  switch (tensor.dtype()) {
    case DType::kBool:
      return "|b1";
    case DType::kString:
      return fmt::format("|S{}", width);
    case DType::kBFloat16:
      return "<V2";
    default:
      break;
  }
  const std::size_t size = dtype_size(tensor.dtype());
  const char kind = is_floating(tensor.dtype())                 ? 'f'
                    : dtype_name(tensor.dtype()).front() == 'u' ? 'u'
                                                                : 'i';
  return fmt::format("{}{}{}", size == 1 ? '|' : '<', kind, size);
}

}  // namespace

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto damaged = [&](std::string message) {
    return Error(ErrorCode::kInvalidFile, std::move(message), where);
  };
  if (!text.starts_with(kMagic) || text.size() < 10) {
    throw damaged("this is not a .npy file, or it is truncated");
  }
  const auto version = static_cast<unsigned>(bytes[6]);
  if (version < 1 || version > 3 || bytes[7] != std::byte{0}) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the .npy version {}.{} is not known", version,
                            static_cast<unsigned>(bytes[7])),
                where);
  }
  const std::size_t prefix = version == 1 ? 10 : 12;
  if (text.size() < prefix) throw damaged("the file is truncated");
  std::size_t length = static_cast<std::size_t>(bytes[8]) | static_cast<std::size_t>(bytes[9])
                                                                << 8U;
  if (version > 1) length = load32(bytes.data() + 8, false);
  if (length > text.size() - prefix) throw damaged("the file ends inside its header");
  const Layout layout = Header(text.substr(prefix, length), where).read();

  const std::span<const std::byte> data = bytes.subspan(prefix + length);
  std::size_t count = 0;
  std::size_t needed = 0;
  try {
    count = static_cast<std::size_t>(layout.shape.element_count());
  } catch (const Error& error) {
    throw error.within(where);
  }
  // An array of empty strings needs no data, so its size is bounded by hand.
  if (__builtin_mul_overflow(count, layout.item, &needed) || needed != data.size() ||
      (layout.item == 0 && count > (std::size_t{1} << 24))) {
    throw damaged(
        fmt::format("the file holds {} bytes of data, but an array of shape {} and {} "
                    "bytes per element is announced",
                    data.size(), layout.shape.to_string(), layout.item));
  }
  if (layout.dtype == DType::kString) return strings(layout, count, data);
  const bool is_bool = layout.dtype == DType::kBool;
  if (!layout.fortran && !layout.swap && !is_bool) {
    return Tensor::copy_of(layout.dtype, layout.shape, data);
  }
  std::vector<std::byte> out(needed);
  std::byte* to = out.data();
  for_each_position(layout, count, [&](std::size_t position) {
    const std::byte* from = data.data() + position * layout.item;
    if (is_bool) {
      *to = *from == std::byte{0} ? std::byte{0} : std::byte{1};
    } else if (layout.swap) {
      std::reverse_copy(from, from + layout.item, to);
    } else {
      std::copy(from, from + layout.item, to);
    }
    to += layout.item;
  });
  return Tensor::copy_of(layout.dtype, layout.shape, out);
}

std::vector<std::byte> format_npy(const Tensor& tensor) {
  std::vector<std::string_view> elements;
  std::size_t width = 1;
  if (tensor.dtype() == DType::kString) {
    elements = tensor.strings();
    for (const std::string_view element : elements) width = std::max(width, element.size());
    if (elements.size() > (std::size_t{1} << 32) / width) {
      throw Error(ErrorCode::kResourceExhausted,
                  fmt::format("{} strings of {} bytes are too much for a .npy file",
                              elements.size(), width));
    }
  }
  std::string dims;
  for (const std::int64_t dim : tensor.shape()) dims += fmt::format("{}, ", dim);
  if (tensor.shape().rank() > 1) dims.resize(dims.size() - 2);
  if (tensor.shape().rank() == 1) dims.pop_back();
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   descr_of(tensor, width), dims);
  // The data start at a multiple of 64. Eight dimensions never make a header of 64 KiB.
  constexpr std::size_t kPrefix = 10;
  header.resize((kPrefix + header.size() + 1 + 63) / 64 * 64 - kPrefix - 1, ' ');
  header += '\n';

  const std::array<char, 4> lengths{1, 0, static_cast<char>(header.size() & 0xFFU),
                                    static_cast<char>(header.size() >> 8U)};
  std::vector<std::byte> out(kPrefix + header.size() +
                             (elements.empty() ? tensor.byte_size() : elements.size() * width));
  std::byte* to = out.data();
  const auto put = [&to](std::string_view text, std::size_t room) {
    std::memcpy(to, text.data(), text.size());
    to += room;
  };
  put(kMagic, kMagic.size());
  put({lengths.data(), lengths.size()}, lengths.size());
  put(header, header.size());
  if (tensor.dtype() == DType::kString) {
    for (const std::string_view element : elements) put(element, width);
  } else if (tensor.byte_size() != 0) {
    std::memcpy(to, tensor.data(), tensor.byte_size());
  }
  return out;
}

Tensor read_npy(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  const auto size = stream ? static_cast<std::streamoff>(stream.tellg()) : -1;
  if (size < 0) throw Error(ErrorCode::kNotFound, "the file cannot be opened", file.string());
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  stream.seekg(0);
  if (!stream.read(reinterpret_cast<char*>(bytes.data()), size)) {
    throw Error(ErrorCode::kInvalidFile, "the file cannot be read to its end", file.string());
  }
  return parse_npy(bytes, file.string());
}

void write_npy(const std::filesystem::path& file, const Tensor& tensor) {
  const std::vector<std::byte> bytes = format_npy(tensor);
  std::ofstream stream(file, std::ios::binary);
  stream.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  stream.close();
  if (!stream) throw Error(ErrorCode::kUnavailable, "the file cannot be written", file.string());
}

}  // namespace kerf
