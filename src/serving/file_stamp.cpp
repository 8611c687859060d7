#include "serving/file_stamp.h"

#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace kerf::serving {
namespace {

namespace fs = std::filesystem;

// FNV-1a, over eight bytes at a time and then mixed: nobody has to be kept from making collisions
// who can write the files.
void add(FileStamp& stamp, std::uint64_t value) {
  stamp.hash = (stamp.hash ^ value) * 0x100000001b3U;
  stamp.hash ^= stamp.hash >> 29U;
}

void add_file(FileStamp& stamp, const fs::path& path) {
  for (const char c : path.native()) add(stamp, static_cast<unsigned char>(c));
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return add(stamp, 0);
  add(stamp, found.st_ino);
  if (S_ISDIR(found.st_mode)) return;  // its time changes with files that are no part of it
  add(stamp, static_cast<std::uint64_t>(found.st_size));
  add(stamp, static_cast<std::uint64_t>(found.st_mtim.tv_sec));
  add(stamp, static_cast<std::uint64_t>(found.st_mtim.tv_nsec));
}

}  // namespace

FileStamp stamp_of(const fs::path& path) noexcept {
  constexpr std::size_t kMostFiles = 10'000;
  FileStamp stamp{.hash = 0xcbf29ce484222325U};
  try {
    add_file(stamp, path);
    if (!fs::is_directory(path)) return stamp;
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry :
         fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied)) {
      files.push_back(entry.path());
      if (files.size() == kMostFiles) break;
    }
    std::ranges::sort(files);
    for (const fs::path& file : files) add_file(stamp, file);
  } catch (const std::exception&) {
    add(stamp, 1);  // what goes while it is looked at is looked at again soon
  }
  return stamp;
}

}  // namespace kerf::serving
