#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kerf/error.h"

namespace kerf::layers {
class UserDefinitions;
}

namespace kerf::formats {

// What is found wrong with one file, and what the user said of classes that are not Keras'. Reading
// goes on behind a problem as far as it makes sense, so
// that whoever must repair a model sees everything at once. Used by one thread.
class Problems {
 public:
  // `where` names the file; it is put before the place of every error that does not start with it.
  explicit Problems(std::string where,
                    std::shared_ptr<const layers::UserDefinitions> extensions = nullptr)
      : where_(std::move(where)), extensions_(std::move(extensions)) {}

  const std::shared_ptr<const layers::UserDefinitions>& extensions() const noexcept {
    return extensions_;
  }

  const std::string& where() const noexcept { return where_; }
  void add(const Error& error);
  // Runs `step`, keeping what it throws. Returns whether it went well.
  template <typename Step>
  bool attempt(Step&& step) {
    try {
      step();
      return true;
    } catch (const Error& error) {
      add(error);
      return false;
    }
  }

  bool empty() const noexcept { return errors_.empty(); }
  const std::vector<Error>& errors() const noexcept { return errors_; }
  // One error that names them all (the first of very many). Precondition: !empty().
  Error all() const;

 private:
  std::string where_;
  std::shared_ptr<const layers::UserDefinitions> extensions_;  // may be null
  std::vector<Error> errors_;
};

}  // namespace kerf::formats
