#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/kernels/activate.h"
#include "hwy/targets.h"
#include "tests/engine/reference.h"

namespace kerf::engine {
namespace {

using program::Activation;
using program::Function;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  Activation f;
  double absolute;  // tolerance relative to max(|x|, 1), beside units in the last place
  double ulp;
};

std::vector<Case> cases() {
  return {
      {{Function::kIdentity}, 0, 0},
      {{Function::kRelu, 0, kInfinity, 0}, 0, 0},
      {{Function::kRelu, 0.3F, 6, 0}, 0, 0},
      {{Function::kRelu, 0.25F, kInfinity, 1}, 0, 0},
      {{Function::kElu, 1}, 0, 3},
      {{Function::kElu, 0.5F}, 0, 3},
      {{Function::kSelu}, 0, 3},
      {{Function::kCelu, 1.5F}, 0, 3},
      {{Function::kGelu}, 3e-7, 4},
      {{Function::kGeluTanh}, 1e-7, 6},
      {{Function::kSigmoid}, 1e-37, 3},
      {{Function::kHardSigmoid, 0.2F, 0.5F}, 6e-8, 1},
      {{Function::kSilu}, 1e-35, 3},
      {{Function::kHardSilu}, 1e-6, 4},
      {{Function::kTanh}, 0, 3},
      {{Function::kHardTanh}, 0, 0},
      {{Function::kTanhShrink}, 2e-7, 3},
      {{Function::kSoftplus}, 0, 3},
      {{Function::kSoftsign}, 0, 2},
      {{Function::kSoftShrink, 0.5F}, 0, 0},
      {{Function::kHardShrink, 0.5F}, 0, 0},
      {{Function::kThreshold, 1, -3}, 0, 0},
      {{Function::kSquareplus, 4}, 2e-7, 1},
      {{Function::kSparsePlus}, 0, 2},
      {{Function::kSparseSigmoid}, 6e-8, 1},
      {{Function::kLogSigmoid}, 0, 3},
      {{Function::kMish}, 1e-44, 6},
      {{Function::kExp}, 0, 2},
      {{Function::kLog}, 0, 2},
      {{Function::kSqrt}, 0, 0},
      {{Function::kRsqrt}, 0, 2},
      {{Function::kSquare}, 0, 0},
      {{Function::kAbs}, 0, 0},
      {{Function::kNegative}, 0, 0},
      {{Function::kReciprocal}, 0, 0},
      {{Function::kSign}, 0, 0},
      {{Function::kErf}, 0, 6},
  };
}

double unit(double value) {
  const auto v = static_cast<float>(std::fabs(value));
  if (v >= std::numeric_limits<float>::max()) return 2.1e31;
  return std::nextafter(v, kInfinity) - static_cast<double>(v);
}

// Every compiled target that this machine has; undone at the end of the test.
class EveryTarget : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

TEST_P(EveryTarget, ActivationsAreWithinAFewUnitsOfTheFormula) {
  const ActivateFunction activate = activate_function();
  std::vector<float> x;
  for (int exponent = -149; exponent < 128; ++exponent) {
    for (int i = 0; i < 40; ++i) {
      const float v = std::ldexp(1.0F + static_cast<float>(i) / 40, exponent);
      x.push_back(v);
      x.push_back(-v);
    }
  }
  for (int i = -40000; i <= 40000; ++i) x.push_back(static_cast<float>(i) * 0.0026F);
  std::vector<float> y(x.size());
  for (const Case& c : cases()) {
    activate(c.f, x.data(), y.data(), x.size());
    double worst = 0;
    float at = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double e = kerf::reference::apply(c.f, x[i]);
      if (std::isnan(e)) {
        EXPECT_TRUE(std::isnan(y[i])) << static_cast<int>(c.f.function) << " at " << x[i];
        continue;
      }
      if (static_cast<double>(y[i]) == e || y[i] == static_cast<float>(e)) continue;
      // The square in this one overflows in float, as it does in Keras.
      if (c.f.function == Function::kSquareplus && std::fabs(x[i]) > 1e19F) continue;
      const double allowed = c.absolute * std::fmax(std::fabs(x[i]), 1);
      const double error = std::fmax(std::fabs(y[i] - e) - allowed, 0) / unit(e);
      if (!(error <= worst)) {
        worst = error;
        at = x[i];
      }
    }
    EXPECT_LE(worst, c.ulp) << "function " << static_cast<int>(c.f.function) << " at " << at;
  }
}

TEST_P(EveryTarget, NanStaysNanAndLimitsAreExact) {
  const ActivateFunction activate = activate_function();
  const auto at = [&](const Activation& f, float x) {
    activate(f, &x, &x, 1);
    return x;
  };
  for (const Case& c : cases()) {
    EXPECT_TRUE(std::isnan(at(c.f, std::nanf("")))) << static_cast<int>(c.f.function);
  }
  EXPECT_EQ(at({Function::kRelu, 0, kInfinity, 0}, -kInfinity), 0);
  EXPECT_EQ(at({Function::kRelu, 0, 6, 1}, -kInfinity), 0);
  EXPECT_EQ(at({Function::kRelu, 0, 6, 0}, kInfinity), 6);
  EXPECT_EQ(at({Function::kElu, 1}, -kInfinity), -1);
  EXPECT_EQ(at({Function::kSigmoid}, kInfinity), 1);
  EXPECT_EQ(at({Function::kSigmoid}, -kInfinity), 0);
  EXPECT_EQ(at({Function::kTanh}, kInfinity), 1);
  EXPECT_EQ(at({Function::kTanh}, -kInfinity), -1);
  EXPECT_EQ(at({Function::kErf}, kInfinity), 1);
  EXPECT_EQ(at({Function::kErf}, -kInfinity), -1);
  EXPECT_EQ(at({Function::kExp}, -kInfinity), 0);
  EXPECT_EQ(at({Function::kExp}, kInfinity), kInfinity);
  EXPECT_EQ(at({Function::kExp}, 0), 1);
  EXPECT_EQ(at({Function::kLog}, 0), -kInfinity);
  EXPECT_EQ(at({Function::kLog}, kInfinity), kInfinity);
  EXPECT_EQ(at({Function::kLog}, 1), 0);
  EXPECT_EQ(at({Function::kSoftplus}, kInfinity), kInfinity);
  EXPECT_EQ(at({Function::kSoftplus}, -kInfinity), 0);
  EXPECT_EQ(at({Function::kSilu}, kInfinity), kInfinity);
  EXPECT_EQ(at({Function::kMish}, kInfinity), kInfinity);
  EXPECT_TRUE(std::signbit(at({Function::kTanh}, -0.0F)));
}

TEST_P(EveryTarget, ActivationsDoNotDependOnTheLengthOrPlace) {
  const ActivateFunction activate = activate_function();
  std::vector<float> x(67);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) * 0.17F - 5;
  std::vector<float> whole(x.size());
  for (const Case& c : cases()) {
    activate(c.f, x.data(), whole.data(), x.size());
    for (std::size_t begin = 0; begin < 5; ++begin) {
      for (std::size_t count = 0; begin + count <= x.size(); count += 7) {
        std::vector<float> part(count + 1, 42.0F);
        activate(c.f, x.data() + begin, part.data(), count);
        EXPECT_EQ(std::memcmp(part.data(), whole.data() + begin, count * sizeof(float)), 0);
        EXPECT_EQ(part[count], 42.0F);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, EveryTarget,
                         testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) { return hwy::TargetName(target.param); });

}  // namespace
}  // namespace kerf::engine
