#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "formats/archive.h"

namespace kerf::formats {

// What a file is that is none of Keras', by its content, and what to do: "a TensorFlow Lite model;
// ...". `head` is its first kilobyte or less, `tail` its last bytes. Nothing if it is unknown.
std::optional<std::string> foreign_file(std::span<const std::byte> head,
                                        std::span<const std::byte> tail);

// The same for a zip file without a configuration of Keras.
std::optional<std::string> foreign_zip(const Archive& archive);

}  // namespace kerf::formats
