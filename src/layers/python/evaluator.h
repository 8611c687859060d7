#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "layers/foreign_function.h"
#include "layers/python/instructions.h"
#include "layers/python/value.h"
#include "layers/registry.h"

namespace kerf::layers::python {

using Keywords = std::map<std::string, Value, std::less<>>;

// Computes with Python's values as an expression does, and appends to a layer's program what
// happens to tensors. Numbers, shapes and the like are known when a file is read, and are computed
// then. Nothing but the functions that kerf knows can be called. Every function throws
// Error(kUnsupported) with the layer for what kerf cannot compute. Lives as long as one call.
class Evaluator {
 public:
  explicit Evaluator(LayerCall& call) : call_(call) {}

  LayerCall& layer() noexcept { return call_; }

  // A name that is not bound in the expression.
  Value global(std::string_view name) const;
  // `import module`; the module itself rather than its outermost package if `whole`.
  Value import(std::string_view module, bool whole);
  Value attribute(const Value& value, std::string_view name);
  Value call(const Value& function, const std::vector<Value>& arguments, const Keywords& keywords);

  Value binary(BinaryOperator op, const Value& a, const Value& b);
  Value compare(Comparison comparison, const Value& a, const Value& b);
  Value negative(const Value& x);
  Value positive(const Value& x) const;
  Value inverted(const Value& x);
  Value logical_not(const Value& x) const { return {!truth(x)}; }
  Value subscript(const Value& x, const Value& key);
  bool truth(const Value& x) const;
  std::vector<Value> unpacked(const Value& x, std::size_t count) const;

  // Collections of bounded size.
  Value sequence(bool list, std::vector<Value> items) const;
  static Value mapping(std::map<std::string, Value> items);
  static Value slice(Value start, Value stop, Value step);
  // A number, a list and so on of a configuration. `arguments` of a call may hold tensors.
  Value from_json(const boost::json::value& value, int depth = 0);
  Value from_object(const Object& object, int depth = 0) const;

  // The keras.ops operation of a class, with its arguments by name, each as json_of() gives it.
  Value operation(std::string_view class_name, const boost::json::object& arguments);
  // Likewise, as Keras would write the call.
  Value operation(const OperationCall& call);
  // What stands for a value in the arguments of an operation.
  boost::json::value json_of(const Value& value);

  bool is_tensor(const Value& value) const { return value.is<TensorValue>(); }
  // A tensor, or a constant for numbers and lists of them.
  ValueId tensor(const Value& value);
  std::int64_t integer(const Value& value, std::string_view what) const;
  double number(const Value& value, std::string_view what) const;
  // The sizes of x; those that a request tells are None, or a Dimension if `open`.
  Value shape(const Value& x, bool open);

  [[noreturn]] void refuse(std::string message) const;

 private:
  [[noreturn]] void refuse_open(const Dimension& dimension) const;

  LayerCall& call_;
  std::vector<ValueId> tensors_;  // what {"tensor": i} refers to
};

// "a tensor", "the number 3", "the function tf.nn.relu": for messages.
std::string describe(const Value& value);

}  // namespace kerf::layers::python
