#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace kerf {

namespace layers {
class UserDefinitions;
}

// What a user says of layer classes and functions that a model's author made, and that kerf
// therefore cannot know: see docs/custom-layers.md. Filled by one thread, then given to
// LoadOptions; copies share what they hold, and a model keeps what it needs of it.
class Extensions {
 public:
  Extensions();

  // What stands for a class or a function of that name, "my>Gelu2" or "Gelu2": the name of a class
  // of Keras, "Dense" or "Dense(units=dim)", or an expression such as "x * sigmoid(1.702 * x)".
  // Throws Error(kInvalidArgument) for a meaning that is neither.
  void alias(std::string_view name, std::string_view meaning);
  // The same as one text, "NAME=MEANING".
  void alias(std::string_view text);

  // Loads a plug-in (kerf/plugin.h), whose code then runs whenever a model with a layer of its is
  // loaded: load only what you trust. It stays loaded until the process ends. Throws
  // Error(kNotFound) for a file that is not there, Error(kInvalidArgument) for one that is no
  // plug-in or one for another version of kerf.
  void plugin(const std::filesystem::path& file);

  const std::shared_ptr<layers::UserDefinitions>& impl() const noexcept { return impl_; }

 private:
  std::shared_ptr<layers::UserDefinitions> impl_;
};

}  // namespace kerf
