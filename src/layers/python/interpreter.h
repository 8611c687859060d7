#pragma once

#include <string>
#include <vector>

#include "layers/python/evaluator.h"
#include "layers/python/object.h"

namespace kerf::layers::python {

// What a function is bound to besides its code.
struct Closure {
  std::vector<Value> defaults;  // of its last positional arguments
  std::vector<Value> free;      // in the order of Code::free
};

// Follows the instructions of a function, each at most once, with values in place of objects, and
// returns what it would return. Nothing is run: a branch is taken where its condition is known, and
// what can only be known from data, or needs more than kerf has, is refused by Evaluator.
// `keywords` are arguments by name. Throws Error(kUnsupported | kInvalidFile).
Value interpret(Evaluator& evaluator, const Code& code, const Closure& closure,
                const std::vector<Value>& arguments, const Keywords& keywords);

}  // namespace kerf::layers::python
