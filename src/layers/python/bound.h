#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "layers/python/evaluator.h"

namespace kerf::layers::python {

// The arguments of one call by the names of the function's parameters. Refuses calls that have
// others. Lives as long as the call.
class Bound {
 public:
  Bound(Evaluator& evaluator, const std::string& path, const std::vector<Value>& arguments,
        const Keywords& keywords, const std::vector<std::string_view>& parameters);

  const std::string& path() const noexcept { return path_; }
  // False for what is not given, and for None.
  bool has(std::string_view name) const;
  // Refuses the call if it is not given.
  const Value& at(std::string_view name) const;
  Value get(std::string_view name, Value fallback) const;

 private:
  Evaluator& evaluator_;
  const std::string& path_;
  std::map<std::string_view, const Value*> values_;
};

// A function that kerf computes by more than one operation, or not by operations at all.
struct Intrinsic {
  std::vector<std::string_view> parameters;  // the last takes all further ones if it begins with *
  Value (*compute)(Evaluator&, const Bound&) = nullptr;
};

// By path; nullptr if there is none.
const Intrinsic* find_intrinsic(std::string_view path);
// Those of images, which stand in a file of their own.
const Intrinsic* find_image_intrinsic(std::string_view path);

}  // namespace kerf::layers::python
