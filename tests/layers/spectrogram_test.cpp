#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

constexpr double kPi = std::numbers::pi;

Floats sound(std::size_t count) {
  Floats x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = std::sin(0.7F * static_cast<float>(i)) + 0.25F * std::cos(2.1F * static_cast<float>(i));
  }
  return x;
}

// Coefficient k of the frame of `size` elements that starts at `begin` of x mirrored at its ends,
// weighed by a Hann window.
std::complex<double> coefficient(const Floats& x, std::ptrdiff_t begin, std::size_t size,
                                 std::size_t k) {
  std::complex<double> sum = 0;
  const auto last = static_cast<std::ptrdiff_t>(x.size()) - 1;
  for (std::size_t i = 0; i < size; ++i) {
    std::ptrdiff_t at = std::abs(begin + static_cast<std::ptrdiff_t>(i));
    if (at > last) at = 2 * last - at;
    const double turn = 2 * kPi * static_cast<double>(i) / static_cast<double>(size);
    const double weight = 0.5 - 0.5 * std::cos(turn);
    sum += weight * static_cast<double>(x[static_cast<std::size_t>(at)]) *
           std::polar(1.0, -turn * static_cast<double>(k));
  }
  return sum;
}

TEST(MelSpectrogramTest, IsWhatTheFormulasSay) {
  constexpr std::size_t kSize = 16;
  constexpr std::size_t kStep = 8;
  constexpr std::size_t kBands = 4;
  const Floats x = sound(40);
  const auto mel = [](double hertz) { return 1127 * std::log(1 + hertz / 700); };
  std::array<double, kBands + 2> edges{};
  for (std::size_t i = 0; i < edges.size(); ++i) {
    edges[i] = mel(100) + (mel(4000) - mel(100)) * static_cast<double>(i) / (kBands + 1);
  }
  std::vector<std::vector<double>> decibels(kBands);
  double loudest = -1000;
  const std::size_t frames = 1 + 40 / kStep;
  for (std::size_t frame = 0; frame < frames; ++frame) {
    std::array<double, kBands> power{};
    for (std::size_t k = 1; k <= kSize / 2; ++k) {
      const auto begin = static_cast<std::ptrdiff_t>(frame * kStep) - 8;
      const double at = mel(static_cast<double>(k) * 4000 / 8);
      for (std::size_t m = 0; m < kBands; ++m) {
        const double weight = std::min((at - edges[m]) / (edges[m + 1] - edges[m]),
                                       (edges[m + 2] - at) / (edges[m + 2] - edges[m + 1]));
        power[m] += std::max(weight, 0.0) * std::norm(coefficient(x, begin, kSize, k));
      }
    }
    for (std::size_t m = 0; m < kBands; ++m) {
      decibels[m].push_back(10 * std::log10(std::max(power[m], 1e-10)));
      loudest = std::max(loudest, decibels[m].back());
    }
  }
  Floats expected;
  for (const std::vector<double>& band : decibels) {
    for (const double value : band) {
      expected.push_back(static_cast<float>(std::max(value, loudest - 20)));
    }
  }
  expect_tensor(run_layer({.class_name = "MelSpectrogram",
                           .config = R"({"fft_length": 16, "sequence_stride": 8,
                               "sequence_length": null, "window": "hann", "sampling_rate": 8000,
                               "num_mel_bins": 4, "min_freq": 100, "max_freq": null,
                               "power_to_db": true, "top_db": 20.0, "mag_exp": 2.0,
                               "min_power": 1e-10, "ref_power": 1.0})",
                           .inputs = {floats({1, 40}, x)}})
                    .outputs[0],
                {1, kBands, static_cast<std::int64_t>(frames)}, expected);
}

TEST(MelSpectrogramTest, RefusesFramesThatCannotBe) {
  EXPECT_THAT(refusal_of({.class_name = "MelSpectrogram",
                          .config = R"({"fft_length": 16, "sequence_length": 20})",
                          .inputs = {floats({1, 40}, sound(40))}})
                  .what(),
              HasSubstr("frames of 20 of 16"));
  EXPECT_THAT(refusal_of({.class_name = "MelSpectrogram",
                          .config = R"({"fft_length": 16, "window": "kaiser"})",
                          .inputs = {floats({1, 40}, sound(40))}})
                  .what(),
              HasSubstr("'kaiser'"));
}

// The kernels hold the window: here sums and differences of neighbours.
TEST(StftSpectrogramTest, KnowsEveryMode) {
  const auto run = [](const std::string& mode, const std::string& more = "") {
    LayerCase layer{.class_name = "STFTSpectrogram",
                    .config = R"({"mode": ")" + mode +
                              R"(", "frame_length": 2, "frame_step": 1, "fft_length": 2)" + more +
                              "}",
                    .inputs = {floats({1, 3, 2}, {1, 10, 2, 20, 4, 40})},
                    .weights = {{"real_kernel", {1, 1, 1, -1}}, {"imag_kernel", {0, 1, 0, 2}}}};
    return run_layer(layer).outputs[0];
  };
  // Real: sums (3, 6) and differences (-1, -2); imaginary: 0 and x0 + 2 x1 (5, 10).
  expect_tensor(run("real"), {1, 2, 4}, Floats{3, -1, 30, -10, 6, -2, 60, -20});
  expect_tensor(run("imag"), {1, 2, 4}, Floats{0, 5, 0, 50, 0, 10, 0, 100});
  expect_tensor(run("real", R"(, "expand_dims": true)"), {1, 2, 2, 2},
                Floats{3, 30, -1, -10, 6, 60, -2, -20});
  expect_tensor(run("stft"), {1, 2, 8},
                Floats{3, -1, 0, 5, 30, -10, 0, 50, 6, -2, 0, 10, 60, -20, 0, 100});
  expect_tensor(run("psd"), {1, 2, 4}, Floats{9, 26, 900, 2600, 36, 104, 3600, 10400});
  const Floats magnitude{3, std::sqrt(26.0F),  30, std::sqrt(2600.0F),
                         6, std::sqrt(104.0F), 60, std::sqrt(10400.0F)};
  expect_tensor(run("magnitude"), {1, 2, 4}, magnitude);
  Floats logarithm;
  for (const float value : magnitude) logarithm.push_back(std::log(value));
  expect_tensor(run("log"), {1, 2, 4}, logarithm);
  expect_tensor(run("angle"), {1, 2, 4},
                Floats{0, std::atan2(5.0F, -1.0F), 0, std::atan2(50.0F, -10.0F), 0,
                       std::atan2(10.0F, -2.0F), 0, std::atan2(100.0F, -20.0F)});
}

TEST(StftSpectrogramTest, CountsInnerBinsTwice) {
  LayerCase layer{.class_name = "STFTSpectrogram",
                  .config = R"({"mode": "psd", "frame_length": 1, "frame_step": 1, "fft_length": 4,
                                "data_format": "channels_first", "padding": "same"})",
                  .inputs = {floats({1, 1, 2}, {1, 2})},
                  .weights = {{"real_kernel", {1, 2, 3}}, {"imag_kernel", {0, 0, 0}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 3, 2}, Floats{1, 4, 8, 32, 9, 36});
  layer.config = R"({"mode": "power", "frame_length": 1, "frame_step": 1, "fft_length": 4,
                     "data_format": "channels_first"})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("'power'"));
}

}  // namespace
}  // namespace kerf::layers
