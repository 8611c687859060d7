#pragma once

#include <cmath>

#include "program/op.h"

namespace kerf::engine {

// Keras' activations on one float, by the formulas that program::Function names; NaN stays NaN. For
// edges and tests.
inline float apply(const program::Activation& f, float x) noexcept {
  using program::Function;
  const auto sigmoid = [](float v) { return 1.0F / (1.0F + std::exp(-v)); };
  const auto softplus = [](float v) {
    return (v < 0 ? 0.0F : v) + std::log1p(std::exp(-std::fabs(v)));
  };
  const auto clip = [](float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
  };
  switch (f.function) {
    case Function::kIdentity:
      return x;
    case Function::kRelu:
      return x <= f.c ? (f.a == 0 ? 0.0F : f.a * (x - f.c)) : x > f.b ? f.b : x;
    case Function::kElu:
      return x > 0 ? x : f.a * std::expm1(x);
    case Function::kSelu:
      return 1.0507009873554805F * (x > 0 ? x : 1.6732632423543772F * std::expm1(x));
    case Function::kCelu:
      return x > 0 ? x : f.a * std::expm1(x / f.a);
    case Function::kGelu:
      return 0.5F * x * (1.0F + std::erf(x * 0.70710678118654752F));
    case Function::kGeluTanh:
      return 0.5F * x * (1.0F + std::tanh(0.79788456080286536F * (x + 0.044715F * x * x * x)));
    case Function::kSigmoid:
      return sigmoid(x);
    case Function::kHardSigmoid:
      return clip(f.a * x + f.b, 0, 1);
    case Function::kSilu:
      return x * sigmoid(x);
    case Function::kHardSilu:
      return x * clip(x / 6 + 0.5F, 0, 1);
    case Function::kTanh:
      return std::tanh(x);
    case Function::kHardTanh:
      return clip(x, -1, 1);
    case Function::kTanhShrink:
      return x - std::tanh(x);
    case Function::kSoftplus:
      return softplus(x);
    case Function::kSoftsign:
      return x / (1 + std::fabs(x));
    case Function::kSoftShrink:
      return x > f.a ? x - f.a : x < -f.a ? x + f.a : x != x ? x : 0.0F;
    case Function::kHardShrink:
      return std::fabs(x) <= f.a ? 0.0F : x;
    case Function::kThreshold:
      return x <= f.a ? f.b : x;
    case Function::kSquareplus:
      return 0.5F * (x + std::sqrt(x * x + f.a));
    case Function::kSparsePlus:
      return x <= -1 ? 0.0F : x < 1 ? 0.25F * (x + 1) * (x + 1) : x;
    case Function::kSparseSigmoid:
      return clip(0.5F * (x + 1), 0, 1);
    case Function::kLogSigmoid:
      return -softplus(-x);
    case Function::kMish:
      return x * std::tanh(softplus(x));
    case Function::kExp:
      return std::exp(x);
    case Function::kLog:
      return std::log(x);
    case Function::kSqrt:
      return std::sqrt(x);
    case Function::kRsqrt:
      return 1.0F / std::sqrt(x);
    case Function::kSquare:
      return x * x;
    case Function::kAbs:
      return std::fabs(x);
    case Function::kNegative:
      return -x;
    case Function::kReciprocal:
      return 1.0F / x;
    case Function::kSign:
      return x > 0 ? 1.0F : x < 0 ? -1.0F : x;
    case Function::kErf:
      return std::erf(x);
  }
  return x;
}

}  // namespace kerf::engine
