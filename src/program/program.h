#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "kerf/tensor.h"
#include "program/op.h"
#include "tensor/constant.h"

namespace kerf::program {

using ValueId = std::uint32_t;

// A value of the program: a feed, a constant, or one result of one instruction.
struct Value {
  ValueType type;
  Constant constant;  // not empty for constants
};

struct Instruction {
  Op op;
  std::vector<ValueId> operands;
  std::vector<ValueId> results;
  std::uint32_t source = 0;  // index into Program::sources(): the layer call it came from
};

// Straight-line code over values, each assigned once: what a cut computes, in ops. Immutable once
// it leaves the lowering and the passes; shared by any threads. Shapes may have unknown dimensions;
// a Plan fixes them.
struct Program {
  std::vector<Value> values;
  std::vector<Instruction> instructions;  // in execution order
  std::vector<ValueId> feeds;
  std::vector<ValueId> fetches;      // may name feeds, constants, and a value twice
  std::vector<std::string> sources;  // addresses of the layer calls, for profiles and errors

  bool is_constant(ValueId id) const noexcept { return !values[id].constant.empty(); }
  std::string to_string() const;  // one instruction a line: `kerf inspect --program`
};

// Appends checked instructions to a Program.
class ProgramBuilder {
 public:
  ValueId feed(const ValueType& type);
  ValueId constant(Constant value);
  // A value known only by its type: what stands for a weight before the weights are read.
  ValueId placeholder(const ValueType& type);
  // Appends `op` and returns its results. Throws as infer() does.
  std::vector<ValueId> append_all(Op op, std::vector<ValueId> operands);
  // The same for ops with one result.
  ValueId append(Op op, std::vector<ValueId> operands);
  const ValueType& type(ValueId id) const noexcept { return program_.values[id].type; }
  const Program& peek() const noexcept { return program_; }
  // Instructions appended from now on come from the layer call at this address.
  void set_source(std::string address);
  void fetch(ValueId id) { program_.fetches.push_back(id); }
  Program build();

 private:
  Program program_;
};

// Tensors derived from constants (folded, transposed, packed), made once per model and shared by
// every program and plan of it. The key names the derivation and the identities of the constants it
// starts from; an entry keeps its sources alive, so that an identity in a key is never reused. Any
// thread may call; two that want the same missing entry at once wait for one making it.
class ConstantCache {
 public:
  struct Key {
    std::string derivation;
    std::vector<const void*> sources;
    friend bool operator==(const Key&, const Key&) = default;
  };
  Constant get(const Key& key, std::span<const Constant> keep_alive,
               const std::function<Tensor()>& make);
  // Of what is held, in memory.
  std::size_t byte_size() const;

 private:
  struct Entry;
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  mutable std::mutex mutex_;
  std::unordered_map<Key, std::shared_ptr<Entry>, KeyHash> entries_;
};

// Applies every pass (see passes/), in the order of one list, and returns the optimised program.
Program optimize(Program program, ConstantCache& cache);

}  // namespace kerf::program
