#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::layers {

// A parameter of a function of another library, and of the keras.ops operation that computes the
// same. Options stand in the configuration of the operation, others in its call.
struct Parameter {
  std::string_view theirs;
  std::string_view ours;
  bool option = true;
};

// Arguments by the operation's names.
using Arguments = std::map<std::string, boost::json::value, std::less<>>;
// Adapts what is more than another name. Throws Error(kUnsupported) at `where` for arguments that
// the operation has no equal of.
using Adapt = void (*)(Arguments& arguments, std::string& class_name, const std::string& where);

struct ForeignFunction {
  std::string_view class_name;
  std::vector<Parameter> parameters;  // in the order of positions
  Adapt adapt = nullptr;
};

// A call of a keras.ops operation: what Keras would write of it.
struct OperationCall {
  std::string class_name;
  boost::json::object config;
  boost::json::array args;
};

// A call of a function as one of the operation. Throws Error(kUnsupported) at `where` for arguments
// that kerf does not know.
OperationCall translated(const ForeignFunction& function, const boost::json::array& args,
                         const boost::json::object& kwargs, const std::string& where);

// For what stands in tables of functions.
[[noreturn]] void fail_at(const std::string& where, std::string message);
bool is_true(const Arguments& arguments, std::string_view name);
// Arguments that another library gives another default than Keras.
void default_to(Arguments& arguments, const char* name, boost::json::value value);
// Drops an argument that changes nothing; another value is refused.
void require(Arguments& arguments, std::string_view name, double neutral, const std::string& where);

}  // namespace kerf::layers
