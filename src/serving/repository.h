#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "serving/file_stamp.h"
#include "serving/find_models.h"
#include "serving/load_models.h"
#include "serving/published.h"
#include "serving/reaper.h"
#include "serving/snapshot.h"

namespace kerf::serving {

// Who decides, while a server runs, which models it serves.
enum class ModelControl : std::uint8_t {
  kNone,      // nobody: what was there at the start
  kExplicit,  // whoever calls load_model() and unload_model()
  kPoll,      // the files: new versions are loaded and changed ones again, what is gone is unloaded
};

// Something that happened to a model, for logs.
struct RepositoryEvent {
  enum class Kind : std::uint8_t { kLoaded, kFailed, kUnloaded, kProblem, kNote };
  Kind kind = Kind::kNote;
  std::string model;    // empty where it is about no model in particular
  std::string version;  // likewise
  std::string text;     // the error, for kFailed; the precision, for kLoaded
  double seconds = 0;   // that loading took
};

struct RepositorySettings {
  LoadSettings loading;  // for the first time; later it is done in the background
  ModelControl control = ModelControl::kNone;
  std::chrono::milliseconds poll_interval{1000};
  std::function<void(const RepositoryEvent&)> event;  // called by any thread, one at a time
};

// The models a server serves, which may change while it serves them. A new version of a model, or
// one whose file has changed, is made beside the old one, with the plans that the old one's calls
// use; then it is exchanged, and the old one goes when its last call has ended. What cannot be
// loaded leaves things as they were: its error stands in the snapshot. Any thread may call
// anything.
class Repository {
 public:
  explicit Repository(RepositorySettings settings = {});
  // Serves these and nothing else, for good.
  explicit Repository(Snapshot snapshot);
  ~Repository();
  Repository(const Repository&) = delete;
  Repository& operator=(const Repository&) = delete;

  // A repository of just these files. Throws one Error naming every file that cannot be served, and
  // why.
  static std::shared_ptr<Repository> load(std::span<const ModelFile> files,
                                          const LoadSettings& settings = {});

  std::shared_ptr<const Snapshot> snapshot() const { return snapshot_.get(); }
  // Makes this what is served from now on. Who reads goes on with what it holds.
  void publish(Snapshot snapshot) { snapshot_.publish(std::move(snapshot)); }
  // Every model that was to be served at the start has been.
  bool started() const noexcept { return started_.load(std::memory_order_relaxed); }

  // Serves what lies at these places from now on, and returns when it does: what is new or has
  // changed is loaded, what is no longer asked for unloaded. With ModelControl::kPoll the files are
  // watched from now on. Returns what went wrong, a message each.
  std::vector<std::string> configure(std::vector<ModelSpec> specs);

  // Loads a model that was found at one of the places, or loads it again, in the versions that are
  // to be served; returns when it is served. Throws Error(kUnavailable) unless control is
  // kExplicit, Error(kNotFound) for an unknown name, and what loading throws.
  void load_model(std::string_view name);
  // Takes a model out of service; its calls end as they would have. Throws as load_model().
  void unload_model(std::string_view name);
  // Looks at the files, as it is done every poll interval. A file that is not as it was is loaded
  // when it has stayed the same from one call to the next: until then it may be half-written.
  void poll();

  // What one thread at a time sees of a repository.
  class Reader : public Published<Snapshot>::Reader {
   public:
    explicit Reader(const Repository& repository)
        : Published<Snapshot>::Reader(repository.snapshot_) {}
    // What is served now. The reference is good until the next call or rest().
    const Snapshot& snapshot() { return get(); }
  };

 private:
  struct Slot;
  struct Known;
  struct Update;

  void check_explicit() const;
  std::vector<std::string> update(const Update& what);
  void find_work(const FoundModel& found, const Update& what, std::vector<LoadJob>& jobs,
                 std::vector<std::string>& failures);
  void remove_unwanted(const Scan& scan);
  void publish_known();
  void tell(RepositoryEvent event) const;
  void tell_problems(const std::vector<std::string>& problems);
  void watch();

  RepositorySettings settings_;
  Reaper reaper_;
  std::mutex changing_;  // held while something is loaded or unloaded; guards what follows
  std::vector<ModelSpec> specs_;
  std::map<std::string, Known, std::less<>> known_;
  std::set<std::string> told_;  // problems that are known
  std::atomic<bool> started_ = false;

  Published<Snapshot> snapshot_;

  std::mutex watching_;  // guards the flag
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread watcher_;
};

}  // namespace kerf::serving
