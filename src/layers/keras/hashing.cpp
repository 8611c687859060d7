#include <fmt/format.h>

#include <array>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <vector>

#include "layers/categories.h"
#include "layers/registry.h"
#include "program/lookup_table.h"

// Hashing and HashedCrossing.
namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;

ValueId integer(LayerCall& call, std::int64_t value) {
  return call.ops().constant(
      Tensor::of<std::int64_t>(DType::kInt64, {}, std::span<const std::int64_t>(&value, 1)));
}

// True where x is the mask value.
ValueId is_masked(LayerCall& call, ValueId x, const json::value& mask) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  boost::system::error_code error;
  if (call.type(x).dtype == DType::kFloat32) {
    const auto number = static_cast<float>(mask.to_number<double>(error));
    if (error) config.invalid("mask_value", "is not a number, as the input is");
    return ops.append(Binary{Binary::Kind::kEqual}, {x, call.scalar(number)});
  }
  const bool strings = call.type(x).dtype == DType::kString;
  std::int64_t number = 0;
  if (!strings) number = mask.to_number<std::int64_t>(error);
  if (strings ? !mask.is_string() : error.failed()) {
    config.invalid("mask_value",
                   fmt::format("is not of the input's dtype, {}", dtype_name(call.type(x).dtype)));
  }
  const ValueId table = call.made("mask", {DType::kUInt8, {Shape::kUnknown}}, [&] {
    const std::string_view key =
        strings ? std::string_view(mask.get_string())
                : std::string_view(reinterpret_cast<const char*>(&number), sizeof(number));
    const program::LookupTable::Entry entry{.key = key, .value = 1};
    return program::LookupTable::pack({&entry, 1});
  });
  const ValueId found = ops.append(program::Lookup{.first = 0, .buckets = 1}, {x, table});
  return ops.append(program::Cast{DType::kBool}, {found});
}

std::optional<std::array<std::uint64_t, 2>> key_of(const Config& config) {
  if (!config.has("salt")) return std::nullopt;
  std::vector<std::int64_t> salt = config.integers("salt");
  if (salt.size() == 1) salt.push_back(salt.front());
  if (salt.size() != 2) config.invalid("salt", "is neither one nor two integers");
  return std::array{static_cast<std::uint64_t>(salt[0]), static_cast<std::uint64_t>(salt[1])};
}

// Bins as the layer gives them out.
void output_bins(LayerCall& call, ValueId bins, std::int64_t count) {
  const Config& config = call.config();
  const std::string mode = config.text("output_mode", "int");
  if (mode != "int") {
    call.output(encode_categories(call, bins, mode, count, "num_bins"));
    return;
  }
  const bool narrow = config.text("dtype", "int64") == "int32";
  call.output(narrow ? call.ops().append(program::Cast{DType::kInt32}, {bins}) : bins);
}

void lower_hashing(LayerCall& call) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  const std::int64_t count = config.size("num_bins");
  const json::value* mask = count > 1 ? config.find("mask_value") : nullptr;
  ValueId x = call.input();
  if (call.type(x).dtype != DType::kString && call.type(x).dtype != DType::kFloat32) {
    x = ops.append(program::Cast{DType::kInt64}, {x});
  }
  const ValueId keys =
      call.type(x).dtype == DType::kFloat32 ? ops.append(program::Cast{DType::kInt64}, {x}) : x;
  const ValueId hashes = ops.append(
      program::Hash{.buckets = mask != nullptr ? count - 1 : count, .key = key_of(config)}, {keys});
  if (mask == nullptr) {
    output_bins(call, hashes, count);
    return;
  }
  const ValueId above = ops.append(Binary{Binary::Kind::kAdd}, {hashes, integer(call, 1)});
  output_bins(call,
              ops.append(program::Select{}, {is_masked(call, x, *mask), integer(call, 0), above}),
              count);
}

void lower_hashed_crossing(LayerCall& call) {
  const Config& config = call.config();
  if (call.input_count() < 2) config.invalid("name", "fewer than two features are crossed");
  std::vector<ValueId> features;
  for (std::size_t i = 0; i < call.input_count(); ++i) {
    const ValueId feature = call.input(i);
    const Shape& shape = call.shape(feature);
    const DType dtype = call.type(feature).dtype;
    if (shape.rank() > 2 || (shape.rank() == 2 && shape[1] != 1)) {
      config.invalid("name", fmt::format("a feature of shape {} cannot be crossed: one number or "
                                         "string a sample is needed",
                                         shape.to_string()));
    }
    if (dtype != DType::kString && !is_integer(dtype)) {
      config.invalid("name",
                     fmt::format("features are strings or integers, not {}", dtype_name(dtype)));
    }
    features.push_back(dtype == DType::kString
                           ? feature
                           : call.ops().append(program::Cast{DType::kInt64}, {feature}));
  }
  const std::int64_t count = config.size("num_bins");
  output_bins(call, call.ops().append(program::CrossHash{count}, std::move(features)), count);
}

}  // namespace

void register_hashing(Registry& registry);
void register_hashing(Registry& registry) {
  registry.add(
      {.class_name = "Hashing", .lower = lower_hashing, .note = "`sparse` output is given dense"});
  registry.add({.class_name = "HashedCrossing",
                .lower = lower_hashed_crossing,
                .note = "`sparse` output is given dense"});
}

}  // namespace kerf::layers
