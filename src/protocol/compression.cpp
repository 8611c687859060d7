#include "protocol/compression.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "kerf/error.h"

namespace kerf::protocol {
namespace {

std::string_view trim(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

bool equals(std::string_view a, std::string_view lower) noexcept {
  return std::ranges::equal(a, lower, [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x) == y;
  });
}

// zlib's windowBits: 15, and 16 more for the gzip wrapper.
int window_bits(Coding coding) noexcept { return coding == Coding::kGzip ? 15 + 16 : 15; }

class Inflater {
 public:
  explicit Inflater(Coding coding) {
    if (inflateInit2(&stream, window_bits(coding)) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  z_stream stream{};
};

class Deflater {
 public:
  explicit Deflater(Coding coding) {
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, window_bits(coding), 8,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Deflater() { deflateEnd(&stream); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;
  z_stream stream{};
};

// zlib counts in 32 bits.
constexpr std::size_t kStep = std::size_t{1} << 30;

void set_input(z_stream& stream, std::string_view& rest) {
  if (stream.avail_in != 0) return;
  const std::size_t step = std::min(rest.size(), kStep);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest.data()));
  stream.avail_in = static_cast<uInt>(step);
  rest.remove_prefix(step);
}

}  // namespace

std::string_view coding_name(Coding coding) noexcept {
  switch (coding) {
    case Coding::kIdentity:
      return {};
    case Coding::kGzip:
      return "gzip";
    case Coding::kDeflate:
      return "deflate";
  }
  return {};
}

std::optional<Coding> content_coding(std::string_view header) noexcept {
  const std::string_view name = trim(header);
  if (name.empty() || equals(name, "identity")) return Coding::kIdentity;
  if (equals(name, "gzip") || equals(name, "x-gzip")) return Coding::kGzip;
  if (equals(name, "deflate")) return Coding::kDeflate;
  return std::nullopt;
}

Coding accepted_coding(std::string_view header) noexcept {
  Coding best = Coding::kIdentity;
  float best_quality = 0;
  while (!header.empty()) {
    const std::size_t comma = std::min(header.find(','), header.size());
    std::string_view item = header.substr(0, comma);
    header.remove_prefix(std::min(comma + 1, header.size()));
    float quality = 1;
    const std::size_t semicolon = item.find(';');
    if (semicolon != std::string_view::npos) {
      const std::string_view parameter = trim(item.substr(semicolon + 1));
      if (parameter.starts_with("q=") || parameter.starts_with("Q=")) {
        const std::string_view value = parameter.substr(2);
        if (std::from_chars(value.data(), value.data() + value.size(), quality).ec != std::errc()) {
          quality = 0;
        }
      }
      item = item.substr(0, semicolon);
    }
    item = trim(item);
    const Coding coding = equals(item, "gzip")      ? Coding::kGzip
                          : equals(item, "deflate") ? Coding::kDeflate
                                                    : Coding::kIdentity;
    if (coding != Coding::kIdentity && quality > best_quality) {
      best = coding;
      best_quality = quality;
    }
  }
  return best;
}

void decompress(Coding coding, std::span<const char> body, std::size_t limit, Buffer& out) {
  Inflater inflater(coding);
  z_stream& stream = inflater.stream;
  std::string_view rest(body.data(), body.size());
  const std::size_t start = out.size();
  for (;;) {
    set_input(stream, rest);
    const std::size_t done = out.size() - start;
    // One byte beyond the limit shows that it is exceeded.
    const std::size_t room =
        std::min(std::max<std::size_t>(done, std::size_t{16} << 10), limit + 1 - done);
    stream.next_out = reinterpret_cast<Bytef*>(out.reserve(room));
    stream.avail_out = static_cast<uInt>(std::min(room, kStep));
    const uInt offered = stream.avail_out;
    const int code = inflate(&stream, Z_NO_FLUSH);
    out.commit(offered - stream.avail_out);
    if (out.size() - start > limit) {
      throw Error(ErrorCode::kResourceExhausted,
                  fmt::format("the body is larger than this server's limit of {} bytes once "
                              "decompressed",
                              limit));
    }
    if (code == Z_STREAM_END) {
      if (stream.avail_in == 0 && rest.empty()) return;
      // A gzip body may be several members, one behind the other (RFC 1952).
      if (coding != Coding::kGzip || inflateReset(&stream) != Z_OK) break;
      continue;
    }
    if (code != Z_OK) break;
    if (stream.avail_out != 0 && stream.avail_in == 0 && rest.empty()) break;
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the body cannot be decompressed: it is damaged, cut short, or not {}",
                          coding_name(coding)),
              "Content-Encoding");
}

void compress(Coding coding, std::string_view body, Buffer& out) {
  Deflater deflater(coding);
  z_stream& stream = deflater.stream;
  std::string_view rest = body;
  int code = Z_OK;
  while (code != Z_STREAM_END) {
    set_input(stream, rest);
    const std::size_t room = std::clamp<std::size_t>(body.size() / 2, 1024, kStep);
    stream.next_out = reinterpret_cast<Bytef*>(out.reserve(room));
    stream.avail_out = static_cast<uInt>(room);
    code = deflate(&stream, rest.empty() ? Z_FINISH : Z_NO_FLUSH);
    if (code == Z_STREAM_ERROR) throw Error(ErrorCode::kInternal, "zlib refused to compress");
    out.commit(room - stream.avail_out);
  }
}

}  // namespace kerf::protocol
