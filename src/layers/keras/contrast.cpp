#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "layers/registry.h"

// AutoContrast: every channel of an image stretched over the range of values.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;

std::array<float, 2> value_range(const Config& config) {
  const boost::json::value* value = config.find("value_range");
  if (value == nullptr) return {0, 255};
  const boost::json::array* pair = value->if_array();
  if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_number() || !(*pair)[1].is_number()) {
    config.invalid("value_range", "is no pair of numbers");
  }
  const std::array<float, 2> range{static_cast<float>((*pair)[0].to_number<double>()),
                                   static_cast<float>((*pair)[1].to_number<double>())};
  if (!(range[0] < range[1])) config.invalid("value_range", "is empty");
  return range;
}

void lower_auto_contrast(LayerCall& call) {
  if (call.input_count() != 1) {
    call.config().unsupported("name", "is called with labels or boxes beside the images");
  }
  const ValueId x = call.float_input();
  if (call.shape(x).rank() < 3) {
    call.config().invalid("data_format", "needs images");
  }
  const auto [low, high] = value_range(call.config());
  const auto apply = [&](Binary::Kind kind, ValueId a, ValueId b) {
    return call.ops().append(Binary{kind}, {a, b});
  };
  const auto scaled = [&](ValueId y, float offset, float factor) {
    if (offset != 0) y = apply(Binary::Kind::kSubtract, y, call.scalar(offset));
    return factor == 1 ? y : apply(Binary::Kind::kMultiply, y, call.scalar(factor));
  };
  const bool bytes = low == 0 && high == 255;
  const ValueId image = bytes ? x : scaled(x, low, 255 / (high - low));
  const ValueId darkest = call.ops().append(Reduce{Reduce::Kind::kMin, {1, 2}, true}, {image});
  const ValueId brightest = call.ops().append(Reduce{Reduce::Kind::kMax, {1, 2}, true}, {image});
  const ValueId factor = apply(Binary::Kind::kDivide, call.scalar(255),
                               apply(Binary::Kind::kSubtract, brightest, darkest));
  const ValueId offset = apply(Binary::Kind::kMultiply, darkest, factor);
  ValueId y = apply(Binary::Kind::kSubtract, apply(Binary::Kind::kMultiply, image, factor), offset);
  y = apply(Binary::Kind::kMinimum, apply(Binary::Kind::kMaximum, y, call.scalar(0)),
            call.scalar(255));
  if (!bytes) {
    y = apply(Binary::Kind::kAdd, scaled(y, 0, (high - low) / 255), call.scalar(low));
  }
  // A channel of one value has no contrast to stretch.
  const ValueId flat = apply(Binary::Kind::kEqual, brightest, darkest);
  y = call.ops().append(program::Select{}, {flat, x, y});
  const DType dtype = call.type(call.input()).dtype;
  if (is_integer(dtype)) {
    y = call.activated(y, {program::Function::kRound});
    y = call.ops().append(program::Cast{dtype}, {y});
  }
  call.output(y);
}

}  // namespace

void register_contrast(Registry& registry);
void register_contrast(Registry& registry) {
  registry.add({.class_name = "AutoContrast",
                .lower = lower_auto_contrast,
                .refuses = {{"name", "called with labels or boxes beside the images"}}});
}

}  // namespace kerf::layers
