#include "tests/engine/matrix_fixture.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "hwy/targets.h"
#include "tests/engine/reference.h"

namespace kerf::engine {
namespace {

std::vector<program::ValueType> types_of(const std::vector<Operand>& operands) {
  std::vector<program::ValueType> types;
  for (const Operand& operand : operands) types.push_back(operand.type);
  return types;
}

// `bytes` bytes, a float's alignment after a vector's.
struct Unaligned {
  explicit Unaligned(std::size_t bytes) : memory(bytes + 128) {
    auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    data = memory.data() + (64 - address % 64) + 4;
  }
  std::vector<std::byte> memory;
  std::byte* data;
};

}  // namespace

Results reference(const program::Op& op, const std::vector<Operand>& operands) {
  std::vector<Tensor> tensors;
  for (const Operand& operand : operands) {
    const bool flag = operand.type.dtype == DType::kBool;
    tensors.push_back(Tensor::copy_of(
        operand.type.dtype, operand.type.shape,
        flag ? std::as_bytes(std::span(operand.bools)) : std::as_bytes(std::span(operand.floats))));
  }
  Results results;
  for (const Tensor& tensor : kerf::reference::evaluate(op, tensors)) {
    const std::span<const float> values = tensor.as<float>();
    results.emplace_back(values.begin(), values.end());
  }
  return results;
}

Results run_kernel(const program::Op& op, const std::vector<Operand>& operands, ThreadPool* pool,
                   std::optional<std::size_t> overwrite, Precision precision) {
  const std::vector<program::ValueType> types = types_of(operands);
  const std::vector<program::ValueType> result_types = program::infer(op, types);
  std::vector<Constant> constants(operands.size());
  std::vector<Tensor> held;
  std::vector<Unaligned> memory;
  std::vector<const void*> operand_pointers;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = operands[i];
    const bool flag = operand.type.dtype == DType::kBool;
    const auto bytes =
        flag ? std::as_bytes(std::span(operand.bools)) : std::as_bytes(std::span(operand.floats));
    memory.emplace_back(bytes.size());
    std::copy(bytes.begin(), bytes.end(), memory.back().data);
    operand_pointers.push_back(memory.back().data);
    if (operand.constant) {
      constants[i] = Tensor::copy_of(operand.type.dtype, operand.type.shape, bytes);
      held.push_back(constants[i].elements());
      operand_pointers.back() = held.back().data();
    }
  }
  program::ConstantCache cache;
  const KernelSpec spec{.operands = types,
                        .results = result_types,
                        .constants = constants,
                        .cache = cache,
                        .precision = precision};
  const KernelPtr kernel = std::visit(
      [&](const auto& alternative) -> KernelPtr {
        if constexpr (requires { make_kernel(alternative, spec); }) {
          return make_kernel(alternative, spec);
        }
        return nullptr;
      },
      op);
  EXPECT_GT(kernel->estimated_seconds(), 0);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (kernel->reads(i)) continue;
    EXPECT_TRUE(operands[i].constant);
    operand_pointers[i] = nullptr;
  }

  constexpr std::size_t kGuard = 16;
  std::vector<Unaligned> result_memory;
  std::vector<void*> result_pointers;
  std::vector<std::size_t> counts;
  for (const program::ValueType& type : result_types) {
    counts.push_back(static_cast<std::size_t>(type.shape.element_count()));
    result_memory.emplace_back((counts.back() + kGuard) * sizeof(float));
    std::fill_n(reinterpret_cast<float*>(result_memory.back().data), counts.back() + kGuard,
                std::nanf(""));
    result_pointers.push_back(result_memory.back().data);
  }
  if (overwrite) {
    EXPECT_TRUE(kernel->may_overwrite(*overwrite));
    std::memcpy(result_pointers[0], operand_pointers[*overwrite], counts[0] * sizeof(float));
    operand_pointers[*overwrite] = result_pointers[0];
  }
  const std::size_t scratch_bytes = (kernel->scratch_bytes() + 63) / 64 * 64;
  const std::unique_ptr<void, void (*)(void*)> scratch(
      std::aligned_alloc(64, std::max<std::size_t>(scratch_bytes, 64)), std::free);
  std::memset(scratch.get(), 0xFF, std::max<std::size_t>(scratch_bytes, 64));
  std::string failure;
  const KernelRun run{.operands = operand_pointers.data(),
                      .results = result_pointers.data(),
                      .scratch = static_cast<std::byte*>(scratch.get()),
                      .pool = pool,
                      .failure = &failure};
  EXPECT_TRUE(kernel->run(run)) << failure;
  Results results;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto* values = static_cast<const float*>(result_pointers[i]);
    results.emplace_back(values, values + counts[i]);
    for (std::size_t j = 0; j < kGuard; ++j) {
      EXPECT_TRUE(std::isnan(values[counts[i] + j])) << "written beyond result " << i;
    }
  }
  return results;
}

void expect_close(const Results& actual, const Results& expected, const std::string& what,
                  double tolerance) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t r = 0; r < actual.size(); ++r) {
    ASSERT_EQ(actual[r].size(), expected[r].size()) << what;
    double largest = 1;
    for (const float v : expected[r]) largest = std::fmax(largest, std::fabs(v));
    for (std::size_t i = 0; i < actual[r].size(); ++i) {
      ASSERT_LE(std::fabs(actual[r][i] - expected[r][i]), tolerance * largest)
          << what << ": element " << i << " of result " << r << " is " << actual[r][i] << ", not "
          << expected[r][i];
      ASSERT_FALSE(std::isnan(actual[r][i])) << what << ": element " << i;
    }
  }
}

std::int64_t Random::integer(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
}

Operand Random::floats(const Shape& shape, bool constant) {
  Operand operand{
      .type = {DType::kFloat32, shape}, .floats = {}, .bools = {}, .constant = constant};
  operand.floats.resize(static_cast<std::size_t>(shape.element_count()));
  for (float& v : operand.floats) {
    v = static_cast<float>(static_cast<std::int32_t>(engine_())) * 0x1p-31F;
  }
  return operand;
}

Operand Random::mask(const Shape& shape) {
  Operand operand{.type = {DType::kBool, shape}, .floats = {}, .bools = {}};
  operand.bools.resize(static_cast<std::size_t>(shape.element_count()));
  for (std::uint8_t& v : operand.bools) v = engine_() % 3 != 0 ? 1 : 0;
  return operand;
}

void add_epilogue(const program::Epilogue& epilogue, const Shape& result, Random& random,
                  std::vector<Operand>& operands) {
  if (epilogue.bias) operands.push_back(random.floats({result.back()}, true));
  if (epilogue.residual) operands.push_back(random.floats(result));
  if (epilogue.scale) operands.push_back(random.floats({result.back()}, true));
}

void MatrixTest::SetUp() { hwy::SetSupportedTargetsForTest(GetParam()); }
void MatrixTest::TearDown() { hwy::SetSupportedTargetsForTest(0); }

std::vector<std::int64_t> instruction_sets() { return hwy::SupportedAndGeneratedTargets(); }
std::string instruction_set_name(const testing::TestParamInfo<std::int64_t>& target) {
  return hwy::TargetName(target.param);
}

}  // namespace kerf::engine
