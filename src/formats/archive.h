#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/file_buffer.h"

namespace kerf::formats {

// The members of a zip file, found through its central directory and read one by one. A stored
// member is read straight to where it is used; its check sum is compared on the way. libzip gives
// neither the place of a member nor that, which is why the directory is read here. One thread at a
// time; the file must outlive it.
class Archive {
 public:
  // Throws Error(kInvalidFile) for a damaged directory and for a name that stands twice.
  explicit Archive(const InputFile& file);

  bool has(const std::string& name) const { return members_.contains(name); }
  const std::vector<std::string>& names() const noexcept { return names_; }
  // Throws Error(kInvalidFile) for a member that is not there, is damaged, or claims to hold more
  // than `limit` bytes or than its compressed size makes credible; Error(kUnsupported) for
  // encryption and unusual compression.
  std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                   const std::function<void(double)>& progress = {}) const;

 private:
  struct Member {
    std::uint16_t flags = 0;
    std::uint16_t method = 0;
    std::uint32_t crc = 0;
    std::uint64_t stored_size = 0;
    std::uint64_t size = 0;
    std::uint64_t header = 0;  // where its local header stands in the file
  };
  std::uint64_t data_of(const std::string& name, const Member& member) const;

  const InputFile& file_;
  std::uint64_t directory_ = 0;  // where the central directory starts: all data lies before it
  std::map<std::string, Member> members_;
  std::vector<std::string> names_;
};

// True if data of this size may honestly come from `stored` compressed bytes.
bool credible_size(std::uint64_t size, std::uint64_t stored) noexcept;

}  // namespace kerf::formats
