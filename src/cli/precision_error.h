#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kerf/model.h"

namespace kerf::cli {

// How far an output is from what it is in float32.
struct OutputError {
  std::string name;
  double largest = 0;   // difference; infinite where one is not a number and the other is
  double relative = 0;  // that, by the largest magnitude in float32
  double mean = 0;      // of the differences' magnitudes, by the mean magnitude in float32
  // Rows of probabilities, and how many of them have the same largest one; nothing for outputs that
  // are none.
  std::optional<std::size_t> rows;
  std::size_t same_top = 0;
};

// For all fetches of a cut. `exact` and `rounded` are what they are in float32, and otherwise.
std::vector<OutputError> output_errors(const std::vector<TensorInfo>& fetches,
                                       std::span<const Tensor> exact,
                                       std::span<const Tensor> rounded);

// As a table.
std::string describe(std::span<const OutputError> errors);

}  // namespace kerf::cli
