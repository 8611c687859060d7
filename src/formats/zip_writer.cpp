#include "formats/zip_writer.h"

#include <fmt/format.h>
#include <zip.h>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

[[noreturn]] void cannot_write(const std::filesystem::path& file, const char* reason) {
  throw Error(ErrorCode::kUnavailable, fmt::format("the file cannot be written: {}", reason),
              file.string());
}

}  // namespace

void write_zip(const std::filesystem::path& file,
               const std::vector<std::pair<std::string, std::span<const std::byte>>>& members) {
  // libzip writes to a temporary file in the same folder, and renames it in zip_close().
  int code = 0;
  zip_t* archive = zip_open(file.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
  if (archive == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    cannot_write(file, reason.c_str());
  }
  bool good = true;
  for (const auto& [name, bytes] : members) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) zip_source_free(source);
    good =
        good && index >= 0 &&
        zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) == 0;
  }
  if (!good || zip_close(archive) != 0) {
    const std::string reason = zip_strerror(archive);
    zip_discard(archive);
    cannot_write(file, reason.c_str());
  }
}

}  // namespace kerf::formats
