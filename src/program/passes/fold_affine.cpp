#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>

#include "program/passes/analysis.h"
#include "program/passes/epilogue.h"
#include "program/passes/passes.h"

namespace kerf::program {
namespace {

// Constant factors or summands: one for all channels, one per channel, or (empty) none at all.
struct PerChannel {
  PerChannel() = default;
  explicit PerChannel(Constant constant)
      : source(std::move(constant)), values(source.empty() ? Tensor() : source.elements()) {}
  Constant source;
  Tensor values;

  bool none() const { return values.empty(); }
  bool one() const { return values.byte_size() == sizeof(float); }
  double at(std::size_t channel, double neutral) const {
    if (none()) return neutral;
    return values.as<float>()[one() ? 0 : channel];
  }
};

// x - mean is exact where x is near the mean, and x * scale - mean * scale is not: it rounds at the
// size of the products. A sum with a constant may come after a factor only while that is small
// beside the outputs, which are taken to be about 1. What has a factor already rounds so in any
// case.
constexpr double kLargestShift = 16;

// An instruction seen as x * scale + shift along the last axis of x.
struct ConstantAffine {
  ValueId x = 0;
  PerChannel scale;
  PerChannel shift;
};

std::size_t element_count(const Constant& constant) { return constant.byte_size() / sizeof(float); }

// A float32 tensor that fill(span) computes, once per model. Single numbers among the sources are
// told by their value: they are made anew with every cut.
template <typename Fill>
Constant derived(ConstantCache& cache, std::string_view name, std::span<const Constant> sources,
                 const Shape& shape, const Fill& fill) {
  ConstantCache::Key key{.derivation = fmt::format("{} {}", name, shape.to_string()),
                         .sources = {}};
  for (const Constant& source : sources) {
    if (source.empty()) {
      key.derivation += ", none";
    } else if (source.byte_size() == sizeof(float)) {
      key.derivation +=
          fmt::format(", {:08x}", std::bit_cast<std::uint32_t>(source.elements().as<float>()[0]));
    } else {
      key.derivation += ", tensor";
      key.sources.push_back(source.identity());
    }
  }
  return cache.get(key, sources, [&] {
    const auto count = static_cast<std::size_t>(shape.element_count());
    const auto values = std::make_shared_for_overwrite<float[]>(std::max<std::size_t>(count, 1));
    fill(std::span(values.get(), count));
    return Tensor(DType::kFloat32, shape, std::shared_ptr<const void>(values, values.get()),
                  count * sizeof(float));
  });
}

// The same, element by element.
template <typename Element>
Constant derived_elements(ConstantCache& cache, std::string_view name,
                          std::span<const Constant> sources, const Shape& shape,
                          const Element& element) {
  return derived(cache, name, sources, shape, [&](std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(element(i));
  });
}

class Folder {
 public:
  Folder(Program& program, ConstantCache& cache)
      : program_(program),
        cache_(cache),
        uses_(count_uses(program)),
        producers_(find_producers(program)) {}

  // First into what stands before, which costs nothing at the borders of a convolution.
  void run() {
    for (Instruction& instruction : program_.instructions) {
      if (const auto affine = as_affine(instruction)) fold_backward(instruction, *affine);
    }
    for (Instruction& instruction : program_.instructions) fold_forward(instruction);
    drop_emptied(program_);
  }

 private:
  // The instruction that makes `id` if nothing else reads its result, else nullptr.
  Instruction* sole_producer(ValueId id) {
    if (id >= producers_.size() || producers_[id] == kNoInstruction || uses_[id] != 1) {
      return nullptr;
    }
    return &program_.instructions[producers_[id]];
  }

  // A constant that acts on x as one number or one per channel.
  std::optional<PerChannel> per_channel(ValueId id, ValueId x) const {
    const Value& value = program_.values[id];
    const Shape& of_x = program_.values[x].type.shape;
    if (value.constant.empty() || value.type.dtype != DType::kFloat32 || of_x.rank() == 0 ||
        value.type.shape.rank() > of_x.rank()) {
      return std::nullopt;
    }
    const std::size_t elements = element_count(value.constant);
    const bool vector = value.type.shape.rank() > 0 &&
                        static_cast<std::int64_t>(elements) == value.type.shape.back() &&
                        value.type.shape.back() == of_x.back();
    if (elements != 1 && !vector) return std::nullopt;
    return PerChannel{value.constant};
  }

  std::optional<ConstantAffine> as_affine(const Instruction& instruction) {
    if (std::holds_alternative<Affine>(instruction.op)) {
      const auto scale = per_channel(instruction.operands[1], instruction.operands[0]);
      const auto shift = per_channel(instruction.operands[2], instruction.operands[0]);
      if (!scale || !shift) return std::nullopt;
      return ConstantAffine{.x = instruction.operands[0], .scale = *scale, .shift = *shift};
    }
    const auto* binary = std::get_if<Binary>(&instruction.op);
    if (binary == nullptr) return std::nullopt;
    const bool commutes =
        binary->kind == Binary::Kind::kAdd || binary->kind == Binary::Kind::kMultiply;
    ValueId x = instruction.operands[0];
    std::optional<PerChannel> constant = per_channel(instruction.operands[1], x);
    if (!constant && commutes) {
      x = instruction.operands[1];
      constant = per_channel(instruction.operands[0], x);
    }
    if (!constant || program_.is_constant(x)) return std::nullopt;
    const std::array<Constant, 1> source{constant->source};
    switch (binary->kind) {
      case Binary::Kind::kMultiply:
        return ConstantAffine{.x = x, .scale = *constant, .shift = {}};
      case Binary::Kind::kAdd:
        return ConstantAffine{.x = x, .scale = {}, .shift = *constant};
      case Binary::Kind::kDivide:
        return ConstantAffine{.x = x,
                              .scale = PerChannel(derived_elements(
                                  cache_, "reciprocal", source, constant->values.shape(),
                                  [&](std::size_t i) { return 1 / constant->at(i, 1); })),
                              .shift = {}};
      case Binary::Kind::kSubtract:
        return ConstantAffine{.x = x,
                              .scale = {},
                              .shift = PerChannel(derived_elements(
                                  cache_, "negative", source, constant->values.shape(),
                                  [&](std::size_t i) { return -constant->at(i, 0); }))};
      default:
        return std::nullopt;
    }
  }

  void fold_backward(Instruction& instruction, const ConstantAffine& affine) {
    Instruction* producer = sole_producer(affine.x);
    if (producer == nullptr) return;
    if (auto* product = std::get_if<MatMul>(&producer->op)) {
      if (!affine.shift.none() || !affine.scale.one()) return;
      MatMul scaled = *product;
      scaled.scale *= static_cast<float>(affine.scale.at(0, 1));
      replace(instruction, scaled, producer->operands, *producer);
      return;
    }
    if (const auto first = as_affine(*producer)) {
      compose(instruction, *first, affine, *producer);
      return;
    }
    const Epilogue* epilogue = epilogue_of(producer->op);
    if (epilogue == nullptr || !epilogue->activation.identity() || epilogue->residual) return;
    const Constant weights = program_.values[producer->operands[1]].constant;
    const Constant bias =
        epilogue->bias ? program_.values[producer->operands[2]].constant : Constant();
    if (weights.empty() || bias.empty() == epilogue->bias) return;
    const auto channels = static_cast<std::size_t>(output_channels(producer->op, weights.shape()));

    Op op = producer->op;
    std::vector<ValueId> operands{producer->operands[0], producer->operands[1]};
    const bool apart = takes_scale(op);
    if (!affine.scale.none() && !apart) {
      // The output channels are the innermost axis of the weights (depthwise: the two innermost).
      const std::array<Constant, 2> sources{weights, affine.scale.source};
      operands[1] = add_constant(program_, derived(cache_, "weights * scale", sources,
                                                   weights.shape(), [&](std::span<float> values) {
                                                     scale_channels(weights.elements().as<float>(),
                                                                    affine.scale, channels, values);
                                                   }));
    }
    if (epilogue->bias || !affine.shift.none()) {
      const PerChannel old(bias);
      const std::array<Constant, 3> sources{bias, affine.scale.source, affine.shift.source};
      operands.push_back(add_constant(
          program_,
          derived_elements(cache_, "bias * scale + shift", sources,
                           Shape{static_cast<std::int64_t>(channels)}, [&](std::size_t i) {
                             return old.at(i, 0) * affine.scale.at(i, 1) + affine.shift.at(i, 0);
                           })));
      epilogue_of(op)->bias = true;
    }
    if (apart && (epilogue->scale || !affine.scale.none())) {
      operands.push_back(add_constant(program_, output_scale(*producer, affine.scale, channels)));
      epilogue_of(op)->scale = true;
    }
    replace(instruction, std::move(op), std::move(operands), *producer);
  }

  // Ops whose kernels scale their sums.
  static bool takes_scale(const Op& op) {
    const auto* conv = std::get_if<Conv>(&op);
    return std::holds_alternative<Linear>(op) || (conv != nullptr && conv->groups == 1);
  }

  // What scales the outputs of a product that is scaled once more.
  Constant output_scale(const Instruction& product, const PerChannel& more, std::size_t channels) {
    const PerChannel old(epilogue_of(product.op)->scale
                             ? program_.values[product.operands.back()].constant
                             : Constant());
    const std::array<Constant, 2> sources{old.source, more.source};
    return derived_elements(cache_, "scale of outputs", sources,
                            Shape{static_cast<std::int64_t>(channels)},
                            [&](std::size_t i) { return old.at(i, 1) * more.at(i, 1); });
  }

  static void scale_channels(std::span<const float> weights, const PerChannel& scale,
                             std::size_t channels, std::span<float> values) {
    std::vector<float> factors(channels);
    for (std::size_t c = 0; c < channels; ++c) factors[c] = static_cast<float>(scale.at(c, 1));
    for (std::size_t row = 0; row < values.size(); row += channels) {
      for (std::size_t c = 0; c < channels; ++c) values[row + c] = weights[row + c] * factors[c];
    }
  }

  // Two affine steps become one.
  void compose(Instruction& instruction, const ConstantAffine& first, const ConstantAffine& second,
               Instruction& producer) {
    const std::int64_t channels = program_.values[first.x].type.shape.back();
    if (channels < 1) return;
    for (std::size_t i = 0; first.scale.none() && i < static_cast<std::size_t>(channels); ++i) {
      if (std::abs(first.shift.at(i, 0) * second.scale.at(i, 1)) > kLargestShift) return;
    }
    const std::array<Constant, 2> scales{first.scale.source, second.scale.source};
    const std::array<Constant, 3> shifts{first.shift.source, second.scale.source,
                                         second.shift.source};
    const ValueId scale = add_constant(
        program_,
        derived_elements(cache_, "scale * scale", scales, Shape{channels}, [&](std::size_t i) {
          return first.scale.at(i, 1) * second.scale.at(i, 1);
        }));
    const ValueId shift = add_constant(
        program_, derived_elements(
                      cache_, "shift * scale + shift", shifts, Shape{channels}, [&](std::size_t i) {
                        return first.shift.at(i, 0) * second.scale.at(i, 1) + second.shift.at(i, 0);
                      }));
    replace(instruction, Affine{}, {first.x, scale, shift}, producer);
  }

  // An affine step before a product whose every input cell is one of x: W (scale x + shift) + b.
  void fold_forward(Instruction& instruction) {
    const Epilogue* epilogue = epilogue_of(instruction.op);
    if (epilogue == nullptr || instruction.results.empty()) return;
    Instruction* producer = sole_producer(instruction.operands[0]);
    if (producer == nullptr) return;
    const auto affine = as_affine(*producer);
    const Constant weights = program_.values[instruction.operands[1]].constant;
    const Constant bias =
        epilogue->bias ? program_.values[instruction.operands[2]].constant : Constant();
    if (!affine || weights.empty() || bias.empty() == epilogue->bias) return;
    // Padding is zero, not shift.
    if (!affine->shift.none() && !reads_no_padding(instruction.op)) return;
    if (affine->scale.none() && largest(affine->shift) > kLargestShift) return;
    const Shape& shape = weights.shape();
    const auto outputs = static_cast<std::size_t>(output_channels(instruction.op, shape));
    const auto input = input_channel(instruction.op, shape);

    Op op = instruction.op;
    std::vector<ValueId> operands{affine->x, instruction.operands[1]};
    if (!affine->scale.none()) {
      const std::array<Constant, 2> sources{weights, affine->scale.source};
      operands[1] = add_constant(
          program_,
          derived(cache_, "scale * weights", sources, shape, [&](std::span<float> values) {
            const Tensor elements = weights.elements();
            for (std::size_t i = 0; i < values.size(); ++i) {
              values[i] =
                  static_cast<float>(elements.as<float>()[i] * affine->scale.at(input(i), 1));
            }
          }));
    }
    if (!affine->shift.none()) {
      const PerChannel scale(epilogue->scale ? program_.values[instruction.operands.back()].constant
                                             : Constant());
      const PerChannel old(bias);
      const std::array<Constant, 4> sources{weights, bias, affine->shift.source, scale.source};
      operands.push_back(add_constant(
          program_,
          derived(cache_, "weights * shift + bias", sources,
                  Shape{static_cast<std::int64_t>(outputs)}, [&](std::span<float> values) {
                    const Tensor elements = weights.elements();
                    const std::span<const float> factors = elements.as<float>();
                    for (std::size_t o = 0; o < outputs; ++o) {
                      double sum = 0;
                      for (std::size_t i = o; i < factors.size(); i += outputs) {
                        sum += factors[i] * affine->shift.at(input(i), 0);
                      }
                      values[o] = static_cast<float>(old.at(o, 0) + sum * scale.at(o, 1));
                    }
                  })));
      epilogue_of(op)->bias = true;
    } else if (epilogue->bias) {
      operands.push_back(instruction.operands[2]);
    }
    const auto last = instruction.operands.end();
    operands.insert(operands.end(), last - (epilogue->residual ? 1 : 0) - (epilogue->scale ? 1 : 0),
                    last);
    const std::uint32_t source = instruction.source;
    replace(instruction, std::move(op), std::move(operands), *producer);
    instruction.source = source;
  }

  static double largest(const PerChannel& numbers) {
    double result = 0;
    for (const float number : numbers.values.as<float>()) {
      result = std::max(result, static_cast<double>(std::abs(number)));
    }
    return result;
  }

  static std::int64_t output_channels(const Op& op, const Shape& weights) {
    return std::holds_alternative<DepthwiseConv>(op) ? weights.back() * weights[weights.rank() - 2]
                                                     : weights.back();
  }

  // From an index into the weights to the input channel that the weight is multiplied with.
  struct InputChannel {
    std::size_t outputs;     // innermost axis
    std::size_t inputs;      // of one group
    std::size_t per_group;   // outputs of one group
    std::size_t multiplier;  // depthwise only, else 0
    std::size_t operator()(std::size_t i) const {
      if (multiplier != 0) return i / multiplier % inputs;
      return i % outputs / per_group * inputs + i / outputs % inputs;
    }
  };
  static InputChannel input_channel(const Op& op, const Shape& weights) {
    const auto last = static_cast<std::size_t>(weights.back());
    const auto inputs = static_cast<std::size_t>(weights[weights.rank() - 2]);
    const auto* conv = std::get_if<Conv>(&op);
    const auto groups = static_cast<std::size_t>(conv == nullptr ? 1 : conv->groups);
    return {.outputs = last,
            .inputs = inputs,
            .per_group = last / groups,
            .multiplier = std::holds_alternative<DepthwiseConv>(op) ? last : 0};
  }

  static bool reads_no_padding(const Op& op) {
    if (std::holds_alternative<ConvTranspose>(op)) return false;
    if (const auto* conv = std::get_if<Conv>(&op)) return conv->window.padding == Padding::kValid;
    if (const auto* depthwise = std::get_if<DepthwiseConv>(&op)) {
      return depthwise->window.padding == Padding::kValid;
    }
    return true;
  }

  // The instruction takes over the work of the one before it, at its own place and for its own
  // result.
  static void replace(Instruction& instruction, Op op, std::vector<ValueId> operands,
                      Instruction& producer) {
    instruction.op = std::move(op);
    instruction.operands = std::move(operands);
    instruction.source = producer.source;
    producer.results.clear();
  }

  Program& program_;
  ConstantCache& cache_;
  std::vector<std::uint32_t> uses_;
  std::vector<std::uint32_t> producers_;
};

}  // namespace

void fold_affine(Program& program, ConstantCache& cache) { Folder(program, cache).run(); }

}  // namespace kerf::program
