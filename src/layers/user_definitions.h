#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "layers/python/expression.h"
#include "layers/registry.h"

namespace kerf::layers {

// What a user said of classes and functions that are not Keras'. Filled by one thread; then any
// thread may look things up.
class UserDefinitions {
 public:
  // A class or function by that name is a class of Keras ("Dense(units=dim)") or an expression.
  // Throws Error(kInvalidArgument) for a meaning that is neither.
  void add_alias(std::string name, std::string_view meaning);
  // A class that a plug-in defines. Throws Error(kInvalidArgument) for a second one of that name.
  void add_layer(LayerDefinition definition);

  // By the name in a file, "pkg>Name"; without a package in one of the two, by what is behind it.
  // nullptr if there is none.
  const LayerDefinition* layer(std::string_view name) const;
  // An expression that stands for a function.
  const python::Expression* function(std::string_view name) const;

 private:
  std::map<std::string, LayerDefinition, std::less<>> layers_;
  std::map<std::string, python::Expression, std::less<>> functions_;
};

// Whether a class is the model author's own: registered under a package ("pkg>Name"), or from a
// module that is not Keras'. It may bear the name of one of Keras' classes. `object` has the class'
// "module" and "registered_name".
bool is_custom(const boost::json::object& object, const std::string& class_name);

// What computes a layer of this class: `extensions`, which may be null, for one that is not Keras',
// else the registry. nullptr if nothing does.
const LayerDefinition* find_definition(const std::string& class_name, bool operation,
                                       const boost::json::object& identity,
                                       const UserDefinitions* extensions);

// Applies an expression to x; `names` are other names that it may have.
python::Value apply_expression(python::Evaluator& evaluator, const python::Expression& expression,
                               const python::Value& x, const boost::json::object& names);

}  // namespace kerf::layers
