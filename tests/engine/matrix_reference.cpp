#include <array>
#include <cmath>

#include "engine/kernels/activation.h"
#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

using program::Recurrent;

class Reference {
 public:
  explicit Reference(const std::vector<Operand>& operands) : operands_(operands) {}

  Results operator()(const program::Linear& op) const {
    const std::int64_t in = dim(1, 0);
    const std::int64_t out = dim(1, 1);
    const Shape& shape = operands_[0].type.shape;
    std::int64_t rows = 1;
    for (std::size_t i = 0; i + 1 < shape.rank(); ++i) rows *= shape[i];
    std::vector<double> y;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t o = 0; o < out; ++o) {
        double sum = 0;
        for (std::int64_t i = 0; i < in; ++i) sum += at(0, row * in + i) * at(1, i * out + o);
        y.push_back(sum);
      }
    }
    return {finish(y, out, op.epilogue)};
  }

  Results operator()(const program::MatMul& op) const {
    const Shape& a = operands_[0].type.shape;
    const Shape& b = operands_[1].type.shape;
    const std::size_t rank = a.rank();
    const std::int64_t m = a[rank - (op.transpose_a ? 1 : 2)];
    const std::int64_t k = a[rank - (op.transpose_a ? 2 : 1)];
    const std::int64_t n = b[rank - (op.transpose_b ? 2 : 1)];
    std::int64_t batch = 1;
    for (std::size_t i = 0; i + 2 < rank; ++i) batch *= a[i];
    std::vector<float> y;
    for (std::int64_t s = 0; s < batch; ++s) {
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (std::int64_t l = 0; l < k; ++l) {
            sum += at(0, s * m * k + (op.transpose_a ? l * m + i : i * k + l)) *
                   at(1, s * k * n + (op.transpose_b ? j * k + l : l * n + j));
          }
          y.push_back(static_cast<float>(sum * op.scale));
        }
      }
    }
    return {y};
  }

  Results operator()(const program::Conv& op) const {
    return convolution(op.window, op.groups, op.epilogue);
  }
  // A kernel (window, in, multiplier) read as (window, 1, in * multiplier) is one of `in` groups.
  Results operator()(const program::DepthwiseConv& op) const {
    return convolution(op.window, operands_[0].type.shape.back(), op.epilogue);
  }

  Results operator()(const Recurrent& op) const;

  template <class Other>
  Results operator()(const Other& /*op*/) const {
    ADD_FAILURE() << "not of the matrix family";
    return {};
  }

 private:
  std::int64_t dim(std::size_t operand, std::size_t axis) const {
    return operands_[operand].type.shape[axis];
  }
  const std::vector<float>& x(std::size_t operand) const { return operands_[operand].floats; }
  double at(std::size_t operand, std::int64_t i) const {
    return x(operand)[static_cast<std::size_t>(i)];
  }

  std::vector<float> finish(const std::vector<double>& sums, std::int64_t channels,
                            const program::Epilogue& epilogue) const {
    std::vector<float> y;
    const std::size_t residual = epilogue.bias ? 3 : 2;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      double v = sums[i];
      if (epilogue.bias) v += x(2)[i % static_cast<std::size_t>(channels)];
      if (epilogue.residual) v += x(residual)[i];
      y.push_back(apply(epilogue.activation, static_cast<float>(v)));
    }
    return y;
  }

  Results convolution(const program::Window& window, std::int64_t groups,
                      const program::Epilogue& epilogue) const;

  const std::vector<Operand>& operands_;
};

Results Reference::convolution(const program::Window& window, std::int64_t groups,
                               const program::Epilogue& epilogue) const {
  using Index = std::array<std::int64_t, 3>;
  const Shape& shape = operands_[0].type.shape;
  const Shape& w = operands_[1].type.shape;
  const std::int64_t in = shape.back() / groups;
  std::int64_t channels = w.back();
  if (w[w.rank() - 2] != in) channels *= w[w.rank() - 2];  // depthwise
  const std::int64_t out = channels / groups;
  Index size{1, 1, 1};
  Index output{1, 1, 1};
  Index kernel{1, 1, 1};
  Index stride{1, 1, 1};
  Index dilation{1, 1, 1};
  Index before{0, 0, 0};
  for (std::size_t axis = 0; axis < window.rank; ++axis) {
    const program::WindowAxis geometry = program::window_axis(window, axis, shape[axis + 1]);
    size[axis] = shape[axis + 1];
    output[axis] = geometry.output;
    before[axis] = geometry.before;
    kernel[axis] = window.size[axis];
    stride[axis] = window.strides[axis];
    dilation[axis] = window.dilation[axis];
  }
  std::vector<double> y;
  const std::int64_t pixels = output[0] * output[1] * output[2];
  for (std::int64_t i = 0; i < shape[0] * pixels * channels; ++i) {
    const std::int64_t o = i % channels;
    const std::int64_t pixel = i / channels % pixels;
    const std::int64_t n = i / channels / pixels;
    const Index p{pixel / output[2] / output[1], pixel / output[2] % output[1], pixel % output[2]};
    double sum = 0;
    for (std::int64_t tap = 0; tap < kernel[0] * kernel[1] * kernel[2]; ++tap) {
      const Index t{tap / kernel[2] / kernel[1], tap / kernel[2] % kernel[1], tap % kernel[2]};
      std::int64_t cell = n;
      bool inside = true;
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const std::int64_t c = p[axis] * stride[axis] + t[axis] * dilation[axis] - before[axis];
        inside = inside && c >= 0 && c < size[axis];
        cell = cell * size[axis] + c;
      }
      for (std::int64_t c = 0; inside && c < in; ++c) {
        sum += at(0, cell * shape.back() + o / out * in + c) * at(1, (tap * in + c) * channels + o);
      }
    }
    y.push_back(sum);
  }
  return {finish(y, channels, epilogue)};
}

Results Reference::operator()(const Recurrent& op) const {
  using Cell = Recurrent::Cell;
  const std::int64_t batch = dim(0, 0);
  const std::int64_t steps = dim(0, 1);
  const std::int64_t in = dim(0, 2);
  const std::int64_t units = dim(2, 0);
  const std::int64_t width = dim(2, 1);
  std::size_t next = 3;
  const std::size_t bias = op.bias ? next++ : 0;
  const std::size_t mask = op.mask ? next++ : 0;
  const std::size_t h0 = op.initial_state ? next++ : 0;
  const bool lstm = op.cell == Cell::kLstm;
  const std::size_t c0 = op.initial_state && lstm ? next : 0;
  const auto count = static_cast<std::size_t>(units);
  const auto gate = [&](double v) { return apply(op.recurrent_activation, static_cast<float>(v)); };
  const auto act = [&](double v) { return apply(op.activation, static_cast<float>(v)); };

  Results results(lstm ? 3 : 2);
  for (std::int64_t n = 0; n < batch; ++n) {
    std::vector<double> h(count);
    std::vector<double> c(count);
    std::vector<double> last(count);
    for (std::int64_t u = 0; u < units; ++u) {
      if (h0 != 0) h[static_cast<std::size_t>(u)] = at(h0, n * units + u);
      if (c0 != 0) c[static_cast<std::size_t>(u)] = at(c0, n * units + u);
    }
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t t = op.backwards ? steps - 1 - i : i;
      const auto cell = static_cast<std::size_t>(n * steps + t);
      if (mask == 0 || operands_[mask].bools[cell] != 0) {
        // Column j of x W + b, and of v U.
        const auto from_x = [&](std::int64_t j) {
          double sum = bias != 0 ? at(bias, j) : 0;
          for (std::int64_t k = 0; k < in; ++k) {
            sum += at(0, (n * steps + t) * in + k) * at(1, k * width + j);
          }
          return sum;
        };
        const auto from_state = [&](const std::vector<double>& v, std::int64_t j) {
          double sum = 0;
          for (std::int64_t k = 0; k < units; ++k) {
            sum += v[static_cast<std::size_t>(k)] * at(2, k * width + j);
          }
          return sum;
        };
        std::vector<double> reset(count);
        if (op.cell == Cell::kGru) {
          for (std::int64_t u = 0; u < units; ++u) {
            const auto k = static_cast<std::size_t>(u);
            reset[k] = gate(from_x(units + u) + from_state(h, units + u)) * h[k];
          }
        }
        std::vector<double> next_h(count);
        for (std::int64_t u = 0; u < units; ++u) {
          const auto k = static_cast<std::size_t>(u);
          const auto sum = [&](std::int64_t j) { return from_x(j) + from_state(h, j); };
          const auto second = [&](std::int64_t j) {
            return from_state(h, j) + (bias != 0 ? at(bias, width + j) : 0);
          };
          switch (op.cell) {
            case Cell::kSimple:
              next_h[k] = act(sum(u));
              break;
            case Cell::kLstm:
              c[k] = gate(sum(units + u)) * c[k] + gate(sum(u)) * act(sum(2 * units + u));
              next_h[k] = gate(sum(3 * units + u)) * act(c[k]);
              break;
            case Cell::kGru: {
              const double z = gate(sum(u));
              const double candidate =
                  act(from_x(2 * units + u) + from_state(reset, 2 * units + u));
              next_h[k] = z * h[k] + (1 - z) * candidate;
              break;
            }
            case Cell::kGruResetAfter: {
              const double z = gate(from_x(u) + second(u));
              const double r = gate(from_x(units + u) + second(units + u));
              next_h[k] =
                  z * h[k] + (1 - z) * act(from_x(2 * units + u) + r * second(2 * units + u));
              break;
            }
          }
        }
        h = next_h;
        last = h;
      } else if (op.zero_output_for_mask) {
        last.assign(count, 0);
      }
      if (op.sequences) results[0].insert(results[0].end(), last.begin(), last.end());
    }
    if (!op.sequences) results[0].insert(results[0].end(), last.begin(), last.end());
    results[1].insert(results[1].end(), h.begin(), h.end());
    if (lstm) results[2].insert(results[2].end(), c.begin(), c.end());
  }
  return results;
}

}  // namespace

Results reference(const program::Op& op, const std::vector<Operand>& operands) {
  return std::visit(Reference(operands), op);
}

}  // namespace kerf::engine
