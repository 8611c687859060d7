#include "layers/registry.h"

// Masking, and the operations that Keras 3 writes into graphs to compute masks.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;

ValueId literal(LayerCall& call, double value, DType dtype) {
  const auto number = static_cast<float>(value);
  return call.ops().constant(Tensor::floats(Shape{}, std::span(&number, 1)).cast(dtype));
}

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

void lower_not_equal(LayerCall& call) {
  const boost::json::value* args = call.arguments().if_contains("args");
  if (args == nullptr || !args->is_array() || args->get_array().size() != 2) {
    call.config().invalid("name", "needs two arguments");
  }
  const auto operand = [&](const boost::json::value& value, DType dtype) {
    if (const boost::json::object* object = value.if_object()) {
      if (const boost::json::value* tensor = object->if_contains("tensor")) {
        return call.argument_tensor(tensor->to_number<std::size_t>());
      }
    }
    if (!value.is_number()) call.config().unsupported("name", "an argument is not a number");
    return literal(call, value.to_number<double>(), dtype);
  };
  const boost::json::array& array = args->get_array();
  const DType dtype = call.ops().type(call.argument_tensor(0)).dtype;
  const ValueId a = operand(array[0], dtype);
  const ValueId b = operand(array[1], dtype);
  call.output(call.ops().append(Binary{Binary::Kind::kNotEqual}, {a, b}));
}

void lower_any(LayerCall& call) {
  const ValueId x = call.input();
  const auto rank = static_cast<std::int64_t>(call.shape(x).rank());
  std::vector<std::int64_t> axes;
  if (call.config().has("axis")) {
    axes = call.config().integers("axis");
  } else {
    for (std::int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  for (std::int64_t& axis : axes) {
    if (axis < 0) axis += rank;
  }
  call.output(call.ops().append(
      Reduce{Reduce::Kind::kAny, axes, call.config().boolean("keepdims", false)}, {x}));
}

}  // namespace

void register_masking(Registry& registry);
void register_masking(Registry& registry) {
  registry.add({.class_name = "Masking", .lower = lower_masking});
  registry.add({.class_name = "NotEqual", .operation = true, .lower = lower_not_equal});
  registry.add({.class_name = "Any", .operation = true, .lower = lower_any});
}

}  // namespace kerf::layers
