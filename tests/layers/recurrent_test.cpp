#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <random>

#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;
using testing_support::random_tensor;

constexpr int kBatch = 2;
constexpr int kSteps = 4;
constexpr int kIn = 3;
constexpr int kUnits = 2;

using Function = std::function<double(double)>;
using Doubles = std::vector<double>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double hard_sigmoid_2(double x) { return std::min(std::max(0.2 * x + 0.5, 0.0), 1.0); }
double hyperbolic(double x) { return std::tanh(x); }

struct Weights {
  Floats kernel;
  Floats recurrent;
  Floats bias;
};

struct State {
  Doubles h = Doubles(kUnits);
  Doubles c = Doubles(kUnits);
};

using Step = std::function<State(const Weights&, std::span<const float>, const State&)>;

// Row vector times matrix of `gates` blocks of units, block g.
Doubles times(const Doubles& x, const Floats& matrix, int gates, int g) {
  Doubles result(kUnits);
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t u = 0; u < kUnits; ++u) {
      const std::size_t column = static_cast<std::size_t>(g) * kUnits + u;
      result[u] += x[i] * matrix[i * static_cast<std::size_t>(gates) * kUnits + column];
    }
  }
  return result;
}

Step lstm(const Function& gate, const Function& activation) {
  return [=](const Weights& w, std::span<const float> x, const State& state) {
    const Doubles input(x.begin(), x.end());
    State next;
    Doubles z[4];
    for (int g = 0; g < 4; ++g) {
      z[g] = times(input, w.kernel, 4, g);
      const Doubles r = times(state.h, w.recurrent, 4, g);
      for (std::size_t u = 0; u < kUnits; ++u) {
        z[g][u] += r[u] + (w.bias.empty() ? 0 : w.bias[static_cast<std::size_t>(g) * kUnits + u]);
      }
    }
    for (std::size_t u = 0; u < kUnits; ++u) {
      next.c[u] = gate(z[1][u]) * state.c[u] + gate(z[0][u]) * activation(z[2][u]);
      next.h[u] = gate(z[3][u]) * activation(next.c[u]);
    }
    return next;
  };
}

Step gru(bool reset_after, const Function& gate) {
  return [=](const Weights& w, std::span<const float> x, const State& state) {
    const Doubles input(x.begin(), x.end());
    const auto bias = [&](int row, int g, std::size_t u) {
      if (w.bias.empty()) return 0.0;
      return static_cast<double>(w.bias[static_cast<std::size_t>(row * 3 + g) * kUnits + u]);
    };
    const Doubles az = times(input, w.kernel, 3, 0);
    const Doubles ar = times(input, w.kernel, 3, 1);
    const Doubles ah = times(input, w.kernel, 3, 2);
    const Doubles gz = times(state.h, w.recurrent, 3, 0);
    const Doubles gr = times(state.h, w.recurrent, 3, 1);
    State next;
    Doubles z(kUnits);
    Doubles r(kUnits);
    for (std::size_t u = 0; u < kUnits; ++u) {
      const double second = reset_after ? 1 : 0;
      z[u] = gate(az[u] + gz[u] + bias(0, 0, u) + second * bias(static_cast<int>(second), 0, u));
      r[u] = gate(ar[u] + gr[u] + bias(0, 1, u) + second * bias(static_cast<int>(second), 1, u));
    }
    Doubles reset = state.h;
    for (std::size_t u = 0; u < kUnits; ++u) reset[u] *= r[u];
    const Doubles gh = times(reset_after ? state.h : reset, w.recurrent, 3, 2);
    for (std::size_t u = 0; u < kUnits; ++u) {
      const double inner = reset_after ? ah[u] + bias(0, 2, u) + r[u] * (gh[u] + bias(1, 2, u))
                                       : ah[u] + bias(0, 2, u) + gh[u];
      next.h[u] = z[u] * state.h[u] + (1 - z[u]) * std::tanh(inner);
    }
    return next;
  };
}

Step simple() {
  return [](const Weights& w, std::span<const float> x, const State& state) {
    const Doubles a = times(Doubles(x.begin(), x.end()), w.kernel, 1, 0);
    const Doubles r = times(state.h, w.recurrent, 1, 0);
    State next;
    for (std::size_t u = 0; u < kUnits; ++u) next.h[u] = std::tanh(a[u] + r[u] + w.bias[u]);
    return next;
  };
}

struct Sequence {
  Floats all;   // (batch, steps, units), in processing order
  Floats last;  // (batch, units)
  Floats h;
  Floats c;
};

Sequence loop(const Step& step, const Weights& weights, const Tensor& x, bool backwards = false,
              const std::vector<bool>& mask = {}, bool zero_for_mask = false,
              const std::vector<State>& initial = std::vector<State>(kBatch)) {
  Sequence result;
  for (std::size_t n = 0; n < kBatch; ++n) {
    State state = initial[n];
    Doubles output(kUnits);
    for (std::size_t i = 0; i < kSteps; ++i) {
      const std::size_t t = backwards ? kSteps - 1 - i : i;
      if (mask.empty() || mask[n * kSteps + t]) {
        state = step(weights, x.as<float>().subspan((n * kSteps + t) * kIn, kIn), state);
        output = state.h;
      } else if (zero_for_mask) {
        output.assign(kUnits, 0);
      }
      for (const double v : output) result.all.push_back(static_cast<float>(v));
    }
    for (const double v : output) result.last.push_back(static_cast<float>(v));
    for (const double v : state.h) result.h.push_back(static_cast<float>(v));
    for (const double v : state.c) result.c.push_back(static_cast<float>(v));
  }
  return result;
}

Floats values_of(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

class RecurrentTest : public testing::Test {
 protected:
  Weights weights(int gates, int bias_rows) {
    const auto make = [&](const Shape& shape) { return values_of(random_tensor(shape, random_)); };
    Weights result{make({kIn, gates * kUnits}), make({kUnits, gates * kUnits}), {}};
    if (bias_rows > 0) result.bias = make({bias_rows * gates * kUnits});
    return result;
  }

  LayerCase layer(const std::string& name, const std::string& config, const Weights& w) {
    LayerCase result{
        .class_name = name,
        .config = R"({"units": 2, )" + config + "}",
        .inputs = {x_},
        .weights = {{"cell/kernel", w.kernel}, {"cell/recurrent_kernel", w.recurrent}}};
    if (!w.bias.empty()) result.weights["cell/bias"] = w.bias;
    return result;
  }

  std::mt19937 random_{21};
  Tensor x_ = random_tensor({kBatch, kSteps, kIn}, random_);
};

TEST_F(RecurrentTest, LstmGivesSequencesAndStates) {
  const Weights w = weights(4, 1);
  const Sequence expected = loop(lstm(sigmoid, hyperbolic), w, x_);
  const LayerResult result = run_layer(layer(
      "LSTM", R"("return_sequences": true, "return_state": true, "unit_forget_bias": true)", w));
  ASSERT_EQ(result.outputs.size(), 3U);
  expect_tensor(result.outputs[0], {kBatch, kSteps, kUnits}, expected.all);
  expect_tensor(result.outputs[1], {kBatch, kUnits}, expected.h);
  expect_tensor(result.outputs[2], {kBatch, kUnits}, expected.c);
}

TEST_F(RecurrentTest, LstmWithoutBiasAndWithOtherActivations) {
  const Weights w = weights(4, 0);
  LayerCase old = layer("LSTM", R"("use_bias": false, "activation": "relu",
    "recurrent_activation": "hard_sigmoid")",
                        w);
  old.version = {2, 3};
  const auto relu = [](double x) { return std::max(x, 0.0); };
  expect_tensor(run_layer(old).outputs[0], {kBatch, kUnits},
                loop(lstm(hard_sigmoid_2, relu), w, x_).last);
}

TEST_F(RecurrentTest, GruResetsAfterOrBefore) {
  const Weights after = weights(3, 2);
  expect_tensor(run_layer(layer("GRU", R"("reset_after": true)", after)).outputs[0],
                {kBatch, kUnits}, loop(gru(true, sigmoid), after, x_).last);
  const Weights before = weights(3, 1);
  expect_tensor(run_layer(layer("GRU", R"("reset_after": false, "return_sequences": true)", before))
                    .outputs[0],
                {kBatch, kSteps, kUnits}, loop(gru(false, sigmoid), before, x_).all);
  // Files from before the option compute without it.
  LayerCase old = layer("GRU", R"("recurrent_activation": "hard_sigmoid")", before);
  old.version = {2, 1};
  expect_tensor(run_layer(old).outputs[0], {kBatch, kUnits},
                loop(gru(false, hard_sigmoid_2), before, x_).last);
}

TEST_F(RecurrentTest, BackwardsStaysInTheOrderItWasMade) {
  const Weights w = weights(1, 1);
  expect_tensor(
      run_layer(layer("SimpleRNN", R"("go_backwards": true, "return_sequences": true)", w))
          .outputs[0],
      {kBatch, kSteps, kUnits}, loop(simple(), w, x_, true).all);
}

class MaskedRecurrentTest : public RecurrentTest {
 protected:
  MaskedRecurrentTest() {
    Floats values = values_of(x_);
    for (std::size_t t = 0; t < mask_.size(); ++t) {
      if (!mask_[t]) std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(t * kIn), kIn, 7.0F);
    }
    x_ = floats({kBatch, kSteps, kIn}, values);
  }
  LayerCase masked(const std::string& name, const std::string& config, const Weights& w) {
    LayerCase result = layer(name, config, w);
    result.masked_value = 7;
    return result;
  }

  std::vector<bool> mask_{true, false, true, false, false, true, true, true};
};

TEST_F(MaskedRecurrentTest, MaskedStepsRepeatTheState) {
  const Weights w = weights(4, 1);
  for (const bool backwards : {false, true}) {
    const Sequence expected = loop(lstm(sigmoid, hyperbolic), w, x_, backwards, mask_);
    const LayerResult result =
        run_layer(masked("LSTM",
                         std::string(R"("return_sequences": true, "return_state": true)") +
                             (backwards ? R"(, "go_backwards": true)" : ""),
                         w));
    expect_tensor(result.outputs[0], {kBatch, kSteps, kUnits}, expected.all);
    expect_tensor(result.outputs[1], {kBatch, kUnits}, expected.h);
    expect_tensor(result.outputs[2], {kBatch, kUnits}, expected.c);
  }
}

TEST_F(MaskedRecurrentTest, OrEmitZero) {
  const Weights w = weights(3, 2);
  expect_tensor(
      run_layer(masked("GRU", R"("return_sequences": true, "zero_output_for_mask": true)", w))
          .outputs[0],
      {kBatch, kSteps, kUnits}, loop(gru(true, sigmoid), w, x_, false, mask_, true).all);
}

TEST_F(MaskedRecurrentTest, TheMaskOfASequenceTravelsOnUntilKeras315) {
  const Weights w = weights(1, 1);
  LayerCase sequence = masked("SimpleRNN", R"("return_sequences": true)", w);
  EXPECT_FALSE(run_layer(sequence).masks[0].has_value());
  for (const formats::KerasVersion version :
       {formats::KerasVersion{3, 15}, formats::KerasVersion{2, 15}}) {
    sequence.version = version;
    expect_mask(run_layer(sequence).masks[0], {kBatch, kSteps}, mask_);
  }
  LayerCase last = masked("SimpleRNN", R"("return_sequences": false)", w);
  last.version = {2, 15};
  EXPECT_FALSE(run_layer(last).masks[0].has_value());
}

TEST_F(RecurrentTest, StartsFromAGivenState) {
  const Weights w = weights(4, 1);
  std::vector<State> initial(kBatch);
  Floats h;
  Floats c;
  for (State& state : initial) {
    for (std::size_t u = 0; u < kUnits; ++u) {
      state.h[u] = 0.25 * static_cast<double>(h.size()) - 0.5;
      state.c[u] = 0.75 - state.h[u];
      h.push_back(static_cast<float>(state.h[u]));
      c.push_back(static_cast<float>(state.c[u]));
    }
  }
  const Floats expected = loop(lstm(sigmoid, hyperbolic), w, x_, false, {}, false, initial).last;
  LayerCase started = layer("LSTM", R"("return_sequences": false)", w);
  started.inputs.push_back(floats({kBatch, kUnits}, h));
  started.inputs.push_back(floats({kBatch, kUnits}, c));
  for (const char* arguments : {R"({"args": [$0], "kwargs": {"initial_state": [$1, $2]}})",
                                R"({"args": [$0, [$1, $2]], "kwargs": {"mask": null}})",
                                // As Keras 2 writes it: beside the input.
                                R"([["in0", 0, 0, {}], ["in1", 0, 0, {}], ["in2", 0, 0, {}]])",
                                R"([["in0", 0, 0, {"initial_state":
                                    [["in1", 0, 0], ["in2", 0, 0]]}]])"}) {
    started.arguments = arguments;
    expect_tensor(run_layer(started).outputs[0], {kBatch, kUnits}, expected);
  }
  started.arguments = R"({"args": [$0], "kwargs": {"initial_state": [$1]}})";
  EXPECT_THAT(refusal_of(started).what(), HasSubstr("2 tensors"));
}

TEST_F(RecurrentTest, RefusesWhatItCannotDo) {
  const Weights w = weights(4, 1);
  EXPECT_THAT(refusal_of(layer("LSTM", R"("time_major": true)", w)).what(),
              HasSubstr("field time_major"));
  EXPECT_THAT(refusal_of(layer("LSTM", R"("activation": "softmax")", w)).what(),
              HasSubstr("field activation"));
  LayerCase flat = layer("LSTM", R"("use_bias": true)", w);
  flat.inputs = {floats({1, 3}, {1, 2, 3})};
  EXPECT_THAT(refusal_of(flat).what(), HasSubstr("(batch, steps, channels)"));
}

}  // namespace
}  // namespace kerf::layers
