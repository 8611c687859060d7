#include "layers/registry.h"

namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;

void lower_masking(LayerCall& call) {
  program::ProgramBuilder& ops = call.ops();
  const ValueId x = call.input();
  const auto last = static_cast<std::int64_t>(call.shape(x).rank()) - 1;
  const ValueId value = call.scalar(static_cast<float>(call.config().number("mask_value", 0)));
  const ValueId differs = ops.append(Binary{Binary::Kind::kNotEqual}, {x, value});
  const ValueId wide = ops.append(Reduce{Reduce::Kind::kAny, {last}, true}, {differs});
  const ValueId mask = ops.append(Reduce{Reduce::Kind::kAny, {last}, false}, {differs});
  const ValueId factor = ops.append(program::Cast{DType::kFloat32}, {wide});
  call.output(ops.append(Binary{Binary::Kind::kMultiply}, {x, factor}), mask);
}

}  // namespace

void register_masking(Registry& registry);
void register_masking(Registry& registry) {
  registry.add({.class_name = "Masking", .lower = lower_masking});
}

}  // namespace kerf::layers
