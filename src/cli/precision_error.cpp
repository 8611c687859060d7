#include "cli/precision_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace kerf::cli {
namespace {

// Not negative, and about one in sum.
bool is_probabilities(std::span<const double> row) {
  double sum = 0;
  for (const double value : row) {
    if (!(value >= 0)) return false;
    sum += value;
  }
  return std::fabs(sum - 1) < 1e-3;
}

std::ptrdiff_t top(std::span<const double> row) {
  return std::ranges::max_element(row) - row.begin();
}

OutputError output_error(const Tensor& exact, const Tensor& rounded) {
  const Tensor expected_values = exact.cast(DType::kFloat64);
  const Tensor actual_values = rounded.cast(DType::kFloat64);
  const std::span<const double> expected = expected_values.as<double>();
  const std::span<const double> actual = actual_values.as<double>();
  OutputError error;
  double magnitude = 0;
  double sum = 0;
  double sum_of_differences = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] == actual[i] || (std::isnan(expected[i]) && std::isnan(actual[i]))) {
      if (std::isfinite(expected[i])) {
        magnitude = std::max(magnitude, std::fabs(expected[i]));
        sum += std::fabs(expected[i]);
      }
      continue;
    }
    double difference = std::fabs(expected[i] - actual[i]);
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    error.largest = std::max(error.largest, difference);
    sum_of_differences += difference;
    if (std::isfinite(expected[i])) {
      magnitude = std::max(magnitude, std::fabs(expected[i]));
      sum += std::fabs(expected[i]);
    }
  }
  const auto by = [](double difference, double of) {
    return difference == 0 ? 0
           : of == 0       ? std::numeric_limits<double>::infinity()
                           : difference / of;
  };
  error.relative = by(error.largest, magnitude);
  error.mean = by(sum_of_differences, sum);

  const std::size_t width =
      exact.shape().rank() == 0 ? 1 : static_cast<std::size_t>(exact.shape().back());
  if (width < 2 || expected.empty()) return error;
  const std::size_t rows = expected.size() / width;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto of = [&](std::span<const double> all) { return all.subspan(row * width, width); };
    if (!is_probabilities(of(expected))) return error;
    if (top(of(expected)) == top(of(actual))) ++error.same_top;
  }
  error.rows = rows;
  return error;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.2g}%", 100 * share) : "not a number";
}

}  // namespace

std::vector<OutputError> output_errors(const std::vector<TensorInfo>& fetches,
                                       std::span<const Tensor> exact,
                                       std::span<const Tensor> rounded) {
  std::vector<OutputError> errors;
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    if (fetches[i].dtype == DType::kString) continue;
    errors.push_back(output_error(exact[i], rounded[i]));
    errors.back().name = fetches[i].name;
  }
  return errors;
}

std::string describe(std::span<const OutputError> errors) {
  std::size_t width = std::string_view("output").size();
  for (const OutputError& error : errors) width = std::max(width, error.name.size());
  std::string text = fmt::format("  {:<{}}  {:>13}  {:>14}  {:>10}  {}\n", "output", width,
                                 "largest error", "of the largest", "mean error", "same top class");
  for (const OutputError& error : errors) {
    text += fmt::format("  {:<{}}  {:>13.3g}  {:>14}  {:>10}  {}\n", error.name, width,
                        error.largest, percent(error.relative), percent(error.mean),
                        error.rows ? fmt::format("{} of {}", error.same_top, *error.rows) : "-");
  }
  return text;
}

}  // namespace kerf::cli
