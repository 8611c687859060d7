#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kerf/precision.h"
#include "program/program.h"

namespace kerf::engine {

class ThreadPool;

// What a kernel is made for: one op over operands and results of these concrete types.
struct KernelSpec {
  std::span<const program::ValueType> operands;
  std::span<const program::ValueType> results;
  std::span<const Constant> constants;  // parallel to operands; empty where not constant
  program::ConstantCache& cache;        // packed weights come from here and are shared by all plans
  Precision precision = Precision::kFloat32;  // of matrices among the constants
  bool keep_exact = true;                     // false: who asks for one gets it as it was rounded
  // Elements from each row of results[0]'s last axis to the next, where they are apart; 0 where the
  // result is dense. Only for operations that writes_rows_apart() (placement.h) names.
  std::size_t result_stride = 0;
};

// What one run of a kernel works on. Elements are dense and row-major; a pointer is aligned as its
// dtype needs, no more (feeds and fetches are the caller's memory).
struct KernelRun {
  const void* const* operands;  // constants as stored; null where the kernel does not read them.
                                // Strings are std::string_views, and are moved as such
  void* const* results;
  std::byte* scratch;    // scratch_bytes() of them, 64-byte aligned
  ThreadPool* pool;      // nullptr: this thread alone
  std::string* failure;  // set if run() returns false
};

// The code of one instruction of a plan: chosen once for its shapes, then run by any number of
// threads at once. Immutable.
class Kernel {
 public:
  virtual ~Kernel() = default;
  // False, with a message in run.failure, only for data that cannot be computed on. Allocates
  // nothing otherwise.
  virtual bool run(const KernelRun& run) const noexcept = 0;
  virtual std::size_t scratch_bytes() const noexcept { return 0; }
  // False for a constant operand that it has a form of its own of, and does not look at in a run.
  virtual bool reads(std::size_t /*operand*/) const noexcept { return true; }
  // True if a result may be given the memory of operand i, of equal size, when that dies here.
  virtual bool may_overwrite(std::size_t /*operand*/) const noexcept { return false; }
  // How it computes, where that is not the obvious way: for profiles.
  virtual std::string_view method() const noexcept { return {}; }
  // A rough time on one core, in seconds.
  virtual double estimated_seconds() const noexcept = 0;
};

using KernelPtr = std::unique_ptr<const Kernel>;

// One overload per op but Reshape (its result lies where its operand does), each in the file of its
// family under kernels/. Throw Error(kUnsupported) for a combination that has no kernel.
KernelPtr make_kernel(const program::Linear& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::MatMul& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Conv& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::DepthwiseConv& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::ConvTranspose& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Pool& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Reduce& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Unary& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Binary& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Not& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Select& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Affine& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Chain& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Softmax& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Sparsemax& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::LayerNorm& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::L2Normalize& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Gather& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Transpose& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Concat& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Slice& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Pad& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Tile& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Resample& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::ArgReduce& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Cumulate& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::ArgSort& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::TakeAlong& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Lookup& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Hash& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::CrossHash& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::TokenIds& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::TokenCounts& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Cast& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Recurrent& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::ConvLstm& op, const KernelSpec& spec);
KernelPtr make_kernel(const program::Attention& op, const KernelSpec& spec);

}  // namespace kerf::engine
