#include <gmock/gmock.h>

#include "tests/program/programs.h"

namespace kerf::program {
namespace {

// Grows programs from layers as models stack them, in both image formats, with shared values,
// several fetches and constants, so that the passes meet each other's results.
class Grower {
 public:
  explicit Grower(unsigned seed) { p_.random().seed(seed); }

  Program grow() {
    for (const Shape& shape : {Shape{kUnknown, 6, 5, 4}, Shape{kUnknown, 4, 6, 5},
                               Shape{kUnknown, 7, 4}, Shape{kUnknown, 4}}) {
      values_.push_back(p_.feed(shape));
    }
    for (int i = 0; i < 24; ++i) step();
    std::vector<ValueId> fetches{values_.back()};
    for (int i = 0; i < 3; ++i) fetches.push_back(any());
    return p_.build(fetches);
  }

 private:
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(p_.random()); }
  // Mostly what was made last, so that runs grow.
  ValueId any() {
    const int size = static_cast<int>(values_.size());
    return values_[static_cast<std::size_t>(below(3) == 0 ? below(size)
                                                          : size - 1 - below(std::min(size, 3)))];
  }
  // Another value of the same shape, or x itself.
  ValueId beside(ValueId x) {
    std::vector<ValueId> fitting;
    for (const ValueId id : values_) {
      if (p_.shape(id) == p_.shape(x)) fitting.push_back(id);
    }
    return fitting[static_cast<std::size_t>(below(static_cast<int>(fitting.size())))];
  }
  ValueId small_constant(ValueId x) {
    const std::int64_t last = p_.shape(x).back();
    switch (below(5)) {
      case 0:
        return p_.scalar(0);
      case 1:
        return p_.scalar(1);
      case 2:
        return p_.scalar(0.75F);
      case 3:
        return p_.constant({last});
      default:
        return p_.constant({1, last});
    }
  }
  Activation function() {
    static const std::vector<Activation> kFunctions{
        kRelu, {Function::kTanh}, {Function::kSigmoid}, {Function::kIdentity}, {Function::kElu, 1}};
    return kFunctions[static_cast<std::size_t>(below(static_cast<int>(kFunctions.size())))];
  }
  Padding padding() { return below(2) == 0 ? Padding::kSame : Padding::kValid; }

  void step() {
    const ValueId x = any();
    const Shape shape = p_.shape(x);
    const auto rank = static_cast<std::int64_t>(shape.rank());
    const bool image = rank == 4 && shape[1] > 2 && shape[2] > 2;
    using Kind = Binary::Kind;
    switch (below(16)) {
      case 0:
        return keep(p_.linear(x, 4));
      case 1:
        if (image) return keep(p_.conv(x, 4, 3, padding()));
        return keep(p_.linear(x, shape.back()));
      case 2:
        if (!image) return;
        return keep(p_.add(
            DepthwiseConv{.window = TestProgram::square(3, padding()), .epilogue = {.bias = true}},
            {x, p_.constant({3, 3, shape.back(), 1}), p_.constant({shape.back()})}));
      case 3:
        return keep(p_.affine(x));
      case 4:
      case 5:
        return keep(p_.add(Unary{function()}, {x}));
      case 6: {
        static constexpr std::array kKinds{Kind::kAdd, Kind::kSubtract, Kind::kMultiply,
                                           Kind::kMaximum};
        const Kind kind = kKinds[static_cast<std::size_t>(below(4))];
        return keep(p_.add(Binary{kind}, {x, small_constant(x)}));
      }
      case 7:
        return keep(p_.add(Binary{Kind::kSubtract}, {small_constant(x), x}));
      case 8:
      case 9:
        return keep(p_.add(Binary{below(2) == 0 ? Kind::kAdd : Kind::kMaximum}, {x, beside(x)}));
      case 10: {
        std::vector<std::int64_t> permutation(shape.rank());
        std::iota(permutation.begin(), permutation.end(), 0);
        std::shuffle(permutation.begin() + 1, permutation.end(), p_.random());
        return keep(p_.add(Transpose{permutation}, {x}));
      }
      case 11:
        if (rank == 4) {
          const ValueId last = p_.add(Transpose{{0, 2, 3, 1}}, {x});
          return keep(p_.add(Transpose{{0, 3, 1, 2}}, {p_.affine(last)}));
        }
        return keep(p_.add(Reshape{{Reshape::copy(0), 1, Reshape::kInfer}}, {x}));
      case 12:
        if (!image || shape[1] > 12) return;
        return keep(p_.add(Pad{{0, 1, 1, 0}, {0, 1, 0, 0}}, {x}));
      case 13: {
        const std::int64_t axis = 1 + below(static_cast<int>(rank) - 1);
        if (below(2) == 0 || shape[static_cast<std::size_t>(axis)] > 12) {
          return keep(p_.add(Reduce{Reduce::Kind::kMean, {axis}, true}, {x}));
        }
        return keep(p_.add(Concat{axis}, {x, beside(x)}));
      }
      case 14: {
        const std::int64_t axis = 1 + below(static_cast<int>(rank) - 1);
        if (shape[static_cast<std::size_t>(axis)] > 12) return;
        const auto kind = below(2) == 0 ? Resample::Kind::kNearest : Resample::Kind::kLinear;
        return keep(p_.add(Resample{.kind = kind, .axis = axis, .factor = 2}, {x}));
      }
      default:
        if (!image) return keep(p_.add(Softmax{}, {x}));
        return keep(p_.add(
            Pool{.kind = Pool::Kind::kMax, .window = TestProgram::square(3, padding())}, {x}));
    }
  }
  void keep(ValueId value) { values_.push_back(value); }

  TestProgram p_;
  std::vector<ValueId> values_;
};

TEST(RandomPrograms, GiveTheSameResultsOptimised) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Program before = Grower(seed).grow();
    ConstantCache cache;
    const Program program = optimize(before, cache);
    EXPECT_LE(program.instructions.size(), before.instructions.size());
    expect_same_results(before, program);
    expect_engine_agrees(program);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(RandomPrograms, OptimisingTwiceFindsNothingMore) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    ConstantCache cache;
    const Program once = optimize(Grower(seed).grow(), cache);
    const Program twice = optimize(once, cache);
    EXPECT_EQ(once.instructions.size(), twice.instructions.size()) << "seed " << seed << "\n"
                                                                   << once.to_string() << "----\n"
                                                                   << twice.to_string();
  }
}

}  // namespace
}  // namespace kerf::program
