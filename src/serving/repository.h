#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "serving/limits.h"
#include "serving/snapshot.h"

namespace kerf::serving {

// A model file to serve, and as what.
struct ModelFile {
  std::string name;
  std::string version = "1";
  std::filesystem::path path;
};

// The models below these paths. A path is
//   a model file, or the folder of an unzipped `.keras` file: one model, called as the file without
//     its extension (or as the folder);
//   a folder of version folders (`NAME/1/model.keras`): one model, called as the folder;
//   a folder of any of these: all of them.
// "NAME=PATH" gives a model, or the only model below a folder, another name. Throws
// Error(kNotFound) for a path that does not exist or holds no model, Error(kInvalidArgument) for
// two models of one name and version.
std::vector<ModelFile> find_models(std::span<const std::string> paths);

struct LoadSettings {
  Limits limits;
  unsigned threads = 0;  // files read at once; 0 = one per core
  // Called as files are done, one call at a time: the model, and the seconds it took.
  std::function<void(const ServedModel&, double)> loaded;
  // The share of all that is done, 0 to 1. May be called from several threads, one at a time.
  std::function<void(double)> progress;
};

// The models a server serves, which may change while it serves them. Any thread may call anything.
class Repository {
 public:
  Repository() = default;
  explicit Repository(Snapshot snapshot);
  // Loads every file, several at once, and compiles what a plain call of one sample needs. Throws
  // one Error naming every file that cannot be served, and why.
  static std::shared_ptr<Repository> load(std::span<const ModelFile> files,
                                          const LoadSettings& settings = {});

  std::shared_ptr<const Snapshot> snapshot() const;
  // Makes this what is served from now on. Who reads goes on with what it holds.
  void publish(Snapshot snapshot);

  // What one thread at a time sees of a repository, at the cost of reading a number that seldom
  // changes: no lock, and no reference count that threads would fight over.
  class Reader {
   public:
    explicit Reader(const Repository& repository) : repository_(repository) {}

    // What is served now. The reference is good until the next call or rest().
    const Snapshot& snapshot() {
      if (stale()) refresh();
      return *snapshot_;
    }
    // There is something newer than what snapshot() last gave.
    bool stale() const noexcept {
      return generation_ != repository_.generation_.load(std::memory_order_acquire);
    }
    // Holds nothing until the next call, so that old versions can go.
    void rest() noexcept;

   private:
    void refresh();

    const Repository& repository_;
    std::uint64_t generation_ = 0;  // no snapshot has this one
    std::shared_ptr<const Snapshot> snapshot_;
  };

 private:
  mutable std::mutex mutex_;  // guards the two below, for moments
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
  std::atomic<std::uint64_t> generation_ = 1;  // grows with each snapshot; written under the lock
};

}  // namespace kerf::serving
