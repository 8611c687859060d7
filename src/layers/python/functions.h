#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/python/evaluator.h"

namespace kerf::layers::python {

// What a name means that an expression does not bind: by convention `K` is keras.backend, `tf`
// TensorFlow, and so on; and Python's own functions. Nothing for other names.
std::optional<std::string_view> known_global(std::string_view name);
// What a function without a module means in an expression of a user: one of keras.ops, or what
// declares a weight.
std::optional<std::string> bare_function(std::string_view name);
// What the root of a module that is imported means.
std::optional<std::string_view> known_module(std::string_view root);
// One path for everything that goes by several: "tf.keras.backend.mean" is "K.mean".
std::string canonical(std::string path);
// The value of a path that is one: math.pi.
std::optional<Value> known_constant(std::string_view path);

// Calls the function of that path. Throws Error(kUnsupported) if kerf does not know it.
Value call_function(Evaluator& evaluator, const std::string& path,
                    const std::vector<Value>& arguments, const Keywords& keywords);
Value call_method(Evaluator& evaluator, const Method& method, const std::vector<Value>& arguments,
                  const Keywords& keywords);

}  // namespace kerf::layers::python
