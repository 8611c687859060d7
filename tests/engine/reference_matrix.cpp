#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/engine/reference.h"
#include "tests/engine/reference_values.h"

namespace kerf::reference {
namespace {

void apply_epilogue(const program::Epilogue& epilogue, Operands x, std::size_t next, Values& y) {
  const Values* bias = epilogue.bias ? &x[next++] : nullptr;
  const Values* residual = epilogue.residual ? &x[next++] : nullptr;
  const Values* scale = epilogue.scale ? &x[next] : nullptr;
  for_each(y.shape, [&](const Index& i) {
    double value = y[i];
    if (scale != nullptr) value *= (*scale)[{i.back()}];
    if (bias != nullptr) value += (*bias)[{i.back()}];
    if (residual != nullptr) value += (*residual)[i];
    y[i] = apply(epilogue.activation, value);
  });
}

// Calls body(cell of the window, index into x without its channel) for the cells of the window at
// output `at` that lie inside x.
template <typename Body>
void for_each_cell(const program::Window& window, const Shape& x, const Index& at,
                   const Body& body) {
  Shape size;
  for (std::size_t i = 0; i < window.rank; ++i) size.push_back(window.size[i]);
  for_each(size, [&](const Index& cell) {
    Index from{at[0]};
    for (std::size_t i = 0; i < window.rank; ++i) {
      const std::int64_t before = program::window_axis(window, i, x[i + 1]).before;
      from.push_back(at[i + 1] * window.strides[i] - before + cell[i] * window.dilation[i]);
      if (from.back() < 0 || from.back() >= x[i + 1]) return;
    }
    body(cell, from);
  });
}

Index with(Index index, std::initializer_list<std::int64_t> more) {
  index.insert(index.end(), more);
  return index;
}

}  // namespace

void compute(const program::Linear& op, Operands x, Results y) {
  const std::int64_t in = x[1].shape[0];
  for_each(y[0].shape, [&](const Index& i) {
    Index from = i;
    double sum = 0;
    for (std::int64_t k = 0; k < in; ++k) {
      from.back() = k;
      sum += x[0][from] * x[1][{k, i.back()}];
    }
    y[0][i] = sum;
  });
  apply_epilogue(op.epilogue, x, 2, y[0]);
}

void compute(const program::MatMul& op, Operands x, Results y) {
  const std::int64_t inner = x[0].shape[x[0].shape.rank() - (op.transpose_a ? 2 : 1)];
  const auto of = [](const Values& matrices, const Index& batch, std::int64_t row,
                     std::int64_t column) {
    Index own(matrices.shape.rank() - 2);
    for (std::size_t i = 0; i < own.size(); ++i) {
      own[i] = matrices.shape[i] == 1 ? 0 : batch[batch.size() - own.size() + i];
    }
    return matrices[with(own, {row, column})];
  };
  for_each(y[0].shape, [&](const Index& i) {
    const Index batch(i.begin(), i.end() - 2);
    const std::int64_t m = i[i.size() - 2];
    const std::int64_t n = i.back();
    double sum = 0;
    for (std::int64_t k = 0; k < inner; ++k) {
      sum += (op.transpose_a ? of(x[0], batch, k, m) : of(x[0], batch, m, k)) *
             (op.transpose_b ? of(x[1], batch, n, k) : of(x[1], batch, k, n));
    }
    y[0][i] = sum * op.scale;
  });
}

void compute(const program::Conv& op, Operands x, Results y) {
  const Shape& kernel = x[1].shape;
  const std::int64_t in = kernel[kernel.rank() - 2];  // per group
  const std::int64_t out = kernel.back() / op.groups;
  for_each(y[0].shape, [&](const Index& i) {
    double sum = 0;
    for_each_cell(op.window, x[0].shape, i, [&](const Index& cell, const Index& from) {
      for (std::int64_t c = 0; c < in; ++c) {
        sum += x[0][with(from, {i.back() / out * in + c})] * x[1][with(cell, {c, i.back()})];
      }
    });
    y[0][i] = sum;
  });
  apply_epilogue(op.epilogue, x, 2, y[0]);
}

void compute(const program::DepthwiseConv& op, Operands x, Results y) {
  const std::int64_t multiplier = x[1].shape.back();
  for_each(y[0].shape, [&](const Index& i) {
    const std::int64_t channel = i.back() / multiplier;
    double sum = 0;
    for_each_cell(op.window, x[0].shape, i, [&](const Index& cell, const Index& from) {
      sum += x[0][with(from, {channel})] * x[1][with(cell, {channel, i.back() % multiplier})];
    });
    y[0][i] = sum;
  });
  apply_epilogue(op.epilogue, x, 2, y[0]);
}

void compute(const program::ConvTranspose& op, Operands x, Results y) {
  const std::size_t rank = op.window.rank;
  const Shape& w = x[1].shape;
  std::ranges::fill(y[0].numbers, 0.0);
  for_each(Shape(x[0].shape.dims().first(rank + 1)), [&](const Index& from) {
    for_each(Shape(w.dims().first(rank)), [&](const Index& cell) {
      Index to{from[0]};
      for (std::size_t i = 0; i < rank; ++i) {
        to.push_back(from[i + 1] * op.window.strides[i] + cell[i] * op.window.dilation[i] -
                     op.crop[i]);
        if (to.back() < 0 || to.back() >= y[0].shape[i + 1]) return;
      }
      for (std::int64_t f = 0; f < w.back(); ++f) {
        for (std::int64_t c = 0; c < w[rank]; ++c) {
          y[0][with(to, {f})] += x[0][with(from, {c})] * x[1][with(cell, {c, f})];
        }
      }
    });
  });
  apply_epilogue(op.epilogue, x, 2, y[0]);
}

void compute(const program::Pool& op, Operands x, Results y) {
  for_each(y[0].shape, [&](const Index& i) {
    double maximum = -std::numeric_limits<double>::infinity();
    double sum = 0;
    double cells = 0;
    bool nan = false;
    for_each_cell(op.window, x[0].shape, i, [&](const Index&, const Index& from) {
      const double value = x[0][with(from, {i.back()})];
      nan = nan || std::isnan(value);
      maximum = std::fmax(maximum, value);
      sum += value;
      ++cells;
    });
    y[0][i] = op.kind == program::Pool::Kind::kAverage ? sum / cells
              : nan                                    ? std::numeric_limits<double>::quiet_NaN()
                                                       : maximum;
  });
}

namespace {

// What one sample's recurrence works on.
struct Cell {
  const program::Recurrent& op;
  const Values& kernel;
  const Values& recurrent;
  const Values* bias;
  std::int64_t units;

  double bias_at(std::int64_t row, std::int64_t column) const {
    if (bias == nullptr) return 0;
    if (bias->shape.rank() == 2) return (*bias)[{row, column}];
    return row == 0 ? (*bias)[{column}] : 0;
  }
  double from_input(const std::vector<double>& x, std::int64_t column) const {
    double sum = bias_at(0, column);
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += x[i] * kernel[{static_cast<std::int64_t>(i), column}];
    }
    return sum;
  }
  double from_state(const std::vector<double>& h, std::int64_t column) const {
    double sum = 0;
    for (std::int64_t i = 0; i < units; ++i) {
      sum += h[static_cast<std::size_t>(i)] * recurrent[{i, column}];
    }
    return sum;
  }
  double gate(double v) const { return apply(op.recurrent_activation, v); }
  double act(double v) const { return apply(op.activation, v); }

  void step(const std::vector<double>& x, std::vector<double>& h, std::vector<double>& c) const {
    using Kind = program::Recurrent::Cell;
    const std::vector<double> old = h;
    const auto both = [&](std::int64_t column) {
      return from_input(x, column) + from_state(old, column);
    };
    std::vector<double> reset = old;
    if (op.cell == Kind::kGru) {
      for (std::int64_t u = 0; u < units; ++u) {
        reset[static_cast<std::size_t>(u)] *= gate(both(units + u));
      }
    }
    for (std::int64_t u = 0; u < units; ++u) {
      double& state = h[static_cast<std::size_t>(u)];
      switch (op.cell) {
        case Kind::kSimple:
          state = act(both(u));
          break;
        case Kind::kLstm: {
          double& carry = c[static_cast<std::size_t>(u)];
          carry = gate(both(units + u)) * carry + gate(both(u)) * act(both(2 * units + u));
          state = gate(both(3 * units + u)) * act(carry);
          break;
        }
        case Kind::kGru: {
          const double z = gate(both(u));
          const double candidate =
              act(from_input(x, 2 * units + u) + from_state(reset, 2 * units + u));
          state = z * state + (1 - z) * candidate;
          break;
        }
        case Kind::kGruResetAfter: {
          const auto biased = [&](std::int64_t column) {
            return from_state(old, column) + bias_at(1, column);
          };
          const double z = gate(from_input(x, u) + biased(u));
          const double r = gate(from_input(x, units + u) + biased(units + u));
          const double candidate = act(from_input(x, 2 * units + u) + r * biased(2 * units + u));
          state = z * state + (1 - z) * candidate;
          break;
        }
      }
    }
  }
};

}  // namespace

void compute(const program::Recurrent& op, Operands x, Results y) {
  std::size_t next = 3;
  const Values* bias = op.bias ? &x[next++] : nullptr;
  const Values* mask = op.mask ? &x[next++] : nullptr;
  const bool lstm = op.cell == program::Recurrent::Cell::kLstm;
  const Values* h0 = op.initial_state ? &x[next++] : nullptr;
  const Values* c0 = op.initial_state && lstm ? &x[next] : nullptr;
  const std::int64_t units = x[2].shape[0];
  const Cell cell{op, x[1], x[2], bias, units};
  const Shape& shape = x[0].shape;
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    std::vector<double> h(static_cast<std::size_t>(units));
    std::vector<double> c = h;
    std::vector<double> output = h;
    for (std::int64_t u = 0; u < units; ++u) {
      if (h0 != nullptr) h[static_cast<std::size_t>(u)] = (*h0)[{n, u}];
      if (c0 != nullptr) c[static_cast<std::size_t>(u)] = (*c0)[{n, u}];
    }
    for (std::int64_t i = 0; i < shape[1]; ++i) {
      const std::int64_t t = op.backwards ? shape[1] - 1 - i : i;
      if (mask == nullptr || (*mask)[{n, t}] != 0) {
        std::vector<double> input;
        for (std::int64_t k = 0; k < shape[2]; ++k) input.push_back(x[0][{n, t, k}]);
        cell.step(input, h, c);
        output = h;
      } else if (op.zero_output_for_mask) {
        output.assign(output.size(), 0);
      }
      for (std::int64_t u = 0; u < units && op.sequences; ++u) {
        y[0][{n, i, u}] = output[static_cast<std::size_t>(u)];
      }
    }
    for (std::int64_t u = 0; u < units; ++u) {
      const auto at = static_cast<std::size_t>(u);
      if (!op.sequences) y[0][{n, u}] = output[at];
      y[1][{n, u}] = h[at];
      if (lstm) y[2][{n, u}] = c[at];
    }
  }
}

}  // namespace kerf::reference
