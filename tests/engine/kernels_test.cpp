#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "kerf/error.h"
#include "tests/engine/reference.h"
#include "tests/engine/support.h"

// Every op outside the matrix family against the reference, alone on a thread and on a pool.
namespace kerf::engine {
namespace {

using program::Activation;
using program::Binary;
using program::Chain;
using program::Function;
using program::Op;
using program::Reduce;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

ThreadPool& pool() {
  static ThreadPool threads(4);
  return threads;
}

// Operands named in `constants` are constants of the program, the others its feeds.
void check(const Op& op, const std::vector<Tensor>& operands,
           const std::set<std::size_t>& constants, double tolerance) {
  std::string text = program::describe(op);
  for (const Tensor& operand : operands) {
    text += " " + std::string(dtype_name(operand.dtype())) + operand.shape().to_string();
  }
  SCOPED_TRACE(text);
  program::ProgramBuilder builder;
  std::vector<program::ValueId> ids;
  std::vector<Tensor> feeds;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (constants.contains(i)) {
      ids.push_back(builder.constant(operands[i]));
    } else {
      ids.push_back(builder.feed({operands[i].dtype(), operands[i].shape()}));
      feeds.push_back(operands[i]);
    }
  }
  for (const program::ValueId result : builder.append_all(op, ids)) builder.fetch(result);
  const program::Program program = builder.build();
  const std::vector<Tensor> alone = run_program(program, feeds);
  const std::vector<Tensor> shared = run_program(program, feeds, &pool());
  const std::vector<Tensor> expected = reference::evaluate(op, operands);
  // A sum may cancel out: its error is that of its terms.
  const double least = std::holds_alternative<Reduce>(op) ? 4 : 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expect_near(alone[i], expected[i], tolerance, least);
    EXPECT_TRUE(same_bits(alone[i], shared[i])) << "the threads change the result";
  }
}

void check(const Op& op, const std::vector<Tensor>& operands, double tolerance = 2e-6) {
  check(op, operands, {}, tolerance);
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> kShapes{
      {},         {1},         {7},          {0, 5},        {3, 0},
      {1, 1},     {2, 3},      {5, 16},      {4, 33},       {3, 1, 7},
      {2, 5, 17}, {1, 64, 3},  {2, 3, 4, 5}, {3, 2, 1, 31}, {2, 3, 2, 2, 3},
      {64, 1000}, {7, 40, 501}};
  return kShapes;
}

std::vector<Activation> activations() {
  std::vector<Activation> all;
  for (int i = 0; i <= static_cast<int>(Function::kFloat8); ++i) {
    all.push_back({static_cast<Function>(i), 0.5F, 2.0F, 0.25F});
  }
  all.push_back({Function::kRelu, 0, kInfinity, 0});
  all.push_back({Function::kRelu, 0.3F, kInfinity, 0});
  all.push_back({Function::kRelu, 0, 6, 0});
  return all;
}

bool needs_positive(Function f) {
  return f == Function::kLog || f == Function::kSqrt || f == Function::kRsqrt;
}

Tensor magnitudes(const Tensor& x) {
  std::vector<float> numbers(x.as<float>().begin(), x.as<float>().end());
  for (float& number : numbers) number = std::fabs(number) + 0.125F;
  return Tensor::floats(x.shape(), numbers);
}

TEST(Kernels, Unary) {
  Random random;
  for (const Activation& f : activations()) {
    for (const Shape& shape :
         {Shape{}, Shape{1}, Shape{3, 5}, Shape{2, 0}, Shape{67}, Shape{40, 1009}}) {
      Tensor x = random.floats(shape);
      if (needs_positive(f.function) || f.function == Function::kReciprocal) x = magnitudes(x);
      check(program::Unary{f}, {x});
    }
  }
}

TEST(Kernels, BinaryOfEveryDtype) {
  Random random;
  for (int i = 0; i <= static_cast<int>(Binary::Kind::kOr); ++i) {
    const auto kind = static_cast<Binary::Kind>(i);
    const bool arithmetic = kind == Binary::Kind::kSubtract || kind == Binary::Kind::kDivide ||
                            kind == Binary::Kind::kPower || kind == Binary::Kind::kArctan2 ||
                            kind == Binary::Kind::kSlope;
    // Of integers alone: see their test.
    if (kind >= Binary::Kind::kBitAnd && kind <= Binary::Kind::kShiftRight) continue;
    // Exact or wrong: see the test of remainders.
    if (kind == Binary::Kind::kFloorDivide || kind == Binary::Kind::kModulo) continue;
    for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64,
                              DType::kUInt8, DType::kBool}) {
      if (dtype == DType::kBool && (arithmetic || kind == Binary::Kind::kAdd)) continue;
      const bool logic = kind == Binary::Kind::kAnd || kind == Binary::Kind::kOr;
      if (logic && dtype != DType::kBool) continue;
      // Integer quotients truncate, and powers overflow: see the test of integers.
      if (arithmetic && dtype != DType::kFloat32 && dtype != DType::kFloat64) continue;
      const bool floats = kind == Binary::Kind::kArctan2 || kind == Binary::Kind::kSlope;
      if (floats && dtype != DType::kFloat32) continue;
      for (const Shape& shape : {Shape{}, Shape{3, 5}, Shape{2, 0}, Shape{67}, Shape{20, 1009}}) {
        Tensor a = random.tensor(dtype, shape);
        const Tensor b = random.tensor(dtype, shape);
        if (kind == Binary::Kind::kPower) {
          a = magnitudes(a.cast(DType::kFloat32)).cast(dtype);
        }
        if (is_integer(dtype) && kind == Binary::Kind::kMultiply && dtype == DType::kUInt8)
          continue;
        check(Binary{kind}, {a, b});
      }
    }
  }
}

TEST(Kernels, CombinesBits) {
  const std::vector<std::int32_t> a{0, 1, 5, -1, -6, 1 << 20};
  const std::vector<std::int32_t> b{3, 4, 1, 2, 1, 7};
  for (const DType dtype : {DType::kInt32, DType::kInt64}) {
    for (const auto kind : {Binary::Kind::kBitAnd, Binary::Kind::kBitOr, Binary::Kind::kBitXor,
                            Binary::Kind::kShiftLeft, Binary::Kind::kShiftRight}) {
      check(Binary{kind},
            {Tensor::of<std::int32_t>(DType::kInt32, {6}, a).cast(dtype),
             Tensor::of<std::int32_t>(DType::kInt32, {6}, b).cast(dtype)},
            0);
    }
  }
}

// Python's: the remainder has the sign of the divisor.
TEST(Kernels, RemaindersOfEveryDtype) {
  const std::vector<float> a{7, -7, 7, -7, 6, -6, 0};
  const std::vector<float> b{3, 3, -3, -3, 3, -3, 5};
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32, DType::kInt64}) {
    for (const Binary::Kind kind : {Binary::Kind::kFloorDivide, Binary::Kind::kModulo}) {
      check(Binary{kind}, {Tensor::floats({7}, a).cast(dtype), Tensor::floats({7}, b).cast(dtype)},
            0);
    }
  }
}

TEST(Kernels, BinaryBroadcasts) {
  Random random;
  const std::vector<std::pair<Shape, Shape>> pairs{{{}, {3, 4}},
                                                   {{3, 4}, {1}},
                                                   {{4, 5}, {5}},
                                                   {{4, 1}, {1, 5}},
                                                   {{2, 3, 4}, {3, 1}},
                                                   {{2, 1, 4}, {2, 3, 1}},
                                                   {{2, 3, 4, 5}, {4, 1}},
                                                   {{1, 1, 4, 1}, {2, 3, 1, 5}},
                                                   {{5, 1, 17}, {33, 17}},
                                                   {{64, 500}, {500}},
                                                   {{64, 500}, {64, 1}},
                                                   {{3, 0}, {1, 1}},
                                                   {{2, 7, 40, 501}, {7, 1, 1}}};
  for (const auto& [a, b] : pairs) {
    for (const Binary::Kind kind :
         {Binary::Kind::kSubtract, Binary::Kind::kMaximum, Binary::Kind::kLess}) {
      check(Binary{kind}, {random.floats(a), random.floats(b)});
      check(Binary{kind}, {random.floats(b), random.floats(a)});
    }
    check(Binary{Binary::Kind::kAdd},
          {random.tensor(DType::kInt64, a), random.tensor(DType::kInt64, b)});
    check(program::Select{},
          {random.tensor(DType::kBool, a), random.floats(b), random.floats({1})});
    check(program::Select{}, {random.tensor(DType::kBool, b), random.tensor(DType::kInt32, Shape{}),
                              random.tensor(DType::kInt32, a)});
  }
}

TEST(Kernels, IntegerArithmetic) {
  const auto run = [](Binary::Kind kind, std::int32_t a, std::int32_t b) {
    program::ProgramBuilder builder;
    const program::ValueType scalar{DType::kInt32, {}};
    const auto x = builder.feed(scalar);
    const auto y = builder.feed(scalar);
    builder.fetch(builder.append(Binary{kind}, {x, y}));
    const std::vector<Tensor> feeds{Tensor::of<std::int32_t>(DType::kInt32, {}, std::span(&a, 1)),
                                    Tensor::of<std::int32_t>(DType::kInt32, {}, std::span(&b, 1))};
    return run_program(builder.build(), feeds)[0].as<std::int32_t>()[0];
  };
  constexpr std::int32_t kLow = std::numeric_limits<std::int32_t>::min();
  constexpr std::int32_t kHigh = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(run(Binary::Kind::kDivide, 7, 2), 3);
  EXPECT_EQ(run(Binary::Kind::kDivide, 7, 0), 0);
  EXPECT_EQ(run(Binary::Kind::kDivide, kLow, -1), kLow);
  EXPECT_EQ(run(Binary::Kind::kAdd, kHigh, 1), kLow);
  EXPECT_EQ(run(Binary::Kind::kMultiply, kHigh, 2), -2);
  EXPECT_EQ(run(Binary::Kind::kPower, 3, 4), 81);
  EXPECT_EQ(run(Binary::Kind::kPower, 2, 40), 0);
  EXPECT_EQ(run(Binary::Kind::kPower, -1, -3), -1);
  EXPECT_EQ(run(Binary::Kind::kPower, 5, -1), 0);
}

TEST(Kernels, NotANumberStays) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> numbers{1,  kNan, -kInfinity, 2, kInfinity, kNan, 0,
                                   -1, 3,    kNan,       5, 6,         7};
  const std::vector<float> others{kNan, 1, 2, kNan, -kInfinity, kNan, 0, 1, 2, 3, 4, 5, 6};
  const Tensor x = Tensor::floats({13}, numbers);
  const Tensor y = Tensor::floats({13}, others);
  for (const Binary::Kind kind :
       {Binary::Kind::kAdd, Binary::Kind::kMaximum, Binary::Kind::kMinimum, Binary::Kind::kEqual,
        Binary::Kind::kNotEqual, Binary::Kind::kGreaterEqual}) {
    check(Binary{kind}, {x, y});
    check(Binary{kind}, {y, x});
  }
  for (const Reduce::Kind kind : {Reduce::Kind::kMax, Reduce::Kind::kMin, Reduce::Kind::kSum}) {
    check(Reduce{kind, {0}, false}, {x});
    check(Reduce{kind, {1}, false}, {x.reshaped({13, 1})});
    check(Reduce{kind, {0}, false}, {x.reshaped({1, 13})});
  }
  program::Pool max;
  max.window = {.rank = 1, .size = {3}, .strides = {1}};
  check(max, {x.reshaped({1, 13, 1})});
  check(program::Softmax{}, {Tensor::floats({2}, std::vector<float>{kNan, 1})});
}

TEST(Kernels, Reduce) {
  Random random;
  const std::vector<Reduce::Kind> kinds{Reduce::Kind::kSum, Reduce::Kind::kMean, Reduce::Kind::kMax,
                                        Reduce::Kind::kMin, Reduce::Kind::kProduct};
  const std::vector<std::pair<Shape, std::vector<std::int64_t>>> cases{{{7}, {0}},
                                                                       {{3, 5}, {0}},
                                                                       {{3, 5}, {1}},
                                                                       {{3, 5}, {0, 1}},
                                                                       {{4, 6, 33}, {1}},
                                                                       {{4, 6, 33}, {0, 2}},
                                                                       {{2, 7, 9, 16}, {1, 2}},
                                                                       {{2, 3, 4, 5}, {0, 2}},
                                                                       {{2, 3, 4, 5}, {3}},
                                                                       {{0, 5}, {1}},
                                                                       {{50, 1003}, {1}},
                                                                       {{1003, 50}, {0}},
                                                                       {{8, 56, 56, 17}, {1, 2}},
                                                                       {{2, 3}, {}},
                                                                       {{2, 1, 3, 1, 4}, {1, 3}}};
  for (const auto& [shape, axes] : cases) {
    for (const Reduce::Kind kind : kinds) {
      for (const bool keep : {false, true}) {
        Tensor x = random.floats(shape);
        if (kind == Reduce::Kind::kProduct && x.shape().element_count() > 200) continue;
        check(Reduce{kind, axes, keep}, {x});
      }
      if (kind != Reduce::Kind::kMean && kind != Reduce::Kind::kProduct) {
        check(Reduce{kind, axes, true}, {random.tensor(DType::kInt32, shape)});
        check(Reduce{kind, axes, false}, {random.tensor(DType::kInt64, shape)});
      }
    }
    for (const Reduce::Kind kind : {Reduce::Kind::kAny, Reduce::Kind::kAll}) {
      check(Reduce{kind, axes, false}, {random.tensor(DType::kBool, shape)});
    }
  }
  check(Reduce{Reduce::Kind::kSum, {0}, false}, {random.floats({0, 4})});
  check(Reduce{Reduce::Kind::kMax, {0}, false}, {random.floats({0, 4})});
  check(Reduce{Reduce::Kind::kAll, {0}, false}, {random.tensor(DType::kBool, {0, 4})});
}

TEST(Kernels, Pool) {
  Random random;
  using program::Padding;
  const std::vector<program::Window> windows{
      {.rank = 1, .size = {2}, .strides = {2}},
      {.rank = 1, .size = {3}, .strides = {1}, .padding = Padding::kSame},
      {.rank = 1, .size = {3}, .strides = {2}, .dilation = {2}, .padding = Padding::kCausal},
      {.rank = 2, .size = {2, 2}, .strides = {2, 2}},
      {.rank = 2, .size = {3, 3}, .strides = {2, 2}, .padding = Padding::kSame},
      {.rank = 2, .size = {3, 2}, .strides = {1, 3}, .padding = Padding::kSame},
      {.rank = 2,
       .size = {3, 3},
       .strides = {2, 2},
       .padding = Padding::kExplicit,
       .before = {1, 1},
       .after = {1, 0}},
      {.rank = 3, .size = {2, 2, 2}, .strides = {2, 2, 2}},
      {.rank = 3, .size = {3, 1, 2}, .strides = {1, 2, 1}, .padding = Padding::kSame}};
  for (const program::Window& window : windows) {
    for (const std::int64_t channels : {1, 3, 8, 17, 64}) {
      for (const std::int64_t batch : {0, 1, 3}) {
        Shape shape{batch};
        for (std::size_t i = 0; i < window.rank; ++i) {
          shape.push_back(static_cast<std::int64_t>(5 + 2 * i));
        }
        shape.push_back(channels);
        for (const auto kind : {program::Pool::Kind::kMax, program::Pool::Kind::kAverage}) {
          check(program::Pool{kind, window}, {random.floats(shape)});
        }
      }
    }
  }
  check(program::Pool{program::Pool::Kind::kMax, windows[4]}, {random.floats({2, 57, 56, 65})});
  check(program::Pool{program::Pool::Kind::kAverage, windows[4]}, {random.floats({2, 57, 56, 65})});
}

TEST(Kernels, Chain) {
  Random random;
  using Step = Chain::Step;
  const Step relu{.kind = Step::Kind::kUnary, .activation = {Function::kRelu, 0, kInfinity, 0}};
  const Step tanh{.kind = Step::Kind::kUnary, .activation = {Function::kTanh}};
  const auto binary = [](Binary::Kind kind, bool swapped) {
    return Step{.kind = Step::Kind::kBinary, .binary = kind, .swapped = swapped};
  };
  const Step affine{.kind = Step::Kind::kAffine};
  for (const Shape& shape : shapes()) {
    if (shape.rank() == 0) continue;
    const Shape last{shape.back()};
    const Tensor x = random.floats(shape);
    check(Chain{{affine, relu}}, {x, random.floats(last), random.floats(last)});
    check(Chain{{binary(Binary::Kind::kAdd, false), tanh, binary(Binary::Kind::kMultiply, true)}},
          {x, random.floats(shape), random.floats({})});
    check(Chain{{binary(Binary::Kind::kSubtract, true), affine,
                 binary(Binary::Kind::kDivide, false), binary(Binary::Kind::kMaximum, false)}},
          {x, random.floats(last), random.floats(last), random.floats(last),
           magnitudes(random.floats(shape)), random.floats(last)});
    check(program::Affine{}, {x, random.floats(last), random.floats(last)}, {1, 2}, 2e-6);
  }
}

TEST(Kernels, SoftmaxAndItsKin) {
  Random random;
  for (const Shape& shape : shapes()) {
    for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(shape.rank()); ++axis) {
      check(program::Softmax{.axis = axis}, {random.floats(shape)});
      check(program::Softmax{.axis = axis, .log = true}, {random.floats(shape)});
      check(program::L2Normalize{.axis = axis}, {random.floats(shape)});
    }
    if (shape.rank() == 0) continue;
    check(program::Softmax{.axis = -1}, {random.floats(shape)});
    if (shape.back() < 100) check(program::Sparsemax{}, {random.floats(shape)}, 1e-5);
  }
  check(program::L2Normalize{.axis = 0, .epsilon = 0.5F},
        {Tensor::floats({3}, std::vector<float>(3))});
  check(program::Softmax{}, {Tensor::floats({4}, std::vector<float>{1000, -1000, 999, 998})});
  check(program::Softmax{},
        {Tensor::floats({4}, std::vector<float>{0, -kInfinity, -2, -kInfinity})});
}

TEST(Kernels, LayerNorm) {
  Random random;
  for (const Shape& shape : shapes()) {
    for (std::size_t axes = 1; axes <= std::min<std::size_t>(shape.rank(), 3); ++axes) {
      const Shape inner(shape.dims().subspan(shape.rank() - axes));
      check(program::LayerNorm{.axes = axes}, {random.floats(shape)}, 5e-6);
      check(program::LayerNorm{.axes = axes, .gamma = true},
            {random.floats(shape), random.floats(inner)}, 5e-6);
      check(program::LayerNorm{.axes = axes, .epsilon = 0.1F, .beta = true, .center_mean = false},
            {random.floats(shape), random.floats(inner)}, 5e-6);
      check(program::LayerNorm{.axes = axes, .gamma = true, .beta = true},
            {random.floats(shape), random.floats(inner), random.floats(inner)}, {1, 2}, 5e-6);
    }
  }
}

TEST(Kernels, Gather) {
  Random random;
  for (const DType dtype :
       {DType::kInt32, DType::kInt64, DType::kUInt8, DType::kInt8, DType::kUInt16, DType::kInt16,
        DType::kUInt32, DType::kUInt64, DType::kFloat32, DType::kFloat64}) {
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{3, 7}, Shape{0, 2}, Shape{50, 100}}) {
      const Tensor ids = random.tensor(DType::kInt32, shape).cast(dtype);
      for (const std::int64_t width : {1, 3, 8, 33}) {
        check(program::Gather{}, {ids, random.floats({100, width})}, {1}, 0);
      }
    }
  }
  const std::vector<float> fractions{-0.75F, 0.25F, 1.99F, 2.0F};
  check(program::Gather{}, {Tensor::floats({4}, fractions), random.floats({3, 5})});
}

TEST(Kernels, Transpose) {
  Random random;
  for (const Shape& shape :
       {Shape{3}, Shape{0, 4}, Shape{5, 7}, Shape{130, 67}, Shape{2, 3, 4}, Shape{9, 1, 33},
        Shape{2, 3, 4, 5}, Shape{3, 8, 16, 9}, Shape{2, 2, 3, 2, 3}, Shape{2, 64, 300}}) {
    std::vector<std::int64_t> permutation(shape.rank());
    for (std::size_t i = 0; i < shape.rank(); ++i) permutation[i] = static_cast<std::int64_t>(i);
    int tried = 0;
    do {
      for (const DType dtype : {DType::kFloat32, DType::kBool, DType::kInt64, DType::kFloat16}) {
        check(program::Transpose{permutation}, {random.tensor(dtype, shape)}, 0);
      }
    } while (std::ranges::next_permutation(permutation).found && ++tried < 24);
  }
  check(program::Transpose{{}}, {random.floats({})}, 0);
  check(program::Transpose{{0, 2, 1}}, {random.floats({8, 300, 129})}, 0);
}

TEST(Kernels, MovingElements) {
  Random random;
  for (const Shape& shape : shapes()) {
    for (const DType dtype : {DType::kFloat32, DType::kBool, DType::kInt64, DType::kUInt16}) {
      const Tensor x = random.tensor(dtype, shape);
      for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(shape.rank()); ++axis) {
        Shape longer = shape;
        longer[static_cast<std::size_t>(axis)] += 3;
        check(program::Concat{.axis = axis}, {x, random.tensor(dtype, longer), x}, 0);
        check(program::Tile{.axis = axis, .times = 3}, {x}, 0);
        check(program::Tile{.axis = axis, .times = 0}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = 1}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = 1, .end = -1}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = -2}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = 9, .end = 2}, {x}, 0);
        check(program::Slice{.axis = axis, .step = -1}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = 1, .step = 2}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = -2, .end = -9, .step = -3}, {x}, 0);
        check(program::Slice{.axis = axis, .begin = 99, .end = 0, .step = -2}, {x}, 0);
        std::vector<std::int64_t> before(shape.rank());
        std::vector<std::int64_t> after(shape.rank());
        check(program::Pad{before, after}, {x}, 0);
        before[static_cast<std::size_t>(axis)] = 2;
        check(program::Pad{before, after, 1}, {x}, 0);
        after[0] = 1;
        after[static_cast<std::size_t>(axis)] += 3;
        check(program::Pad{before, after}, {x}, 0);
      }
    }
  }
}

TEST(Kernels, Resample) {
  Random random;
  using Kind = program::Resample::Kind;
  for (const Shape& shape : shapes()) {
    if (shape.element_count() > 1000) continue;
    for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(shape.rank()); ++axis) {
      for (const std::int64_t size : {1, 3, 8, 0}) {
        if (shape[static_cast<std::size_t>(axis)] == 0 && size != 0) continue;
        for (int kind = 0; kind <= static_cast<int>(Kind::kMax); ++kind) {
          for (const bool antialias : {false, true}) {
            const program::Resample op{.kind = static_cast<Kind>(kind),
                                       .axis = axis,
                                       .size = size,
                                       .factor = size == 0 ? 3 : 1,
                                       .antialias = antialias};
            check(op, {random.floats(shape)}, 1e-5);
            if (op.kind == Kind::kNearest) check(op, {random.tensor(DType::kInt64, shape)}, 0);
          }
        }
      }
    }
  }
  check(program::Resample{.kind = Kind::kLinear, .axis = 2, .factor = 2},
        {random.floats({2, 40, 50, 33})}, 1e-5);
  check(program::Resample{.axis = 1, .factor = 2}, {random.floats({2, 40, 50, 33})}, 0);
}

TEST(Kernels, SortsAndTakes) {
  Random random;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const bool descending : {false, true}) {
    for (const Shape& shape : shapes()) {
      if (shape.rank() == 0 || shape.element_count() > 1000) continue;
      for (const DType dtype : {DType::kFloat32, DType::kInt32, DType::kInt64, DType::kBool}) {
        check(program::ArgSort{descending}, {random.tensor(dtype, shape)}, 0);
      }
    }
    check(program::ArgSort{descending},
          {Tensor::floats({6}, std::vector<float>{3, nan, -1, 3, nan, 7})}, 0);
  }
  const Tensor ids = Tensor::of<std::int32_t>(DType::kInt32, {2, 3},
                                              std::vector<std::int32_t>{0, -1, 2, 4, 4, -5});
  for (const DType dtype : {DType::kFloat32, DType::kInt64, DType::kBool}) {
    check(program::TakeAlong{}, {random.tensor(dtype, {2, 5}), ids}, 0);
    check(program::TakeAlong{}, {random.tensor(dtype, {2, 5}), ids.cast(DType::kInt64)}, 0);
  }
}

TEST(Kernels, ArgReduceAndCumulate) {
  Random random;
  for (const Shape& shape : shapes()) {
    for (const DType dtype : {DType::kFloat32, DType::kInt32, DType::kInt64}) {
      const Tensor x = random.tensor(dtype, shape);
      for (std::int64_t axis = 0; axis < static_cast<std::int64_t>(shape.rank()); ++axis) {
        check(program::Cumulate{.axis = axis}, {x}, 1e-5);
        if (shape[static_cast<std::size_t>(axis)] == 0) continue;
        check(program::ArgReduce{.kind = program::ArgReduce::Kind::kMax, .axis = axis}, {x}, 0);
        check(program::ArgReduce{.kind = program::ArgReduce::Kind::kMin, .axis = axis}, {x}, 0);
      }
    }
  }
  check(program::Cumulate{.kind = program::Cumulate::Kind::kProduct}, {random.floats({3, 7})},
        1e-5);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  check(program::ArgReduce{}, {Tensor::floats({5}, std::vector<float>{1, 3, nan, 4, nan})}, 0);
}

TEST(Kernels, CastAndNot) {
  Random random;
  const std::vector<DType> all{DType::kBool,   DType::kUInt8,   DType::kInt8,    DType::kUInt16,
                               DType::kInt16,  DType::kInt32,   DType::kInt64,   DType::kUInt32,
                               DType::kUInt64, DType::kFloat16, DType::kFloat32, DType::kFloat64};
  for (const DType from : all) {
    for (const DType to : all) {
      if (from == DType::kFloat32 && is_integer(to) && dtype_name(to)[0] == 'u') continue;
      if (is_floating(from) && to != DType::kBool && !is_floating(to)) {
        check(program::Cast{to}, {magnitudes(random.floats({9, 33})).cast(from)}, 0);
      } else if (to != DType::kBool) {
        check(program::Cast{to}, {random.tensor(from, {9, 33})}, 1e-3);
      }
    }
  }
  check(program::Cast{DType::kInt32}, {random.floats({300, 1001})}, 0);
  check(program::Not{}, {random.tensor(DType::kBool, {5, 13})});
  check(program::Not{}, {random.tensor(DType::kBool, {})});
}

// A caller's bools are bytes, and any that is not zero is true.
TEST(Kernels, AnyByteIsTrue) {
  const std::vector<std::uint8_t> bytes{0, 1, 2, 255, 0, 128};
  program::ProgramBuilder builder;
  const auto x = builder.feed({DType::kBool, {6}});
  const auto y = builder.feed({DType::kBool, {6}});
  const auto a = builder.feed({DType::kFloat32, {}});
  const auto b = builder.feed({DType::kFloat32, {}});
  builder.fetch(builder.append(program::Not{}, {x}));
  builder.fetch(builder.append(Binary{Binary::Kind::kEqual}, {x, y}));
  builder.fetch(builder.append(Binary{Binary::Kind::kAnd}, {x, y}));
  builder.fetch(builder.append(program::Select{}, {x, a, b}));
  builder.fetch(builder.append(Reduce{Reduce::Kind::kAny, {0}, false}, {x}));
  builder.fetch(builder.append(program::Cast{DType::kInt32}, {x}));
  const std::vector<Tensor> feeds{
      Tensor::copy_of(DType::kBool, {6}, std::as_bytes(std::span(bytes))),
      Tensor::of<std::uint8_t>(DType::kBool, {6}, std::vector<std::uint8_t>(6, 1)),
      Tensor::floats({}, std::vector<float>{3}), Tensor::floats({}, std::vector<float>{4})};
  const std::vector<Tensor> y_all = run_program(builder.build(), feeds);
  const auto numbers = [](const Tensor& t) {
    const Tensor wide =
        t.dtype() == DType::kBool
            ? Tensor::copy_of(DType::kUInt8, t.shape(), t.bytes()).cast(DType::kInt32)
            : t.cast(DType::kInt32);
    return std::vector<std::int32_t>(wide.as<std::int32_t>().begin(),
                                     wide.as<std::int32_t>().end());
  };
  using List = std::vector<std::int32_t>;
  EXPECT_EQ(numbers(y_all[0]), (List{1, 0, 0, 0, 1, 0}));
  EXPECT_EQ(numbers(y_all[1]), (List{0, 1, 1, 1, 0, 1}));
  EXPECT_EQ(numbers(y_all[2]), (List{0, 1, 1, 1, 0, 1}));
  EXPECT_EQ(numbers(y_all[3]), (List{4, 3, 3, 3, 4, 3}));
  EXPECT_EQ(numbers(y_all[4]), (List{1}));
  EXPECT_EQ(numbers(y_all[5]), (List{0, 1, 1, 1, 0, 1}));
}

// Strings move as any elements do, and are computed with as none.
TEST(Kernels, StringsAreMoved) {
  const std::vector<std::string_view> texts{"a", "", "a longer text than others", "日本", "e", "f"};
  const std::vector<Tensor> feeds{
      Tensor::of_strings({2, 3}, texts),
      Tensor::of<std::uint8_t>(DType::kBool, {3}, std::vector<std::uint8_t>{1, 0, 1})};
  program::ProgramBuilder builder;
  const auto x = builder.feed({DType::kString, {Shape::kUnknown, 3}});
  const auto some = builder.feed({DType::kBool, {3}});
  const auto turned = builder.append(program::Transpose{{1, 0}}, {x});
  const auto flat = builder.append(program::Reshape{{program::Reshape::kInfer}}, {turned});
  builder.fetch(turned);
  builder.fetch(builder.append(program::Slice{0, 4, {}, -2}, {flat}));
  builder.fetch(builder.append(program::Concat{0}, {flat, flat}));
  builder.fetch(builder.append(program::Tile{1, 2}, {x}));
  const auto first = builder.append(program::Slice{1, 0, 1, 1}, {x});
  builder.fetch(builder.append(program::Select{}, {some, x, first}));
  builder.fetch(x);
  EXPECT_THROW(builder.append(Binary{Binary::Kind::kAdd}, {x, x}), Error);
  EXPECT_THROW(builder.append(program::Cast{DType::kFloat32}, {x}), Error);
  EXPECT_THROW(builder.append(program::Cast{DType::kString}, {some}), Error);
  EXPECT_THROW(builder.append(program::Pad{{0, 1}, {0, 1}, 0}, {x}), Error);
  const std::vector<Tensor> y = run_program(builder.build(), feeds);
  using List = std::vector<std::string_view>;
  const std::string_view long_text = texts[2];
  EXPECT_EQ(y[0].strings(), (List{"a", "日本", "", "e", long_text, "f"}));
  EXPECT_EQ(y[1].strings(), (List{long_text, "", "a"}));
  EXPECT_EQ(y[2].strings(),
            (List{"a", "日本", "", "e", long_text, "f", "a", "日本", "", "e", long_text, "f"}));
  EXPECT_EQ(y[3].strings(),
            (List{"a", "", long_text, "a", "", long_text, "日本", "e", "f", "日本", "e", "f"}));
  EXPECT_EQ(y[4].strings(), (List{"a", "a", long_text, "日本", "日本", "f"}));
  EXPECT_EQ(y[5].strings(), texts);
}

}  // namespace
}  // namespace kerf::engine
