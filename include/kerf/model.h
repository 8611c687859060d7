#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/error.h"
#include "kerf/extensions.h"
#include "kerf/precision.h"
#include "kerf/tensor.h"

namespace kerf {

// The name, dtype and shape of a tensor of a model. Unknown dimensions (the batch) are
// Shape::kUnknown.
struct TensorInfo {
  std::string name;  // the address it was asked for by, or the model's own name for a port
  DType dtype = DType::kFloat32;
  Shape shape;
};

struct LoadOptions {
  // Called now and then from the loading thread with the share done, 0 to 1.
  std::function<void(double)> progress;
  // What the layers compute that are not Keras' own.
  Extensions extensions;
  // The file of weights of a model's configuration in JSON. Empty: the one beside it.
  std::filesystem::path weights;
  // What its cuts are computed in. A matrix is not kept in float32 beside, so that a cut that is
  // written has it as it was rounded.
  Precision precision = Precision::kFloat32;
};

struct CutOptions {
  // A feed that no fetch needs is an error; otherwise it is listed in Cut::unused_feeds().
  bool strict = true;
};

// Threads that large runs are split over; shared by any number of concurrent runs.
class Threads {
 public:
  explicit Threads(unsigned count = 0);  // counts the calling thread; 0 = one per core
  unsigned count() const noexcept;

 private:
  friend class Plan;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// Scratch memory for one run at a time, of any plan; grows to the largest need. Not shared between
// threads.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;

 private:
  friend class Plan;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Time one op of one layer call took in a profiled run.
struct ProfileEntry {
  std::string layer;
  std::string op;
  double seconds = 0;
  double flops = 0;
};

// A cut compiled for concrete shapes. Immutable; any number of threads may run it at once, each
// with a Workspace of its own. A cheap handle.
class Plan {
 public:
  const std::vector<TensorInfo>& feeds() const noexcept;
  const std::vector<TensorInfo>& fetches() const noexcept;
  double flops() const noexcept;
  // A rough time on one core, in seconds, for scheduling.
  double estimated_seconds() const noexcept;

  // Runs. feeds[i] points to dense row-major elements of feeds()[i], fetches[i] to room for
  // fetches()[i], each of element_size() bytes. A string is a std::string_view there: a run copies
  // no characters, so those that are fetched lie in the memory of the feeds, which must still be
  // there, or in the model, which lives as long as this plan. Allocates nothing once `workspace` is
  // warm. Throws Error(kInvalidArgument) only for data that cannot be computed on (an id outside an
  // embedding's table).
  void run(std::span<const void* const> feeds, std::span<void* const> fetches, Workspace& workspace,
           const Threads* threads = nullptr) const;
  std::vector<ProfileEntry> profile(std::span<const void* const> feeds,
                                    std::span<void* const> fetches, Workspace& workspace,
                                    const Threads* threads = nullptr) const;

 private:
  friend class Cut;
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// The part of a model between the tensors that are fed and the tensors that are fetched. Immutable,
// safe to use from any thread; a cheap handle that keeps the model's weights alive.
class Cut {
 public:
  const std::vector<TensorInfo>& feeds() const noexcept;
  const std::vector<TensorInfo>& fetches() const noexcept;
  // Addresses that were fed although no fetch needs them (non-strict cuts).
  const std::vector<std::string>& unused_feeds() const noexcept;

  // The plan for these feed shapes (in the order of feeds(), batch included): from a bounded cache,
  // compiled on first use. Throws Error(kInvalidArgument) for shapes the cut cannot take.
  Plan plan(std::span<const Shape> feed_shapes) const;
  // Whether row i of every fetch depends on row i of the feeds alone, rows being what lies along
  // their first axis: so that calls may be put together along it, and their results taken apart.
  // False where that cannot be proved. `feed_shapes` as for plan(); their first dimension does not
  // matter.
  bool rows_are_independent(std::span<const Shape> feed_shapes) const;
  // Plans, runs, and returns the fetched tensors. Feeds of another numeric dtype are converted;
  // strings and numbers never are into each other: Error(kInvalidArgument).
  std::vector<Tensor> run(std::span<const Tensor> feeds, const Threads* threads = nullptr) const;

  // Writes the cut as a Keras 3 `.keras` file with its own copy of the weights it needs.
  void write(const std::filesystem::path& file) const;
  // The ops it is lowered to, one a line, and which results are computed in the memory of others.
  std::string program_text() const;

 private:
  friend class Model;
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// A single-tensor cut point: every path from the inputs to the outputs passes through it.
struct CutPoint {
  TensorInfo tensor;
  std::int64_t bytes_per_sample = 0;
  double flops_before = 0;  // per sample
  double flops_after = 0;
};

// A model as it was saved: an immutable graph with its weights. Any thread may use any Model;
// copies share everything. Cuts and plans keep what they need of it alive.
class Model {
 public:
  // Reads a `.keras` file, an unzipped one (a folder), or a whole-model HDF5 file. Throws Error.
  static Model load(const std::filesystem::path& file, const LoadOptions& options = {});

  // The same model, its weights not read again and kept as they are, whose cuts are computed in
  // this precision: to compare. Precondition: it was loaded in float32.
  Model with_precision(Precision precision) const;
  Precision precision() const noexcept;

  const std::string& name() const noexcept;  // as saved in the file
  const std::vector<TensorInfo>& inputs() const noexcept;
  const std::vector<TensorInfo>& outputs() const noexcept;
  std::int64_t parameter_count() const noexcept;
  // Bytes of weights in memory, in the forms in which they are held by now.
  std::size_t memory_bytes() const;

  // From the model's inputs to its outputs.
  Cut whole() const;
  // Between tensor addresses (see README, "Addresses"). Empty `feeds`: the model's inputs that the
  // fetches need. Empty `fetches`: the model's outputs. Throws Error(kNotFound) for unknown and
  // Error(kInvalidArgument) for ambiguous addresses and cuts that cannot be computed.
  Cut cut(std::span<const std::string> feeds, std::span<const std::string> fetches,
          const CutOptions& options = {}) const;

  // Every tensor of the model under its shortest address, in execution order.
  std::vector<TensorInfo> tensors() const;
  std::vector<CutPoint> cut_points() const;
  // The graph: layers, addresses, shapes, dtypes, parameters, cut points. A table, JSON, or DOT.
  std::string summary() const;
  std::string to_json() const;
  std::string to_dot() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

// Everything that keeps kerf from serving this file, one message each; empty if it can be served.
std::vector<std::string> check_model(const std::filesystem::path& file,
                                     const LoadOptions& options = {});

}  // namespace kerf
