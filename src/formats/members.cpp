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

std::vector<std::string> ZippedMembers::assets() const {
  std::vector<std::string> names;
  for (const std::string& name : archive_.names()) {
    if (name.starts_with(folder_ + "assets/")) names.push_back(name.substr(folder_.size()));
  }
  return names;
}

std::vector<std::string> LooseMembers::assets() const {
  std::vector<std::string> names;
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator it(folder_ / "assets", ignored), end;
       it != end && !ignored; it.increment(ignored)) {
    std::error_code of_file;
    if (!it->is_regular_file(of_file)) continue;
    names.push_back(it->path().lexically_relative(folder_).generic_string());
  }
  return names;
}

}  // namespace kerf::formats
