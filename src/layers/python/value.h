#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "program/program.h"

namespace kerf::layers::python {

struct Value;

struct NoneValue {};
struct EllipsisValue {};
// The mark beside a function on Python's stack.
struct NullValue {};

struct TensorValue {
  program::ValueId id = 0;
};

// The size of an axis that only a request knows.
struct Dimension {
  program::ValueId tensor = 0;
  std::size_t axis = 0;
};

// A module, function or constant of a library that kerf knows, by its path: "tf.nn.relu". "K" is
// keras.backend, "ops" keras.ops; what stands alone ("len") is Python's own.
struct Name {
  std::string path;
};

// What x.name is where it has to be called.
struct Method {
  std::shared_ptr<const Value> self;
  std::string name;
};

struct Sequence {
  bool list = false;  // else a tuple
  std::shared_ptr<const std::vector<Value>> items;
  std::size_t weight = 0;  // of it and all that it holds
};

struct Mapping {
  std::shared_ptr<const std::map<std::string, Value>> items;
};

struct SliceValue {
  std::shared_ptr<const std::array<Value, 3>> bounds;  // start, stop, step
};

// What an expression can be made of. Immutable.
struct Value {
  std::variant<NoneValue, EllipsisValue, NullValue, bool, std::int64_t, double, std::string,
               TensorValue, Dimension, Name, Method, Sequence, Mapping, SliceValue>
      data;

  template <typename T>
  const T* as() const noexcept {
    return std::get_if<T>(&data);
  }
  template <typename T>
  bool is() const noexcept {
    return std::holds_alternative<T>(data);
  }
};

}  // namespace kerf::layers::python
