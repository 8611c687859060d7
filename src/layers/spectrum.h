#pragma once

#include <cstdint>
#include <string>

#include "layers/registry.h"

namespace kerf::layers {

// A short-time Fourier transform of the last axis, as keras.ops.stft: frames of `size` elements,
// each `step` behind the one before, are weighed by the window (of `length`, in the middle of the
// frame) and transformed. Not normalised.
struct Stft {
  std::int64_t length = 0;
  std::int64_t step = 0;
  std::int64_t size = 0;
  std::string window;   // "hann", "hamming"; empty: ones over the whole frame
  bool center = false;  // frames begin half a frame before x, which is mirrored at its ends
};

// The real and the imaginary part of size / 2 + 1 frequencies, (..., frames, frequencies) each.
struct Spectrum {
  ValueId real = 0;
  ValueId imaginary = 0;
};
Spectrum short_time_spectrum(LayerCall& call, ValueId x, const Stft& stft);

// x mirrored at both ends of its last axis, without repeating the outermost elements.
ValueId reflected(LayerCall& call, ValueId x, std::int64_t width);

}  // namespace kerf::layers
