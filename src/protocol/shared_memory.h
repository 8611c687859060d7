#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/buffer.h"
#include "protocol/infer_request.h"

namespace kerf::protocol {

// The regions of POSIX shared memory that clients on this machine have registered, to send and get
// tensors by. They are read and written by calls, not mapped: a client that shrinks its memory gets
// an error, where a mapping would end the server. Any thread may call anything.
class SharedMemory {
 public:
  // Unless allowed, every call throws Error(kUnsupported).
  explicit SharedMemory(bool allowed) : allowed_(allowed) {}

  struct Region {
    std::string name;
    std::string key;  // as shm_open() takes it
    std::uint64_t offset = 0;
    std::uint64_t byte_size = 0;
  };

  // Throws Error(kInvalidArgument) for a name that is taken, a key that cannot be opened, and a
  // size beyond the object's.
  void add(const Region& region);
  // With an empty name all. Unknown names are no error.
  void remove(std::string_view name);
  // With an empty name all. Throws Error(kNotFound).
  std::vector<Region> regions(std::string_view name) const;

  // Replaces `out` by the bytes of a part. Throws Error(kInvalidArgument) for an unknown region and
  // a part beyond its end.
  void read(const SharedPart& part, Buffer& out) const;
  // Throws also where the part is smaller than `bytes`.
  void write(const SharedPart& part, std::string_view bytes) const;

 private:
  struct Opened;
  void check_allowed() const;
  std::shared_ptr<const Opened> find(const SharedPart& part) const;

  bool allowed_;
  mutable std::mutex mutex_;  // guards the map, for moments
  std::map<std::string, std::shared_ptr<const Opened>, std::less<>> regions_;
};

}  // namespace kerf::protocol
