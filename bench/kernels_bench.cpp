// Single kernels on one core: GFLOP/s for each shape. `kernels_bench --benchmark_filter=linear`.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "engine/kernel.h"

namespace kerf::engine {
namespace {

using program::ValueType;

struct Free {
  void operator()(void* pointer) const { std::free(pointer); }
};
using Memory = std::unique_ptr<void, Free>;

Memory allocate(std::size_t bytes) {
  return Memory(std::aligned_alloc(64, (bytes + 127) / 64 * 64));
}

Tensor tensor(const ValueType& type) {
  std::vector<float> values(static_cast<std::size_t>(type.shape.element_count()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 1021) / 1021 - 0.5F;
  }
  return Tensor::floats(type.shape, values);
}

// Runs `op` on operands of these shapes, of which those from `constant` on are constants.
template <class Op>
void run(benchmark::State& state, const Op& op, const std::vector<Shape>& shapes,
         std::size_t constant) {
  std::vector<ValueType> operands;
  std::vector<Tensor> values;
  std::vector<Constant> constants;
  std::vector<const void*> operand_pointers;
  std::vector<Memory> memory;  // aligned, as plans lay out their values
  for (const Shape& shape : shapes) {
    operands.push_back({DType::kFloat32, shape});
    values.push_back(tensor(operands.back()));
    memory.push_back(allocate(values.back().byte_size()));
    std::memcpy(memory.back().get(), values.back().data(), values.back().byte_size());
    operand_pointers.push_back(memory.back().get());
    constants.push_back(values.size() > constant ? values.back() : Tensor());
  }
  const std::vector<ValueType> results = program::infer(op, operands);
  program::ConstantCache cache;
  const KernelPtr kernel = make_kernel(
      op, {.operands = operands, .results = results, .constants = constants, .cache = cache});
  std::vector<void*> result_pointers;
  for (const ValueType& type : results) {
    memory.push_back(allocate(static_cast<std::size_t>(type.shape.element_count()) * 4));
    result_pointers.push_back(memory.back().get());
  }
  const Memory scratch = allocate(kernel->scratch_bytes());
  std::string failure;
  const KernelRun run{.operands = operand_pointers.data(),
                      .results = result_pointers.data(),
                      .scratch = static_cast<std::byte*>(scratch.get()),
                      .pool = nullptr,
                      .failure = &failure};
  for (auto _ : state) {
    kernel->run(run);
    benchmark::ClobberMemory();
  }
  const double flops = program::flops(op, operands, results);
  state.counters["GFLOP/s"] = benchmark::Counter(
      flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
  state.counters["estimate_us"] = kernel->estimated_seconds() * 1e6;
}

program::Activation relu() {
  return {program::Function::kRelu, 0, std::numeric_limits<float>::infinity(), 0};
}

void linear(benchmark::State& state) {
  const std::int64_t rows = state.range(0);
  const std::int64_t in = state.range(1);
  const std::int64_t out = state.range(2);
  const program::Linear op{.epilogue = {.bias = true, .residual = false, .activation = relu()}};
  run(state, op, {{rows, in}, {in, out}, {out}}, 1);
}

void matmul(benchmark::State& state) {
  const std::int64_t batch = state.range(0);
  const std::int64_t m = state.range(1);
  const std::int64_t k = state.range(2);
  const std::int64_t n = state.range(3);
  const bool transposed = state.range(4) != 0;
  const program::MatMul op{.transpose_a = false, .transpose_b = transposed, .scale = 1};
  run(state, op, {{batch, m, k}, transposed ? Shape{batch, n, k} : Shape{batch, k, n}}, 2);
}

program::Window window(std::int64_t size, std::int64_t stride) {
  return {.rank = 2,
          .size = {size, size, 1},
          .strides = {stride, stride, 1},
          .dilation = {1, 1, 1},
          .padding = program::Padding::kSame};
}

// side, in, out, window, stride
void conv(benchmark::State& state) {
  const std::int64_t in = state.range(1);
  const std::int64_t out = state.range(2);
  const std::int64_t size = state.range(3);
  const program::Conv op{.window = window(size, state.range(4)),
                         .groups = 1,
                         .epilogue = {.bias = true, .residual = false, .activation = relu()}};
  run(state, op, {{1, state.range(0), state.range(0), in}, {size, size, in, out}, {out}}, 1);
}

// side, channels, window, stride
void depthwise(benchmark::State& state) {
  const std::int64_t channels = state.range(1);
  const std::int64_t size = state.range(2);
  const program::DepthwiseConv op{
      .window = window(size, state.range(3)),
      .epilogue = {.bias = true, .residual = false, .activation = relu()}};
  run(state, op,
      {{1, state.range(0), state.range(0), channels}, {size, size, channels, 1}, {channels}}, 1);
}

// batch, steps, in, units, gates
void recurrent(benchmark::State& state) {
  const std::int64_t in = state.range(2);
  const std::int64_t units = state.range(3);
  const std::int64_t gates = state.range(4);
  program::Recurrent op;
  op.cell = gates == 4 ? program::Recurrent::Cell::kLstm : program::Recurrent::Cell::kGruResetAfter;
  op.activation = {program::Function::kTanh};
  op.recurrent_activation = {program::Function::kSigmoid};
  op.bias = true;
  const Shape bias = gates == 4 ? Shape{gates * units} : Shape{2, gates * units};
  run(state, op,
      {{state.range(0), state.range(1), in}, {in, gates * units}, {units, gates * units}, bias}, 1);
}

BENCHMARK(linear)
    ->Args({1, 32, 64})
    ->Args({1, 64, 64})
    ->Args({1, 64, 1})
    ->Args({64, 64, 64})
    ->Args({1, 1024, 1024})
    ->Args({8, 1024, 1024})
    ->Args({64, 1024, 1024})
    ->Args({512, 512, 512})
    ->Args({2048, 2048, 2048})
    ->Args({128, 256, 1024})
    ->Args({128, 1024, 256});
BENCHMARK(matmul)
    ->Args({4, 128, 64, 128, 1})
    ->Args({4, 128, 128, 64, 0})
    ->Args({1, 512, 512, 512, 0})
    ->Args({32, 1, 64, 128, 1});
BENCHMARK(conv)
    ->Args({224, 3, 64, 7, 2})
    ->Args({56, 64, 64, 1, 1})
    ->Args({56, 64, 64, 3, 1})
    ->Args({56, 64, 256, 1, 1})
    ->Args({56, 256, 64, 1, 1})
    ->Args({56, 256, 128, 1, 2})
    ->Args({28, 128, 128, 3, 1})
    ->Args({28, 128, 512, 1, 1})
    ->Args({14, 256, 256, 3, 1})
    ->Args({14, 256, 1024, 1, 1})
    ->Args({7, 512, 512, 3, 1})
    ->Args({7, 2048, 512, 1, 1})
    ->Args({112, 32, 16, 1, 1})
    ->Args({112, 16, 96, 1, 1})
    ->Args({56, 144, 24, 1, 1})
    ->Args({224, 3, 32, 3, 2})
    ->Args({28, 1, 32, 3, 1});
BENCHMARK(depthwise)
    ->Args({112, 32, 3, 1})
    ->Args({112, 96, 3, 2})
    ->Args({56, 144, 3, 1})
    ->Args({28, 192, 3, 1})
    ->Args({14, 384, 3, 1})
    ->Args({7, 960, 3, 1})
    ->Args({14, 256, 5, 1});
BENCHMARK(recurrent)
    ->Args({1, 64, 32, 128, 4})
    ->Args({16, 64, 32, 128, 4})
    ->Args({1, 64, 32, 128, 3})
    ->Args({16, 64, 32, 128, 3});

}  // namespace
}  // namespace kerf::engine

BENCHMARK_MAIN();
