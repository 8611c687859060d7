#include <algorithm>
#include <cmath>

#include "tests/engine/reference.h"
#include "tests/engine/reference_values.h"

namespace kerf::reference {

void compute(const program::Attention& op, Operands x, Results y) {
  const Values& q = x[0];
  const Values& k = x[1];
  const Values& v = x[2];
  const std::int64_t keys = k.shape[1];
  const std::int64_t depth = q.shape[2] / op.heads;
  const std::int64_t width = v.shape[2] / op.key_heads;
  for_each(Shape{q.shape[0], op.heads, q.shape[1]}, [&](const Index& at) {
    const std::int64_t n = at[0];
    const std::int64_t i = at[2];
    const std::int64_t key_head = at[1] * op.key_heads / op.heads;
    std::vector<double> shares(static_cast<std::size_t>(keys));
    double total = 0;
    double top = -INFINITY;
    const auto visible = [&](std::int64_t j) {
      return !(op.causal && j > i) && !(op.window != 0 && std::abs(i - j) >= op.window) &&
             !(op.mask && x[3].broadcast({n, at[1], i, j}) == 0);
    };
    const auto score = [&](std::int64_t j) {
      double sum = 0;
      for (std::int64_t d = 0; d < depth; ++d) {
        sum += q[{n, i, at[1] * depth + d}] * k[{n, j, key_head * depth + d}];
      }
      return sum * op.scale;
    };
    for (std::int64_t j = 0; j < keys; ++j) {
      if (visible(j)) top = std::max(top, score(j));
    }
    for (std::int64_t j = 0; j < keys; ++j) {
      double& share = shares[static_cast<std::size_t>(j)];
      share = visible(j) ? std::exp(score(j) - top) : 0;
      total += share;
    }
    for (double& share : shares) {
      share = total > 0 ? share / total : op.blind_is_zero ? 0 : 1 / static_cast<double>(keys);
    }
    for (std::int64_t e = 0; e < width; ++e) {
      double sum = 0;
      for (std::int64_t j = 0; j < keys; ++j) {
        sum += shares[static_cast<std::size_t>(j)] * v[{n, j, key_head * width + e}];
      }
      y[0][{n, i, at[1] * width + e}] = sum;
    }
    for (std::int64_t j = 0; op.weights && j < keys; ++j) {
      y[1][{n, at[1], i, j}] = shares[static_cast<std::size_t>(j)];
    }
  });
}

void compute(const program::ConvLstm& op, Operands x, Results y) {
  const Shape& in = x[0].shape;
  std::size_t next = 2;
  const Values* mask = op.mask ? &x[next++] : nullptr;
  Values& h = y[1];
  Values& c = y[2];
  if (op.initial_state) {
    h.numbers = x[next].numbers;
    c.numbers = x[next + 1].numbers;
  }
  program::Conv conv{.window = {.rank = in.rank() - 3, .padding = program::Padding::kSame}};
  for (std::size_t i = 0; i < conv.window.rank; ++i) conv.window.size[i] = x[1].shape[i];
  const std::int64_t filters = in.back() / 4;
  Shape gate_shape{in[0]};
  for (std::size_t axis = 2; axis < in.rank(); ++axis) gate_shape.push_back(in[axis]);
  Values last(DType::kFloat32, h.shape);
  for (std::int64_t step = 0; step < in[1]; ++step) {
    const std::int64_t t = op.backwards ? in[1] - 1 - step : step;
    std::vector<Values> gates{Values(DType::kFloat32, gate_shape)};
    compute(conv, std::vector<Values>{h, x[1]}, gates);
    const auto gate = [&](const Index& cell, std::int64_t number) {
      Index at = cell;
      at.back() += number * filters;
      Index from = at;
      from.insert(from.begin() + 1, t);
      return gates[0][at] + x[0][from];
    };
    for_each(h.shape, [&](const Index& cell) {
      const bool runs = mask == nullptr || (*mask)[{cell[0], t}] != 0;
      if (runs) {
        const double keep = apply(op.recurrent_activation, gate(cell, 1)) * c[cell];
        c[cell] = keep + apply(op.recurrent_activation, gate(cell, 0)) *
                             apply(op.activation, gate(cell, 2));
        h[cell] = apply(op.recurrent_activation, gate(cell, 3)) * apply(op.activation, c[cell]);
        last[cell] = h[cell];
      } else if (op.zero_output_for_mask) {
        last[cell] = 0;
      }
      if (op.sequences) {
        Index at = cell;
        at.insert(at.begin() + 1, step);
        y[0][at] = last[cell];
      }
    });
  }
  if (!op.sequences) y[0].numbers = last.numbers;
}

}  // namespace kerf::reference
