#include <algorithm>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/activate.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/product.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

using Cell = program::Recurrent::Cell;

constexpr std::size_t kChunkBytes = 256 << 10;  // of gates: what stays in a second-level cache
constexpr std::size_t kGroups = 4;              // of the batch, at least, if it is large enough
constexpr std::size_t kMinGroupRows = 4;

std::size_t round_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// The sequences of a batch are independent: they are cut into groups that run side by side. A group
// goes through its steps in chunks: first the input's part of the gates for all steps of a chunk,
// in one product, then step by step the state's part, on top of it, and the new state.
class RecurrentKernel final : public Kernel {
 public:
  RecurrentKernel(const program::Recurrent& op, const KernelSpec& spec)
      : op_(op),
        precision_(spec.precision),
        batch_(static_cast<std::size_t>(spec.operands[0].shape[0])),
        steps_(static_cast<std::size_t>(spec.operands[0].shape[1])),
        in_(static_cast<std::size_t>(spec.operands[0].shape[2])),
        units_(static_cast<std::size_t>(spec.operands[2].shape[0])),
        width_(static_cast<std::size_t>(spec.operands[2].shape[1])),
        activate_(activate_block_function()) {
    const std::size_t tile_rows = tile_set().rows;
    const std::size_t rows = std::clamp<std::size_t>((batch_ + kGroups - 1) / kGroups,
                                                     std::min(kMinGroupRows, tile_rows), tile_rows);
    group_rows_ = std::clamp<std::size_t>(rows, 1, std::max<std::size_t>(batch_, 1));
    chunk_ = std::clamp<std::size_t>(
        kChunkBytes / std::max<std::size_t>(group_rows_ * width_ * sizeof(float), 1), 1,
        std::max<std::size_t>(steps_, 1));
    full_ = products(group_rows_);
    last_ = products(batch_ % group_rows_ == 0 ? group_rows_ : batch_ % group_rows_);

    const std::size_t gates = gate_columns();
    kernel_ = packed_constant(spec, full_.input.form(), {.operand = 1, .stride = width_});
    recurrent_ = packed_constant(spec, full_.gates.form(), {.operand = 2, .stride = width_});
    if (gates != width_) {
      candidate_ = packed_constant(spec, full_.candidate.form(),
                                   {.operand = 2, .first = gates, .stride = width_});
    }
    const double step = full_.gates.estimated_seconds() +
                        (gates != width_ ? full_.candidate.estimated_seconds() : 0) +
                        1e-9 * static_cast<double>(group_rows_ * width_);
    seconds_ = static_cast<double>(groups() * steps_) *
               (step + full_.input.estimated_seconds() / static_cast<double>(chunk_));
  }

  bool run(const KernelRun& run) const noexcept override {
    const Operands operands = operands_of(run);
    ThreadPool* pool = seconds_ > 2 * kMinimumPartSeconds ? run.pool : nullptr;
    parallel_for(pool, groups(), [&](std::size_t group) {
      run_group(operands, group, run.scratch + group * group_bytes());
    });
    return true;
  }

  bool reads(std::size_t operand) const noexcept override { return operand != 1 && operand != 2; }
  std::size_t scratch_bytes() const noexcept override { return groups() * group_bytes(); }
  std::string_view method() const noexcept override { return full_.gates.method(); }
  double estimated_seconds() const noexcept override { return seconds_ + 5e-8; }

 private:
  // For groups of one height.
  struct Products {
    Product input;       // of a chunk
    Product input_rest;  // of the last chunk, which may be shorter
    Product gates;       // of a step: the state by the gates that depend on nothing else
    Product candidate;   // GRU: the state, perhaps reset, by the last gate
  };

  struct Operands {
    const float* x = nullptr;
    const float* bias = nullptr;
    const float* state_bias = nullptr;  // GRU with reset_after
    const bool* mask = nullptr;
    const float* h0 = nullptr;
    const float* c0 = nullptr;
    float* y = nullptr;
    float* h = nullptr;
    float* c = nullptr;
  };

  // A chunk of a group's steps: inputs of step j of sequence n are row n * steps + j.
  struct ChunkRows {
    const RecurrentKernel& kernel;
    const float* x;  // of the group
    std::size_t begin;
    std::size_t steps;
    void operator()(std::size_t first, std::size_t count, const float** to) const noexcept {
      std::size_t n = first / steps;
      std::size_t j = first % steps;
      for (std::size_t i = 0; i < count; ++i) {
        to[i] = x + (n * kernel.steps_ + kernel.time(begin + j)) * kernel.in_;
        if (++j == steps) {
          j = 0;
          ++n;
        }
      }
    }
  };

  bool gru() const noexcept { return op_.cell == Cell::kGru || op_.cell == Cell::kGruResetAfter; }
  std::size_t gate_columns() const noexcept { return gru() ? 2 * units_ : width_; }
  std::size_t groups() const noexcept { return (batch_ + group_rows_ - 1) / group_rows_; }
  std::size_t time(std::size_t i) const noexcept { return op_.backwards ? steps_ - 1 - i : i; }

  Products products(std::size_t rows) const {
    const std::size_t rest = steps_ % chunk_ == 0 ? chunk_ : steps_ % chunk_;
    Products products{.input = Product(rows * chunk_, 1, in_, width_, {}, precision_),
                      .input_rest = Product(rows * rest, 1, in_, width_, {}, precision_),
                      .gates = {},
                      .candidate = {}};
    // The gates of an LSTM have two kinds of activation, in passes of their own.
    const program::Activation activation = op_.cell == Cell::kSimple ? op_.activation
                                           : gru()                   ? op_.recurrent_activation
                                                                     : program::Activation{};
    products.gates = Product(rows, 1, units_, gate_columns(), activation, precision_);
    if (gru()) {
      products.candidate =
          Product(rows, 1, units_, units_,
                  op_.cell == Cell::kGru ? op_.activation : program::Activation{}, precision_);
    }
    return products;
  }

  std::size_t gates_bytes() const noexcept {
    return round_up(group_rows_ * chunk_ * width_ * sizeof(float));
  }
  std::size_t spare_bytes() const noexcept {
    return round_up(gru() ? group_rows_ * units_ * sizeof(float) : 0);
  }
  std::size_t group_bytes() const noexcept {
    std::size_t product = 0;
    for (const Products* p : {&full_, &last_}) {
      for (const Product* q : {&p->input, &p->input_rest, &p->gates}) {
        product = std::max(product, q->scratch_bytes());
      }
      if (gru()) product = std::max(product, p->candidate.scratch_bytes());
    }
    return gates_bytes() + spare_bytes() + round_up(product);
  }

  Operands operands_of(const KernelRun& run) const noexcept {
    Operands operands;
    const auto floats = [&](std::size_t i) { return static_cast<const float*>(run.operands[i]); };
    operands.x = floats(0);
    std::size_t next = 3;
    if (op_.bias) {
      operands.bias = floats(next++);
      if (op_.cell == Cell::kGruResetAfter) operands.state_bias = operands.bias + width_;
    }
    if (op_.mask) operands.mask = static_cast<const bool*>(run.operands[next++]);
    const bool lstm = op_.cell == Cell::kLstm;
    if (op_.initial_state) {
      operands.h0 = floats(next++);
      if (lstm) operands.c0 = floats(next);
    }
    operands.y = static_cast<float*>(run.results[0]);
    operands.h = static_cast<float*>(run.results[1]);
    if (lstm) operands.c = static_cast<float*>(run.results[2]);
    return operands;
  }

  void start(const float* from, float* to, std::size_t first, std::size_t rows) const noexcept {
    if (from != nullptr) {
      std::copy_n(from + first * units_, rows * units_, to + first * units_);
    } else {
      std::fill_n(to + first * units_, rows * units_, 0.0F);
    }
  }

  void run_group(const Operands& operands, std::size_t group, std::byte* scratch) const noexcept {
    const std::size_t first = group * group_rows_;
    const std::size_t rows = std::min(group_rows_, batch_ - first);
    const Products& products = rows == group_rows_ ? full_ : last_;
    auto* gates = reinterpret_cast<float*>(scratch);
    auto* spare = reinterpret_cast<float*>(scratch + gates_bytes());
    std::byte* const rest = scratch + gates_bytes() + spare_bytes();

    start(operands.h0, operands.h, first, rows);
    if (operands.c != nullptr) start(operands.c0, operands.c, first, rows);
    if (!op_.sequences) start(nullptr, operands.y, first, rows);
    for (std::size_t begin = 0; begin < steps_; begin += chunk_) {
      const std::size_t count = std::min(chunk_, steps_ - begin);
      const Product& input = count == chunk_ ? products.input : products.input_rest;
      input.run(ChunkRows{*this, operands.x + first * steps_ * in_, begin, count},
                kernel_.as<float>().data(), {.y = gates, .stride = width_, .bias = operands.bias},
                rest, nullptr);
      for (std::size_t j = 0; j < count; ++j) {
        const Step step{.operands = operands,
                        .products = products,
                        .gates = gates + j * width_,
                        .stride = count * width_,
                        .spare = spare,
                        .scratch = rest,
                        .first = first,
                        .rows = rows,
                        .i = begin + j};
        run_step(step);
      }
    }
  }

  struct Step {
    const Operands& operands;
    const Products& products;
    float* gates;        // of the group's first sequence, with the input's part
    std::size_t stride;  // to the next sequence's
    float* spare;
    std::byte* scratch;
    std::size_t first;  // sequence of the group
    std::size_t rows;
    std::size_t i;  // step, in the order of processing

    float* gate(std::size_t n) const noexcept { return gates + n * stride; }
  };

  // `rows` by a packed matrix on top of what stands in `to`.
  static void add_product(const Step& step, const Product& product, const float* rows,
                          std::size_t stride, const Tensor& matrix, const float* bias,
                          float* to) noexcept {
    product.run(DenseRows{rows, stride}, matrix.as<float>().data(),
                {.y = to, .stride = step.stride, .bias = bias, .residual = to}, step.scratch,
                nullptr);
  }

  void run_step(const Step& step) const noexcept {
    const Operands& operands = step.operands;
    float* const h = operands.h + step.first * units_;
    add_product(step, step.products.gates, h, units_, recurrent_, operands.state_bias, step.gates);
    switch (op_.cell) {
      case Cell::kSimple:
        for_each_live(step,
                      [&](std::size_t n) { std::copy_n(step.gate(n), units_, h + n * units_); });
        break;
      case Cell::kLstm:
        lstm(step, h, operands.c + step.first * units_);
        break;
      case Cell::kGru:
        reset_state(step, h);
        add_product(step, step.products.candidate, step.spare, units_, candidate_, nullptr,
                    step.gates + 2 * units_);
        update(step, h);
        break;
      case Cell::kGruResetAfter:
        reset_candidate(step, h);
        update(step, h);
        break;
    }
    output(step, h);
  }

  // Calls body(n) for the sequences of the group that are not masked at this step.
  template <class Body>
  void for_each_live(const Step& step, const Body& body) const noexcept {
    for (std::size_t n = 0; n < step.rows; ++n) {
      if (live(step, n)) body(n);
    }
  }
  bool live(const Step& step, std::size_t n) const noexcept {
    const bool* mask = step.operands.mask;
    return mask == nullptr || mask[(step.first + n) * steps_ + time(step.i)];
  }

  // Gates i, f, c, o.
  void lstm(const Step& step, float* h, float* c) const noexcept {
    const std::size_t u = units_;
    const auto activate = [&](const program::Activation& f, std::size_t gate, std::size_t count) {
      activate_(f, step.gates + gate * u, step.rows, count * u, step.stride);
    };
    activate(op_.recurrent_activation, 0, 2);
    activate(op_.activation, 2, 1);
    activate(op_.recurrent_activation, 3, 1);
    // The cell's state takes the place of gate c.
    for_each_live(step, [&](std::size_t n) {
      float* __restrict gate = step.gate(n);
      float* __restrict state = c + n * u;
      for (std::size_t k = 0; k < u; ++k) {
        state[k] = gate[u + k] * state[k] + gate[k] * gate[2 * u + k];
        gate[2 * u + k] = state[k];
      }
    });
    activate(op_.activation, 2, 1);
    for_each_live(step, [&](std::size_t n) {
      const float* __restrict gate = step.gate(n);
      float* __restrict to = h + n * u;
      for (std::size_t k = 0; k < u; ++k) to[k] = gate[3 * u + k] * gate[2 * u + k];
    });
  }

  // GRU gates z, r, h. The reset state r * h.
  void reset_state(const Step& step, const float* h) const noexcept {
    for (std::size_t n = 0; n < step.rows; ++n) {
      const float* __restrict gate = step.gate(n) + units_;
      const float* __restrict from = h + n * units_;
      float* __restrict to = step.spare + n * units_;
      for (std::size_t k = 0; k < units_; ++k) to[k] = gate[k] * from[k];
    }
  }

  // The candidate's part from the state, and r times that on top of the input's.
  void reset_candidate(const Step& step, const float* h) const noexcept {
    const float* bias = step.operands.state_bias;
    step.products.candidate.run(
        DenseRows{h, units_}, candidate_.as<float>().data(),
        {.y = step.spare, .stride = units_, .bias = bias != nullptr ? bias + 2 * units_ : nullptr},
        step.scratch, nullptr);
    for (std::size_t n = 0; n < step.rows; ++n) {
      float* __restrict gate = step.gate(n);
      const float* __restrict from = step.spare + n * units_;
      for (std::size_t k = 0; k < units_; ++k) gate[2 * units_ + k] += gate[units_ + k] * from[k];
    }
    activate_(op_.activation, step.gates + 2 * units_, step.rows, units_, step.stride);
  }

  void update(const Step& step, float* h) const noexcept {
    for_each_live(step, [&](std::size_t n) {
      const float* __restrict gate = step.gate(n);
      float* __restrict state = h + n * units_;
      for (std::size_t k = 0; k < units_; ++k) {
        state[k] = gate[k] * state[k] + (1 - gate[k]) * gate[2 * units_ + k];
      }
    });
  }

  // A masked step repeats the output before it, zero at first, or gives zero.
  void output(const Step& step, const float* h) const noexcept {
    for (std::size_t n = 0; n < step.rows; ++n) {
      const std::size_t row = step.first + n;
      float* y = operands_row(step, row);
      if (live(step, n)) {
        if (op_.sequences || op_.mask || step.i + 1 == steps_) {
          std::copy_n(h + n * units_, units_, y);
        }
      } else if (op_.zero_output_for_mask || (op_.sequences && step.i == 0)) {
        std::fill_n(y, units_, 0.0F);
      } else if (op_.sequences) {
        std::copy_n(y - units_, units_, y);
      }
    }
  }
  float* operands_row(const Step& step, std::size_t row) const noexcept {
    return step.operands.y + (op_.sequences ? row * steps_ + step.i : row) * units_;
  }

  program::Recurrent op_;
  Precision precision_;
  std::size_t batch_;
  std::size_t steps_;
  std::size_t in_;
  std::size_t units_;
  std::size_t width_;  // gates * units
  ActivateBlockFunction activate_;
  std::size_t group_rows_ = 1;
  std::size_t chunk_ = 1;  // steps
  Products full_;
  Products last_;
  Tensor kernel_;
  Tensor recurrent_;
  Tensor candidate_;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Recurrent& op, const KernelSpec& spec) {
  return std::make_unique<RecurrentKernel>(op, spec);
}

}  // namespace kerf::engine
