#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/compiled_plan.h"
#include "engine/memory_plan.h"
#include "engine/placement.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

using program::Instruction;
using program::Program;
using program::ValueId;
using program::ValueType;

// What calling a kernel costs beside its work.
constexpr double kStepSeconds = 5e-9;

constexpr std::uint32_t kNone = ~std::uint32_t{0};

// Memory that one or more values lie in: those of one root (placement.h), and a result that
// overwrites an operand.
struct Storage {
  enum class Kind : std::uint8_t { kWorkspace, kConstant, kFeed, kFetch } kind = Kind::kWorkspace;
  std::uint32_t index = 0;  // of the feed or the fetch
  const void* constant = nullptr;
  Buffer buffer;  // kWorkspace: `last` grows as values join
};

class Compiler {
 public:
  Compiler(std::shared_ptr<const Program> program, std::span<const Shape> feed_shapes,
           program::ConstantCache& cache, const CompileOptions& options)
      : program_(*program),
        cache_(cache),
        memory_limit_(options.memory_limit),
        precision_(options.precision),
        keep_exact_(options.keep_exact) {
    parts_.program = std::move(program);
    bind_feeds(feed_shapes);
  }

  std::shared_ptr<const Plan> compile() {
    find_types();
    placements_ = place_values(program_, types_);
    make_kernels();
    find_last_uses();
    find_storages();
    place_arguments();
    return std::make_shared<CompiledPlan>(std::move(parts_));
  }

 private:
  void bind_feeds(std::span<const Shape> shapes);
  void find_types();
  void make_kernels();
  void find_last_uses();
  std::vector<bool> find_reads() const;
  void find_storages();
  void store_results(std::size_t step, const Instruction& instruction, const Kernel& kernel);
  std::optional<std::uint32_t> overwritable(std::size_t step, const Instruction& instruction,
                                            const Kernel& kernel, std::size_t bytes) const;
  void place_arguments();
  ValueId root_of(ValueId id) const { return placements_.values[id].root; }
  Place place_of(ValueId id) const {
    const Placement& at = placements_.values[id];
    return place_at(storages_[at.root], at.offset);
  }
  Place place_at(std::uint32_t storage, std::size_t offset) const;
  const void* elements_of(const Constant& constant);
  std::size_t bytes_of(const ValueType& type) const;  // throws above the limit
  std::vector<ValueType> types_of(const std::vector<ValueId>& ids) const;
  const std::string& source_of(const Instruction& instruction) const;

  const Program& program_;
  program::ConstantCache& cache_;
  std::size_t memory_limit_;
  Precision precision_;
  bool keep_exact_;
  CompiledPlan::Parts parts_;

  // By value.
  std::vector<ValueType> types_;
  Placements placements_;
  std::vector<std::size_t> last_uses_;   // by root: the last step that reads it
  std::vector<std::uint32_t> claims_;    // by root: the fetch that it is written into, or kNone
  std::vector<std::uint32_t> storages_;  // by root: index into storage_

  std::vector<const Instruction*> instructions_;  // by step
  std::vector<Storage> storage_;
  std::vector<std::uint32_t> scratch_;  // by step: index into storage_
};

std::size_t Compiler::bytes_of(const ValueType& type) const {
  const std::size_t size = element_size(type.dtype);
  const auto count = static_cast<std::size_t>(type.shape.element_count());
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > memory_limit_) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("a {} tensor of shape {} is larger than the limit of {} bytes: feed a "
                            "smaller batch",
                            dtype_name(type.dtype), type.shape.to_string(), memory_limit_));
  }
  return bytes;
}

std::vector<ValueType> Compiler::types_of(const std::vector<ValueId>& ids) const {
  std::vector<ValueType> types;
  types.reserve(ids.size());
  for (const ValueId id : ids) types.push_back(types_[id]);
  return types;
}

const std::string& Compiler::source_of(const Instruction& instruction) const {
  static const std::string kNowhere;
  return instruction.source < program_.sources.size() ? program_.sources[instruction.source]
                                                      : kNowhere;
}

void Compiler::bind_feeds(std::span<const Shape> shapes) {
  types_.resize(program_.values.size());
  if (shapes.size() != program_.feeds.size()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} tensors are fed, but {} are needed",
                                                         shapes.size(), program_.feeds.size()));
  }
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const ValueType& declared = program_.values[program_.feeds[i]].type;
    if (!shapes[i].is_static() || !declared.shape.accepts(shapes[i])) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("feed {} has the shape {}, but {} is expected", i,
                              shapes[i].to_string(), declared.shape.to_string()));
    }
    types_[program_.feeds[i]] = {declared.dtype, shapes[i]};
    bytes_of(types_[program_.feeds[i]]);
    parts_.feeds.push_back(types_[program_.feeds[i]]);
  }
  for (std::size_t i = 0; i < types_.size(); ++i) {
    if (program_.is_constant(static_cast<ValueId>(i))) {
      types_[i] = {program_.values[i].constant.dtype(), program_.values[i].constant.shape()};
    }
  }
}

void Compiler::find_types() {
  for (const Instruction& instruction : program_.instructions) {
    try {
      const std::vector<ValueType> results =
          program::infer(instruction.op, types_of(instruction.operands));
      for (std::size_t i = 0; i < instruction.results.size(); ++i) {
        bytes_of(results[i]);
        types_[instruction.results[i]] = results[i];
      }
    } catch (const Error& error) {
      throw error.within(source_of(instruction));
    }
  }
  for (const ValueId fetch : program_.fetches) parts_.fetches.push_back(types_[fetch]);
}

// An instruction of which placement left nothing to do needs no kernel, and neither does one whose
// results are empty.
void Compiler::make_kernels() {
  for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
    const Instruction& instruction = program_.instructions[i];
    if (placements_.elided[i]) continue;
    const std::vector<ValueType> operands = types_of(instruction.operands);
    const std::vector<ValueType> results = types_of(instruction.results);
    if (std::ranges::all_of(results, [this](const ValueType& t) { return bytes_of(t) == 0; })) {
      continue;
    }
    std::vector<Constant> constants;
    for (const ValueId id : instruction.operands) {
      constants.push_back(program_.values[id].constant);
    }
    const std::size_t stride = placements_.values[instruction.results[0]].stride;
    const KernelSpec spec{operands, results, constants, cache_, precision_, keep_exact_, stride};
    Step step;
    try {
      step.kernel = std::visit(
          [&spec](const auto& op) -> KernelPtr {
            if constexpr (std::is_same_v<std::decay_t<decltype(op)>, program::Reshape>) {
              return nullptr;
            } else {
              return make_kernel(op, spec);
            }
          },
          instruction.op);
    } catch (const Error& error) {
      throw error.within(source_of(instruction));
    }
    step.entry = {.source = source_of(instruction),
                  .op = program::describe(instruction.op),
                  .flops = program::flops(instruction.op, operands, results)};
    if (const std::string_view method = step.kernel->method(); !method.empty()) {
      step.entry.op.append(" by ").append(method);
    }
    parts_.flops += step.entry.flops;
    parts_.estimated_seconds += kStepSeconds + step.kernel->estimated_seconds();
    parts_.steps.push_back(std::move(step));
    instructions_.push_back(&instruction);
  }
}

void Compiler::find_last_uses() {
  last_uses_.assign(types_.size(), 0);
  for (std::size_t step = 0; step < instructions_.size(); ++step) {
    for (const ValueId id : instructions_[step]->operands) last_uses_[root_of(id)] = step;
    for (const ValueId id : instructions_[step]->results) last_uses_[root_of(id)] = step;
  }
  // A part of a value is copied into a fetch after the last step.
  for (const ValueId fetch : program_.fetches) last_uses_[root_of(fetch)] = instructions_.size();
}

// The operand whose memory the first result may take, if there is one: it fills it and dies here,
// and so do all uses of the same memory.
std::optional<std::uint32_t> Compiler::overwritable(std::size_t step,
                                                    const Instruction& instruction,
                                                    const Kernel& kernel, std::size_t bytes) const {
  const std::vector<ValueId>& operands = instruction.operands;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const std::uint32_t candidate = storages_[root_of(operands[i])];
    if (candidate == kNone) continue;  // empty
    const Storage& storage = storage_[candidate];
    if (storage.kind != Storage::Kind::kWorkspace || storage.buffer.last != step ||
        storage.buffer.bytes != bytes) {
      continue;
    }
    bool allowed = true;
    for (std::size_t j = 0; j < operands.size() && allowed; ++j) {
      if (storages_[root_of(operands[j])] != candidate) continue;
      allowed = kernel.may_overwrite(j) && bytes_of(types_[operands[j]]) == bytes;
    }
    if (allowed) return candidate;
  }
  return std::nullopt;
}

void Compiler::store_results(std::size_t step, const Instruction& instruction,
                             const Kernel& kernel) {
  for (std::size_t i = 0; i < instruction.results.size(); ++i) {
    const ValueId id = instruction.results[i];
    const ValueId root = root_of(id);
    if (storages_[root] != kNone) continue;  // since another part of it was computed
    const std::size_t bytes = bytes_of(types_[root]);
    if (claims_[root] != kNone) {
      storages_[root] = static_cast<std::uint32_t>(storage_.size());
      storage_.push_back({.kind = Storage::Kind::kFetch, .index = claims_[root]});
      continue;
    }
    if (i == 0 && root == id) {
      if (const auto taken = overwritable(step, instruction, kernel, bytes)) {
        storages_[id] = *taken;
        storage_[*taken].buffer.last = last_uses_[id];
        continue;
      }
    }
    storages_[root] = static_cast<std::uint32_t>(storage_.size());
    storage_.push_back({.buffer = {.bytes = bytes, .first = step, .last = last_uses_[root]}});
  }
}

// A constant as kernels read it. Strings are read through views, which are made once per model.
const void* Compiler::elements_of(const Constant& constant) {
  parts_.kept.push_back(constant.elements());
  if (constant.dtype() != DType::kString) return parts_.kept.back().data();
  const Constant views = cache_.get(
      {.derivation = "views of strings", .sources = {constant.identity()}}, {&constant, 1}, [&] {
        const std::vector<std::string_view> strings = parts_.kept.back().strings();
        const auto bytes = std::as_bytes(std::span(strings));
        return Tensor::copy_of(DType::kUInt8, {std::ssize(bytes)}, bytes);
      });
  parts_.kept.push_back(views.elements());
  return parts_.kept.back().data();
}

// By root: whether a kernel or the caller reads its elements.
std::vector<bool> Compiler::find_reads() const {
  std::vector<bool> read(types_.size());
  for (std::size_t step = 0; step < instructions_.size(); ++step) {
    const std::vector<ValueId>& operands = instructions_[step]->operands;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (parts_.steps[step].kernel->reads(i)) read[root_of(operands[i])] = true;
    }
  }
  for (const ValueId fetch : program_.fetches) read[root_of(fetch)] = true;
  return read;
}

void Compiler::find_storages() {
  storages_.assign(types_.size(), kNone);
  const auto store = [this](ValueId id, const Storage& storage) {
    storages_[id] = static_cast<std::uint32_t>(storage_.size());
    storage_.push_back(storage);
  };
  for (std::size_t i = 0; i < program_.feeds.size(); ++i) {
    store(program_.feeds[i],
          {.kind = Storage::Kind::kFeed, .index = static_cast<std::uint32_t>(i)});
  }
  const std::vector<bool> read = find_reads();
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (program_.is_constant(id) && read[id]) {
      store(id, {.kind = Storage::Kind::kConstant,
                 .constant = elements_of(program_.values[id].constant)});
    }
  }
  // A fetched value is computed in the caller's memory, and read from there by later steps.
  claims_.assign(types_.size(), kNone);
  for (std::size_t i = 0; i < program_.fetches.size(); ++i) {
    const ValueId root = root_of(program_.fetches[i]);
    if (storages_[root] == kNone && claims_[root] == kNone &&
        bytes_of(types_[root]) == bytes_of(parts_.fetches[i])) {
      claims_[root] = static_cast<std::uint32_t>(i);
    }
  }
  for (std::size_t step = 0; step < instructions_.size(); ++step) {
    const Kernel& kernel = *parts_.steps[step].kernel;
    store_results(step, *instructions_[step], kernel);
    scratch_.push_back(kNone);
    if (const std::size_t bytes = kernel.scratch_bytes(); bytes != 0) {
      scratch_.back() = static_cast<std::uint32_t>(storage_.size());
      storage_.push_back({.buffer = {.bytes = bytes, .first = step, .last = step}});
    }
  }
}

Place Compiler::place_at(std::uint32_t index, std::size_t offset) const {
  if (index == kNone) return {};  // empty, or not read
  const Storage& storage = storage_[index];
  switch (storage.kind) {
    case Storage::Kind::kConstant:
      return {Place::kAbsolute, reinterpret_cast<std::uintptr_t>(storage.constant) + offset};
    case Storage::Kind::kFeed:
      return {Place::kFirstFeed + storage.index, offset};
    case Storage::Kind::kFetch:
      return {static_cast<std::uint32_t>(Place::kFirstFeed + parts_.feeds.size()) + storage.index,
              offset};
    case Storage::Kind::kWorkspace:
      break;
  }
  return {Place::kWorkspace, storage.buffer.offset + offset};
}

void Compiler::place_arguments() {
  std::vector<Buffer> buffers;
  std::vector<std::uint32_t> owners;
  for (std::uint32_t i = 0; i < storage_.size(); ++i) {
    if (storage_[i].kind != Storage::Kind::kWorkspace) continue;
    buffers.push_back(storage_[i].buffer);
    owners.push_back(i);
  }
  const std::size_t arena = lay_out(buffers);

  std::size_t places = 0;
  for (const Instruction* instruction : instructions_) {
    places += instruction->operands.size() + instruction->results.size() + 1;
  }
  places += 2 * program_.fetches.size();
  const std::size_t table =
      CompiledPlan::table_bytes(places, parts_.feeds.size(), parts_.fetches.size());
  std::size_t total = arena;
  bool fits =
      !__builtin_add_overflow(table, arena, &parts_.workspace_bytes) && arena <= memory_limit_;
  for (const ValueType& fetch : parts_.fetches) {
    fits =
        fits && !__builtin_add_overflow(total, bytes_of(fetch), &total) && total <= memory_limit_;
  }
  if (!fits) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("a run needs more memory, with its results, than the limit of {} "
                            "bytes: feed a smaller batch",
                            memory_limit_));
  }
  for (std::size_t i = 0; i < owners.size(); ++i) {
    storage_[owners[i]].buffer.offset = table + buffers[i].offset;
  }

  parts_.places.reserve(places);
  const auto append = [this](const Place& place) {
    parts_.places.push_back(place);
    return static_cast<std::uint32_t>(parts_.places.size() - 1);
  };
  for (std::size_t i = 0; i < instructions_.size(); ++i) {
    const Instruction& instruction = *instructions_[i];
    Step& step = parts_.steps[i];
    step.first = static_cast<std::uint32_t>(parts_.places.size());
    step.operands = static_cast<std::uint32_t>(instruction.operands.size());
    step.results = static_cast<std::uint32_t>(instruction.results.size());
    for (const ValueId id : instruction.operands) append(place_of(id));
    for (const ValueId id : instruction.results) append(place_of(id));
    append(place_at(scratch_[i], 0));
  }
  for (std::size_t i = 0; i < program_.fetches.size(); ++i) {
    const ValueId root = root_of(program_.fetches[i]);
    const std::size_t bytes = bytes_of(parts_.fetches[i]);
    if (bytes == 0 || claims_[root] == i) continue;
    parts_.copies.push_back({.first = append(place_of(program_.fetches[i])), .bytes = bytes});
    append({static_cast<std::uint32_t>(Place::kFirstFeed + parts_.feeds.size() + i), 0});
  }
}

}  // namespace

std::shared_ptr<const Plan> Plan::compile(std::shared_ptr<const Program> program,
                                          std::span<const Shape> feed_shapes,
                                          program::ConstantCache& cache,
                                          const CompileOptions& options) {
  return Compiler(std::move(program), feed_shapes, cache, options).compile();
}

}  // namespace kerf::engine
