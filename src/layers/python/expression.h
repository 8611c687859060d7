#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/python/evaluator.h"

namespace kerf::layers::python {

struct ExpressionNode;

// An expression of Python over tensors, written by a user of kerf: "x * sigmoid(1.702 * x)". It has
// Python's operators, comparisons, conditions, subscripts, lists, tuples and calls, and numbers and
// texts. A function without a module is one of keras.ops, or Python's own ("len"). Immutable.
class Expression {
 public:
  // Throws Error(kInvalidArgument) with the place of what is wrong.
  static Expression parse(std::string_view text);

  // A name that the expression is about, or nothing.
  using Names = std::function<std::optional<Value>(std::string_view)>;
  // Throws what Evaluator throws.
  Value evaluate(Evaluator& evaluator, const Names& names) const;

  // The call of a function by keywords only, if it is one: "Dense(units=3)"; or a name alone.
  struct PlainCall {
    std::string function;
    std::vector<std::pair<std::string, Expression>> keywords;
  };
  std::optional<PlainCall> plain_call() const;

  const std::string& text() const noexcept { return text_; }

 private:
  std::string text_;
  std::shared_ptr<const ExpressionNode> root_;
};

}  // namespace kerf::layers::python
