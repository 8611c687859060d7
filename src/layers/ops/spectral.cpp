#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "layers/operation.h"
#include "layers/patches.h"
#include "layers/spectrum.h"

// Fourier transforms, and the sequences that a line is cut into. Complex tensors are pairs of a
// real and an imaginary part.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reshape;

struct Complex {
  ValueId real = 0;
  ValueId imaginary = 0;
};

Complex complex_argument(Operation& op) {
  const std::vector<ValueId> parts = op.promoted_list("x");
  if (parts.size() != 2) op.invalid("x", "is no pair of a real and an imaginary part");
  if (op.shape(parts[0]) != op.shape(parts[1]) || op.rank(parts[0]) == 0) {
    op.invalid("x", "is a pair of different shapes");
  }
  return {op.to_float(parts[0]), op.to_float(parts[1])};
}

// The length of a transform as a matrix.
std::int64_t length_of(Operation& op, std::int64_t size) {
  constexpr std::int64_t kMost = 1 << 11;
  if (size < 1 || size > kMost) {
    op.unsupported("x", fmt::format("a transform of {} elements", size));
  }
  return size;
}

// cos or sin of 2 pi i k / n, (rows, columns).
ValueId waves(Operation& op, std::int64_t rows, std::int64_t columns, std::int64_t n, bool sines) {
  const auto size = static_cast<std::size_t>(n);
  std::vector<float> turn(size);
  for (std::size_t i = 0; i < size; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    turn[i] = static_cast<float>(sines ? std::sin(angle) : std::cos(angle));
  }
  std::vector<float> values(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t row = i / static_cast<std::size_t>(columns);
    values[i] = turn[row * (i % static_cast<std::size_t>(columns)) % size];
  }
  return op.ops().constant(Tensor::floats({rows, columns}, values));
}

ValueId product(Operation& op, ValueId x, ValueId matrix) {
  return op.ops().append(program::Linear{}, {x, matrix});
}

// Along the last axis. The inverse turns the other way, and divides by the length.
Complex transformed(Operation& op, const Complex& x, bool inverse) {
  const std::int64_t n = length_of(op, op.known_size(x.real, op.rank(x.real) - 1));
  const ValueId cosine = waves(op, n, n, n, false);
  const ValueId sine = waves(op, n, n, n, true);
  const ValueId rc = product(op, x.real, cosine);
  const ValueId is = product(op, x.imaginary, sine);
  const ValueId ic = product(op, x.imaginary, cosine);
  const ValueId rs = product(op, x.real, sine);
  const auto forth = inverse ? Binary::Kind::kSubtract : Binary::Kind::kAdd;
  const auto back = inverse ? Binary::Kind::kAdd : Binary::Kind::kSubtract;
  Complex y{op.binary(forth, rc, is), op.binary(back, ic, rs)};
  if (inverse) {
    const ValueId share = op.number(1 / static_cast<double>(n), DType::kFloat32);
    y.real = op.binary(Binary::Kind::kMultiply, y.real, share);
    y.imaginary = op.binary(Binary::Kind::kMultiply, y.imaginary, share);
  }
  return y;
}

Complex swapped(Operation& op, const Complex& x) {
  const std::size_t rank = op.rank(x.real);
  return {op.swapped(x.real, rank - 2, rank - 1), op.swapped(x.imaginary, rank - 2, rank - 1)};
}

void output(Operation& op, const Complex& y) {
  op.output(y.real);
  op.output(y.imaginary);
}

void lower_fft(Operation& op) {
  const Complex x = complex_argument(op);
  const bool inverse = op.class_name().starts_with('I');
  Complex y = transformed(op, x, inverse);
  if (op.class_name().ends_with('2')) {
    if (op.rank(x.real) < 2) op.invalid("x", "has less than two axes");
    y = swapped(op, transformed(op, swapped(op, y), inverse));
  }
  output(op, y);
}

// The last axis cut off, or filled with zeros.
ValueId with_length(Operation& op, ValueId x, std::int64_t length) {
  const std::size_t last = op.rank(x) - 1;
  const std::int64_t size = op.known_size(x, last);
  if (size > length) return op.slice(x, last, 0, length);
  if (size == length) return x;
  program::Pad pad{.before = std::vector<std::int64_t>(op.rank(x), 0),
                   .after = std::vector<std::int64_t>(op.rank(x), 0)};
  pad.after[last] = length - size;
  return op.ops().append(std::move(pad), {x});
}

void lower_rfft(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.rank(x) == 0) op.invalid("x", "is a number");
  const std::int64_t n = length_of(op, op.has("fft_length") ? op.arguments().size("fft_length")
                                                            : op.known_size(x, op.rank(x) - 1));
  const ValueId line = with_length(op, x, n);
  const std::int64_t bins = n / 2 + 1;
  const ValueId sines = product(op, line, waves(op, n, bins, n, true));
  output(op, {product(op, line, waves(op, n, bins, n, false)),
              op.binary(Binary::Kind::kSubtract, op.number(0, DType::kFloat32), sines)});
}

void lower_irfft(Operation& op) {
  const Complex x = complex_argument(op);
  const std::int64_t stored = op.known_size(x.real, op.rank(x.real) - 1);
  const std::int64_t n =
      length_of(op, op.has("fft_length") ? op.arguments().size("fft_length") : 2 * (stored - 1));
  const std::int64_t bins = n / 2 + 1;
  // All bins but the first, and the middle one of an even length, stand for two.
  std::vector<float> weights(static_cast<std::size_t>(bins), 2 / static_cast<float>(n));
  weights.front() /= 2;
  if (n % 2 == 0) weights.back() = n == 1 ? weights.back() : 1 / static_cast<float>(n);
  const ValueId counted = op.ops().constant(Tensor::floats({bins}, weights));
  const auto part = [&](ValueId values, bool sines) {
    const ValueId weighed =
        op.binary(Binary::Kind::kMultiply, with_length(op, values, bins), counted);
    return product(op, weighed, waves(op, bins, n, n, sines));
  };
  op.output(op.binary(Binary::Kind::kSubtract, part(x.real, false), part(x.imaginary, true)));
}

void lower_stft(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.rank(x) == 0) op.invalid("x", "is a number");
  Stft stft{.length = op.arguments().size("sequence_length"),
            .step = op.arguments().size("sequence_stride"),
            .size = op.arguments().size("fft_length"),
            .window = "hann",
            .center = op.arguments().boolean("center", true)};
  const boost::json::value* window = op.call().layer().config.if_contains("window");
  if (window != nullptr) stft.window = window->is_null() ? "" : op.arguments().text("window", "");
  const Spectrum y = short_time_spectrum(op.call(), x, stft);
  output(op, {y.real, y.imaginary});
}

// (..., n) -> (..., sequences, length).
void lower_extract_sequences(Operation& op) {
  const ValueId x = op.tensor("x");
  if (op.rank(x) == 0) op.invalid("x", "is a number");
  const std::size_t last = op.rank(x) - 1;
  program::Window window{.rank = 1};
  window.size[0] = op.arguments().size("sequence_length");
  window.strides[0] = op.arguments().size("sequence_stride");
  const ValueId line = op.reshape({Reshape::kInfer, Reshape::copy(last), 1}, x);
  const ValueId y = patches(op.call(), line, window, "sequence_length");
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < last; ++i) dims.push_back(Reshape::like(i));
  dims.push_back(Reshape::copy(1));
  dims.push_back(window.size[0]);
  if (last == 0) {
    op.output(op.without_axis(y, 0));
  } else {
    op.output(op.reshape_like(std::move(dims), y, x));
  }
}

}  // namespace

void register_spectral(Registry& registry);
void register_spectral(Registry& registry) {
  add_operations(registry, {"FFT", "FFT2", "IFFT2"}, {"x"}, {}, lower_fft);
  add_operations(registry, {"RFFT"}, {"x"}, {"fft_length"}, lower_rfft);
  add_operations(registry, {"IRFFT"}, {"x"}, {"fft_length"}, lower_irfft);
  add_operations(registry, {"STFT"}, {"x"},
                 {"sequence_length", "sequence_stride", "fft_length", "window", "center"},
                 lower_stft);
  add_operations(registry, {"ExtractSequences"}, {"x"}, {"sequence_length", "sequence_stride"},
                 lower_extract_sequences);
}

}  // namespace kerf::layers
