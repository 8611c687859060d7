#include "formats/archive.h"

#include <fmt/format.h>
#include <zip.h>

#include <array>
#include <fstream>
#include <memory>
#include <set>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

constexpr std::array kMembers{"config.json", "metadata.json", "model.weights.h5"};

std::vector<std::byte> read_member(zip_t* archive, zip_uint64_t index, const zip_stat_t& info,
                                   const std::string& where) {
  constexpr std::uint64_t kLarge = std::uint64_t{4} << 30;
  if (info.size > kLarge || (info.size > (1 << 20) && info.size / 100 > info.comp_size)) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("the member '{}' claims {} bytes in {}, which looks like a zip bomb",
                            info.name, info.size, info.comp_size),
                where);
  }
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen_index(archive, index, 0),
                                                               zip_fclose);
  std::vector<std::byte> bytes(info.size);
  const zip_int64_t got =
      file ? zip_fread(file.get(), bytes.data(), bytes.size()) : zip_int64_t{-1};
  // The check sum is compared when the end is read.
  std::byte beyond{};
  if (got != static_cast<zip_int64_t>(info.size) || zip_fread(file.get(), &beyond, 1) != 0) {
    throw Error(ErrorCode::kInvalidFile, fmt::format("the member '{}' is damaged", info.name),
                where);
  }
  return bytes;
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream) throw Error(ErrorCode::kNotFound, "the file cannot be opened", file.string());
  std::vector<std::byte> bytes(static_cast<std::size_t>(stream.tellg()));
  stream.seekg(0);
  if (!stream.read(reinterpret_cast<char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()))) {
    throw Error(ErrorCode::kInvalidFile, "the file cannot be read to its end", file.string());
  }
  return bytes;
}

Archive read_zip(const std::vector<std::byte>& bytes, const std::string& where) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  const std::unique_ptr<zip_t, void (*)(zip_t*)> archive(
      source != nullptr ? zip_open_from_source(source, ZIP_RDONLY, &error) : nullptr, zip_discard);
  if (!archive) {
    const std::string reason = zip_error_strerror(&error);
    if (source != nullptr) zip_source_free(source);
    zip_error_fini(&error);
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("this is not a readable zip file ({}); it may be truncated", reason),
                where);
  }
  zip_error_fini(&error);
  Archive result;
  std::set<std::string> names;
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t info;
    if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &info) != 0) continue;
    if (!names.insert(info.name).second) {
      throw Error(ErrorCode::kInvalidFile, fmt::format("the member '{}' stands twice", info.name),
                  where);
    }
    for (const char* wanted : kMembers) {
      if (std::string_view(info.name) == wanted) {
        result.members[wanted] =
            read_member(archive.get(), static_cast<zip_uint64_t>(i), info, where);
      }
    }
  }
  return result;
}

Archive read_folder(const std::filesystem::path& folder) {
  Archive result;
  for (const char* name : kMembers) {
    if (std::filesystem::is_regular_file(folder / name)) {
      result.members[name] = read_file(folder / name);
    }
  }
  return result;
}

}  // namespace kerf::formats
