#include <fmt/format.h>
#include <zip.h>

#include <cerrno>
#include <memory>
#include <set>

#include "kerf/error.h"
#include "tensor/npy.h"

namespace kerf {
namespace {

struct Discard {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
using Zip = std::unique_ptr<zip_t, Discard>;

std::string reason_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string reason = zip_error_strerror(&error);
  zip_error_fini(&error);
  return reason;
}

// Reads a member piece by piece, so that memory grows with what is there and not with what the
// directory claims.
std::vector<std::byte> read_member(zip_t* archive, zip_uint64_t index, std::uint64_t claimed,
                                   const std::string& where) {
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen_index(archive, index, 0),
                                                               zip_fclose);
  if (!file) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("it cannot be unpacked ({})", zip_strerror(archive)), where);
  }
  constexpr std::size_t kPiece = 1 << 20;
  std::vector<std::byte> bytes;
  while (true) {
    const std::size_t done = bytes.size();
    bytes.resize(done + kPiece);
    const zip_int64_t got = zip_fread(file.get(), bytes.data() + done, kPiece);
    if (got < 0 || done + static_cast<std::uint64_t>(got) > claimed) {
      throw Error(ErrorCode::kInvalidFile, "its packed data is damaged", where);
    }
    bytes.resize(done + static_cast<std::size_t>(got));
    if (got == 0) break;
  }
  if (bytes.size() != claimed) throw Error(ErrorCode::kInvalidFile, "it is truncated", where);
  return bytes;
}

}  // namespace

NamedTensors read_npz(const std::filesystem::path& file) {
  int code = 0;
  const Zip archive(zip_open(file.c_str(), ZIP_RDONLY, &code));
  if (!archive) {
    throw Error(code == ZIP_ER_NOENT || code == ZIP_ER_OPEN ? ErrorCode::kNotFound
                                                            : ErrorCode::kInvalidFile,
                fmt::format("this is not a readable .npz file ({})", reason_of(code)),
                file.string());
  }
  NamedTensors arrays;
  std::set<std::string> names;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t info;
    if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &info) != 0) {
      throw Error(ErrorCode::kInvalidFile, "its directory is damaged", file.string());
    }
    std::string name = info.name;
    const std::string where = fmt::format("{}, array '{}'", file.string(), name);
    if (!name.ends_with(".npy")) {
      throw Error(ErrorCode::kInvalidFile, "a .npz file holds .npy files only", where);
    }
    name.resize(name.size() - 4);
    if (!names.insert(name).second) throw Error(ErrorCode::kInvalidFile, "it stands twice", where);
    arrays.emplace_back(
        name, parse_npy(read_member(archive.get(), static_cast<zip_uint64_t>(i), info.size, where),
                        where));
  }
  return arrays;
}

void write_npz(const std::filesystem::path& file,
               std::span<const std::pair<std::string, Tensor>> arrays) {
  const auto failed = [&](const std::string& reason) {
    return Error(ErrorCode::kUnavailable, fmt::format("the file cannot be written ({})", reason),
                 file.string());
  };
  std::vector<std::vector<std::byte>> members;
  std::set<std::string> names;
  for (const auto& [name, tensor] : arrays) {
    if (!names.insert(name).second) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("two arrays are called '{}'", name),
                  file.string());
    }
    members.push_back(format_npy(tensor));
  }
  int code = 0;
  Zip archive(zip_open(file.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (!archive) throw failed(reason_of(code));
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    zip_source_t* source =
        zip_source_buffer(archive.get(), members[i].data(), members[i].size(), 0);
    const std::string member = arrays[i].first + ".npy";
    const zip_int64_t index =
        source == nullptr ? -1
                          : zip_file_add(archive.get(), member.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      throw failed(zip_strerror(archive.get()));
    }
    // A fixed date, as numpy.savez writes it: equal arrays give equal files.
    constexpr zip_uint16_t kDate = (0U << 9U) | (1U << 5U) | 1U;  // 1980-01-01
    zip_set_file_compression(archive.get(), static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0);
    zip_file_set_dostime(archive.get(), static_cast<zip_uint64_t>(index), 0, kDate, 0);
  }
  if (zip_close(archive.get()) != 0) throw failed(zip_strerror(archive.get()));
  static_cast<void>(archive.release());
}

}  // namespace kerf
