#include "formats/members.h"

#include "kerf/error.h"

namespace kerf::formats {

ZippedMembers::ZippedMembers(const InputFile& file) : archive_(file) {
  constexpr std::string_view kConfig = "/config.json";
  if (archive_.has("config.json")) return;
  for (const std::string& name : archive_.names()) {
    if (name.ends_with(kConfig) && name.find('/') == name.size() - kConfig.size()) {
      folder_ = name.substr(0, name.size() - kConfig.size() + 1);
      return;
    }
  }
}

bool LooseMembers::has(const std::string& name) const {
  std::error_code ignored;
  return std::filesystem::is_regular_file(folder_ / name, ignored);
}

std::shared_ptr<FileBuffer> LooseMembers::read(const std::string& name, std::uint64_t limit,
                                               const std::function<void(double)>& progress) const {
  const InputFile file(folder_ / name);
  if (file.size() > limit) {
    throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", file.where());
  }
  return file.read_part(0, file.size(), progress).buffer;
}

}  // namespace kerf::formats
