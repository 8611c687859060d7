#include "protocol/shared_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kerf/error.h"

namespace kerf::protocol {
namespace {

[[noreturn]] void invalid(std::string message, std::string_view region) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message),
              fmt::format("shared memory region {}", region));
}

std::string reason(int error) { return std::generic_category().message(error); }

// pread() or pwrite() until all is done; what is left undone otherwise.
template <typename Bytes, typename Transfer>
std::size_t transfer_all(int file, Bytes* bytes, std::size_t size, std::uint64_t offset,
                         Transfer transfer) {
  while (size != 0) {
    const ssize_t done = transfer(file, bytes, size, static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) break;
    bytes += done;
    offset += static_cast<std::uint64_t>(done);
    size -= static_cast<std::size_t>(done);
  }
  return size;
}

}  // namespace

struct SharedMemory::Opened {
  Region region;
  int file = -1;

  explicit Opened(Region given) : region(std::move(given)) {}
  ~Opened() {
    if (file >= 0) close(file);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
};

void SharedMemory::check_allowed() const {
  if (allowed_) return;
  throw Error(ErrorCode::kUnsupported,
              "shared memory of clients is not allowed on this server (--allow-shared-memory)");
}

void SharedMemory::add(const Region& region) {
  check_allowed();
  if (region.name.empty()) invalid("a region needs a name", region.name);
  auto opened = std::make_shared<Opened>(region);
  opened->file = shm_open(region.key.c_str(), O_RDWR | O_CLOEXEC, 0);
  if (opened->file < 0) {
    invalid(fmt::format("cannot open '{}': {}", region.key, reason(errno)), region.name);
  }
  struct stat status {};
  if (fstat(opened->file, &status) != 0) invalid(reason(errno), region.name);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (region.offset > size || region.byte_size > size - region.offset) {
    invalid(fmt::format("'{}' has {} bytes, which {} at offset {} are not within", region.key, size,
                        region.byte_size, region.offset),
            region.name);
  }
  const std::lock_guard lock(mutex_);
  if (!regions_.emplace(region.name, std::move(opened)).second) {
    invalid("it is registered already: unregister it first", region.name);
  }
}

void SharedMemory::remove(std::string_view name) {
  check_allowed();
  const std::lock_guard lock(mutex_);
  if (name.empty()) {
    regions_.clear();
  } else if (const auto it = regions_.find(name); it != regions_.end()) {
    regions_.erase(it);
  }
}

std::vector<SharedMemory::Region> SharedMemory::regions(std::string_view name) const {
  check_allowed();
  std::vector<Region> found;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, opened] : regions_) {
    if (name.empty() || key == name) found.push_back(opened->region);
  }
  if (found.empty() && !name.empty()) {
    throw Error(ErrorCode::kNotFound, fmt::format("there is no shared memory region '{}'", name));
  }
  return found;
}

std::shared_ptr<const SharedMemory::Opened> SharedMemory::find(const SharedPart& part) const {
  check_allowed();
  std::shared_ptr<const Opened> opened;
  {
    const std::lock_guard lock(mutex_);
    const auto it = regions_.find(part.region);
    if (it == regions_.end()) invalid("it is not registered", part.region);
    opened = it->second;
  }
  const std::uint64_t size = opened->region.byte_size;
  if (part.offset > size || part.byte_size > size - part.offset) {
    invalid(fmt::format("it has {} bytes, which {} at offset {} are not within", size,
                        part.byte_size, part.offset),
            part.region);
  }
  return opened;
}

void SharedMemory::read(const SharedPart& part, Buffer& out) const {
  const std::shared_ptr<const Opened> opened = find(part);
  out.clear();
  out.resize(part.byte_size);
  if (transfer_all(opened->file, out.data(), part.byte_size, opened->region.offset + part.offset,
                   pread) != 0) {
    invalid("it cannot be read as far as was registered", part.region);
  }
}

void SharedMemory::write(const SharedPart& part, std::string_view bytes) const {
  const std::shared_ptr<const Opened> opened = find(part);
  if (bytes.size() > part.byte_size) {
    invalid(fmt::format("the tensor takes {} bytes, but shared_memory_byte_size is {}",
                        bytes.size(), part.byte_size),
            part.region);
  }
  // Writing behind the end would make the client's memory larger.
  struct stat status {};
  const std::uint64_t end = opened->region.offset + part.offset + bytes.size();
  if (fstat(opened->file, &status) != 0 || static_cast<std::uint64_t>(status.st_size) < end ||
      transfer_all(opened->file, bytes.data(), bytes.size(), opened->region.offset + part.offset,
                   pwrite) != 0) {
    invalid("it cannot be written as far as was registered", part.region);
  }
}

}  // namespace kerf::protocol
