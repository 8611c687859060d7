#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/archive.h"
#include "formats/file_buffer.h"

namespace kerf::formats {

// The files that a model is saved as, zipped or loose. Used by one thread.
class Members {
 public:
  virtual ~Members() = default;
  virtual bool has(const std::string& name) const = 0;
  // The names of those below the folder "assets".
  virtual std::vector<std::string> assets() const = 0;
  // Throws Error(kInvalidFile) for one that is not there, damaged, or larger than `limit` bytes.
  virtual std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                           const std::function<void(double)>& progress) const = 0;
};

// The members of a `.keras` file, also where somebody zipped the folder and not what is in it. The
// file must outlive it.
class ZippedMembers final : public Members {
 public:
  explicit ZippedMembers(const InputFile& file);
  bool has(const std::string& name) const override { return archive_.has(folder_ + name); }
  std::vector<std::string> assets() const override;
  std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                   const std::function<void(double)>& progress) const override {
    return archive_.read(folder_ + name, limit, progress);
  }
  const Archive& archive() const noexcept { return archive_; }

 private:
  Archive archive_;
  std::string folder_;  // "model/", or nothing
};

// The same files in a folder.
class LooseMembers final : public Members {
 public:
  explicit LooseMembers(std::filesystem::path folder) : folder_(std::move(folder)) {}
  bool has(const std::string& name) const override;
  std::vector<std::string> assets() const override;
  std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                   const std::function<void(double)>& progress) const override;

 private:
  std::filesystem::path folder_;
};

}  // namespace kerf::formats
