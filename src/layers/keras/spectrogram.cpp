#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "layers/image_axes.h"
#include "layers/spectrum.h"

// Spectrograms of sounds: MelSpectrogram and STFTSpectrogram.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reshape;

ValueId binary(LayerCall& call, Binary::Kind kind, ValueId a, ValueId b) {
  return call.ops().append(Binary{kind}, {a, b});
}

ValueId power_of(LayerCall& call, const Spectrum& spectrum) {
  return binary(call, Binary::Kind::kAdd, call.activated(spectrum.real, {Function::kSquare}),
                call.activated(spectrum.imaginary, {Function::kSquare}));
}

// What turns frequencies into mel bands.
struct MelBands {
  std::int64_t frequencies;
  std::int64_t bands;
  double rate;
  double lowest;
  double highest;
};

// Triangles of equal width in mel, (frequencies, bands).
Tensor triangles(const MelBands& bands) {
  const auto mel = [](double hertz) { return 1127 * std::log1p(hertz / 700); };
  const auto count = static_cast<std::size_t>(bands.bands);
  const auto rows = static_cast<std::size_t>(bands.frequencies);
  std::vector<double> edges(count + 2);
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const double share = static_cast<double>(i) / static_cast<double>(count + 1);
    edges[i] = mel(bands.lowest) + share * (mel(bands.highest) - mel(bands.lowest));
  }
  std::vector<float> weights(rows * count);
  // The first frequency, a constant, belongs to no band.
  for (std::size_t k = 1; k < rows; ++k) {
    const double at =
        mel(static_cast<double>(k) * (bands.rate / 2) / static_cast<double>(rows - 1));
    for (std::size_t m = 0; m < count; ++m) {
      const double rise = (at - edges[m]) / (edges[m + 1] - edges[m]);
      const double fall = (edges[m + 2] - at) / (edges[m + 2] - edges[m + 1]);
      weights[k * count + m] = static_cast<float>(std::max(0.0, std::min(rise, fall)));
    }
  }
  return Tensor::floats({bands.frequencies, bands.bands}, weights);
}

// In decibels, but no lower than `top_db` below the loudest of the whole batch.
ValueId to_decibels(LayerCall& call, ValueId power) {
  const Config& config = call.config();
  const double least = config.number("min_power", 1e-10);
  const double reference = std::max(std::abs(config.number("ref_power", 1)), least);
  const ValueId bounded =
      binary(call, Binary::Kind::kMaximum, power, call.scalar(static_cast<float>(least)));
  const ValueId scaled =
      binary(call, Binary::Kind::kMultiply, call.activated(bounded, {Function::kLog}),
             call.scalar(static_cast<float>(10 / std::log(10.0))));
  const ValueId decibels = binary(call, Binary::Kind::kSubtract, scaled,
                                  call.scalar(static_cast<float>(10 * std::log10(reference))));
  std::vector<std::int64_t> axes(call.shape(decibels).rank());
  std::iota(axes.begin(), axes.end(), 0);
  const ValueId loudest = call.ops().append(
      program::Reduce{program::Reduce::Kind::kMax, std::move(axes), true}, {decibels});
  const ValueId floor = binary(call, Binary::Kind::kSubtract, loudest,
                               call.scalar(static_cast<float>(config.number("top_db", 80))));
  return binary(call, Binary::Kind::kMaximum, decibels, floor);
}

// The window's name; empty where the configuration holds null.
std::string window_name(LayerCall& call, std::string_view fallback) {
  const boost::json::value* written = call.layer().config.if_contains("window");
  if (written != nullptr && written->is_null()) return {};
  return call.config().text("window", fallback);
}

void lower_mel_spectrogram(LayerCall& call) {
  const Config& config = call.config();
  const ValueId x = call.float_input();
  if (call.shape(x).rank() < 1) config.invalid("fft_length", "needs an input with an axis");
  Stft stft{
      .size = config.size("fft_length", 2048), .window = window_name(call, "hann"), .center = true};
  stft.step = config.size("sequence_stride", 512);
  stft.length = config.size("sequence_length", stft.size);
  const Spectrum spectrum = short_time_spectrum(call, x, stft);
  ValueId power = power_of(call, spectrum);
  const double exponent = config.number("mag_exp", 2);
  if (exponent != 2) {
    power = exponent == 1 ? call.activated(power, {Function::kSqrt})
                          : binary(call, Binary::Kind::kPower, power,
                                   call.scalar(static_cast<float>(exponent / 2)));
  }
  MelBands bands{.frequencies = stft.size / 2 + 1,
                 .bands = config.size("num_mel_bins", 128),
                 .rate = config.number("sampling_rate", 16000),
                 .lowest = config.number("min_freq", 20),
                 .highest = 0};
  bands.highest = config.number("max_freq", bands.rate / 2);
  constexpr std::int64_t kMostBands = 1 << 12;
  if (bands.bands > kMostBands || !(bands.highest > bands.lowest) || !(bands.lowest >= 0)) {
    config.invalid("num_mel_bins", "does not describe bands of frequencies");
  }
  const ValueId weights = call.derived(
      fmt::format("mel {} {} {} {} {}", bands.frequencies, bands.bands, bands.rate, bands.lowest,
                  bands.highest),
      {}, {bands.frequencies, bands.bands},
      [bands](std::span<const Tensor>, double) { return triangles(bands); }, 0);
  ValueId y = call.ops().append(program::Linear{}, {power, weights});
  if (config.boolean("power_to_db", true)) y = to_decibels(call, y);
  std::vector<std::int64_t> order(call.shape(y).rank());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[order.size() - 2], order[order.size() - 1]);
  call.output(call.ops().append(program::Transpose{std::move(order)}, {y}));
}

// Every bin but the first and the last counted twice.
Tensor one_sided(std::span<const Tensor>, double bins) {
  std::vector<float> factors(static_cast<std::size_t>(bins), 2.0F);
  factors.front() = factors.back() = 1;
  return Tensor::floats({std::ssize(factors)}, factors);
}

// What the mode makes of the two parts, along the last axis.
ValueId by_mode(LayerCall& call, const std::string& mode, const Spectrum& spectrum) {
  if (mode == "real") return spectrum.real;
  if (mode == "imag") return spectrum.imaginary;
  if (mode == "angle") {
    return binary(call, Binary::Kind::kArctan2, spectrum.imaginary, spectrum.real);
  }
  if (mode == "stft") {
    return call.ops().append(program::Concat{-1}, {spectrum.real, spectrum.imaginary});
  }
  const ValueId power = power_of(call, spectrum);
  if (mode == "psd") {
    const std::int64_t bins = call.shape(power).back();
    return binary(call, Binary::Kind::kMultiply, power,
                  call.derived("one sided", {}, {bins}, one_sided, static_cast<double>(bins)));
  }
  const ValueId least = call.scalar(1e-7F);
  const ValueId magnitude =
      call.activated(binary(call, Binary::Kind::kMaximum, power, least), {Function::kSqrt});
  if (mode == "magnitude") return magnitude;
  if (mode != "log") {
    call.config().unsupported("mode", fmt::format("'{}' is not one kerf knows", mode));
  }
  return call.activated(binary(call, Binary::Kind::kMaximum, magnitude, least), {Function::kLog});
}

void lower_stft_spectrogram(LayerCall& call) {
  const Config& config = call.config();
  const bool first = config.channels_first();
  ValueId x = call.float_input();
  if (call.shape(x).rank() != 3) {
    config.invalid("data_format", fmt::format("needs an input of 3 dimensions, not {}",
                                              call.shape(x).to_string()));
  }
  if (!first) x = to_channels_first(call, x);
  const std::int64_t channels = call.shape(x)[1];
  if (channels < 1) config.unsupported("data_format", "the number of channels is unknown");
  const std::int64_t length = config.size("frame_length", 256);
  const std::int64_t step = config.size("frame_step", std::max<std::int64_t>(length / 2, 1));
  const std::int64_t size = config.size(
      "fft_length", static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(length))));
  constexpr std::int64_t kMost = 1 << 16;
  if (length > kMost || step > kMost || size > kMost) {
    config.unsupported("frame_length", "frames are too long");
  }
  program::Conv conv{.window = {.rank = 1}, .groups = 1, .epilogue = {}};
  conv.window.size[0] = length;
  conv.window.strides[0] = step;
  const std::string padding = config.text("padding", "valid");
  if (padding == "same") {
    conv.window.padding = program::Padding::kSame;
  } else if (padding != "valid") {
    config.invalid("padding", fmt::format("is '{}'", padding));
  }
  // Every channel is a sound of its own. The kernels hold the window and the scale.
  const ValueId sounds = call.ops().append(Reshape{{Reshape::kInfer, Reshape::copy(2), 1}}, {x});
  const std::string mode = config.text("mode", "log");
  const Shape kernel{length, 1, size / 2 + 1};
  Spectrum spectrum;
  if (mode != "imag") {
    spectrum.real = call.ops().append(conv, {sounds, call.weight("real_kernel", kernel, false)});
  }
  if (mode != "real") {
    spectrum.imaginary =
        call.ops().append(conv, {sounds, call.weight("imag_kernel", kernel, false)});
  }
  const ValueId y = by_mode(call, mode, spectrum);
  const std::int64_t bins = call.shape(y).back();
  // (batch, channels, frames, bins)
  const ValueId wide =
      call.ops().append(Reshape{{Reshape::kInfer, channels, Reshape::copy(1), bins}}, {y});
  const auto moved = [&](std::vector<std::int64_t> order) {
    return call.ops().append(program::Transpose{std::move(order)}, {wide});
  };
  if (config.boolean("expand_dims", false)) {
    call.output(first ? wide : moved({0, 2, 3, 1}));
  } else if (first) {
    call.output(call.ops().append(Reshape{{Reshape::copy(0), channels * bins, Reshape::copy(3)}},
                                  {moved({0, 1, 3, 2})}));
  } else {
    call.output(call.ops().append(Reshape{{Reshape::copy(0), Reshape::copy(1), channels * bins}},
                                  {moved({0, 2, 1, 3})}));
  }
}

}  // namespace

void register_spectrogram(Registry& registry);
void register_spectrogram(Registry& registry) {
  registry.add({.class_name = "MelSpectrogram", .lower = lower_mel_spectrogram});
  registry.add({.class_name = "STFTSpectrogram",
                .lower = lower_stft_spectrogram,
                .refuses = {{"data_format", "an unknown number of channels"},
                            {"frame_length", "above 65536"},
                            {"mode", "one that Keras 3.16 does not have"}}});
}

}  // namespace kerf::layers
