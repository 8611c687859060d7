#pragma once

#include <boost/json/object.hpp>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/registry.h"

namespace kerf::layers {

// The type that kerf computes in for a type that Keras names: float32, two integer types and bool.
DType computed_dtype(DType dtype) noexcept;
// The same by name; nothing for names of no dtype, and strings.
std::optional<DType> computed_dtype(std::string_view name);

// One call of a keras.ops function, with its arguments by name: those of the call, by position or
// keyword, and those that Keras keeps in the configuration. Where an argument is a tensor, a number
// or an array may stand as well. Lives as long as the call.
class Operation {
 public:
  // `parameters` are those of the call, in order, `options` those of the configuration. The last
  // parameter takes all further positions if its name starts with '*'. Throws Error(kUnsupported)
  // for an argument that is none of them.
  Operation(LayerCall& call, const std::vector<std::string_view>& parameters,
            const std::vector<std::string_view>& options);

  LayerCall& call() noexcept { return call_; }
  program::ProgramBuilder& ops() { return call_.ops(); }
  const std::string& class_name() const { return call_.layer().class_name; }
  // All arguments that are no tensors, by name.
  const Config& arguments() const noexcept { return config_; }
  bool has(std::string_view name) const { return config_.has(name); }

  // The argument as a value; Error(kInvalidFile) if it is missing or no tensor, number or array.
  ValueId tensor(std::string_view name);
  // A part of an argument, "key"[1] say, in the same way.
  ValueId part(std::string_view name, const boost::json::value& value);
  // Several arguments, brought to the one dtype that Keras gives their combination: a number takes
  // that of the tensors where it can.
  std::vector<ValueId> promoted(std::initializer_list<std::string_view> names,
                                bool floats_only = false);
  std::vector<ValueId> promoted_list(std::string_view name);
  // A number or array that the file holds, or nothing if the argument is a tensor.
  std::optional<Tensor> literal(std::string_view name) const;

  const Shape& shape(ValueId id) { return call_.shape(id); }
  std::size_t rank(ValueId id) { return shape(id).rank(); }
  DType dtype(ValueId id) { return call_.type(id).dtype; }
  // An axis of a tensor of this rank, counted from the front.
  std::size_t axis(std::string_view name, std::int64_t fallback, std::size_t rank) const;
  std::size_t axis_at(std::string_view name, std::int64_t axis, std::size_t rank) const;
  // One axis or several, ascending; all if the argument is absent.
  std::vector<std::int64_t> axes(std::string_view name, std::size_t rank) const;
  // x and the `axis` of it that the argument of that name says; where null is written, or nothing
  // and there is no fallback, all of x as one axis.
  ValueId along(ValueId x, std::size_t& axis, std::optional<std::int64_t> fallback = {});
  // The dimension of an axis, which must be known when the file is read.
  std::int64_t known_size(ValueId x, std::size_t axis);
  // The dtype that an argument names, as kerf computes it.
  DType dtype_of(std::string_view name, DType fallback) const;

  ValueId binary(program::Binary::Kind kind, ValueId a, ValueId b);
  ValueId unary(program::Activation function, ValueId x);
  ValueId reduce(program::Reduce::Kind kind, std::vector<std::int64_t> axes, bool keep, ValueId x);
  ValueId reshape(std::vector<std::int64_t> dims, ValueId x);
  // To the dims of `like` where they are not known; see program::Reshape.
  ValueId reshape_like(std::vector<std::int64_t> dims, ValueId x, ValueId like);
  ValueId transpose(std::vector<std::int64_t> permutation, ValueId x);
  // Parts of an axis, as program::Slice; tensors side by side along one.
  ValueId slice(ValueId x, std::size_t axis, std::optional<std::int64_t> begin,
                std::optional<std::int64_t> end, std::int64_t step = 1);
  ValueId concat(std::vector<ValueId> values, std::size_t axis);
  // x without an axis of one element, or with one more.
  ValueId without_axis(ValueId x, std::size_t axis);
  ValueId with_axis(ValueId x, std::size_t axis);
  // x with two axes exchanged.
  ValueId swapped(ValueId x, std::size_t a, std::size_t b);
  ValueId select(ValueId condition, ValueId a, ValueId b);
  ValueId cast(DType to, ValueId x);
  ValueId to_float(ValueId x) { return call_.to_float(x); }
  // x != 0 for numbers.
  ValueId to_bool(ValueId x);
  // A constant of one element.
  ValueId number(double value, DType dtype);
  void output(ValueId value) { call_.output(value, {}); }

  // For arguments that make no sense, or that kerf has no code for.
  [[noreturn]] void invalid(std::string_view name, std::string message) const {
    config_.invalid(name, std::move(message));
  }
  [[noreturn]] void unsupported(std::string_view name, std::string message) const {
    config_.unsupported(name, std::move(message));
  }

 private:
  struct Argument;
  Argument read(std::string_view name, const boost::json::value& value) const;
  std::vector<ValueId> unified(const std::vector<Argument>& arguments, bool floats_only);

  LayerCall& call_;
  boost::json::object bound_;
  Config config_;
};

// Where Keras 3 has the class of an operation: "keras.src.ops.nn".
std::string operation_module(std::string_view class_name);

using LowerOperation = void (*)(Operation&);

// Registers keras.ops classes that differ in no more than their name.
void add_operations(Registry& registry, std::initializer_list<const char*> class_names,
                    std::vector<std::string_view> parameters, std::vector<std::string_view> options,
                    LowerOperation lower);

}  // namespace kerf::layers
