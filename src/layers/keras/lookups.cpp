#include <fmt/format.h>

#include <string_view>
#include <vector>

#include "layers/vocabulary.h"

// StringLookup and IntegerLookup.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reshape;

ValueId integer(LayerCall& call, std::int64_t value) {
  return call.ops().constant(
      Tensor::of<std::int64_t>(DType::kInt64, {}, std::span<const std::int64_t>(&value, 1)));
}

// The tokens that indices stand for.
ValueId inverted(LayerCall& call, Vocabulary& vocabulary) {
  program::ProgramBuilder& ops = call.ops();
  if (call.type(call.input()).dtype == DType::kString) {
    call.config().invalid("invert", "is set, but the layer is called with strings");
  }
  const ValueId ids = ops.append(program::Cast{DType::kInt64}, {call.input()});
  const ValueId end = integer(call, vocabulary.size());
  const ValueId known =
      ops.append(Binary{Binary::Kind::kAnd},
                 {ops.append(Binary{Binary::Kind::kGreaterEqual}, {ids, integer(call, 0)}),
                  ops.append(Binary{Binary::Kind::kLess}, {ids, end})});
  const ValueId rows = ops.append(program::Select{}, {known, ids, end});
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < call.shape(ids).rank(); ++i) dims.push_back(Reshape::copy(i));
  return ops.append(Reshape{std::move(dims)},
                    {ops.append(program::Gather{}, {rows, vocabulary.tokens()})});
}

void lower_lookup(LayerCall& call, const Vocabulary::Kind& kind) {
  const Config& config = call.config();
  Vocabulary vocabulary(call, kind);
  if (config.boolean("invert", false)) {
    if (vocabulary.mode() != "int")
      config.invalid("invert", "is set, but the output_mode is not int");
    call.output(inverted(call, vocabulary));
    return;
  }
  ValueId keys = call.input();
  if ((call.type(keys).dtype == DType::kString) == kind.integers) {
    config.invalid("vocabulary_dtype", fmt::format("the layer looks up {}, but is called with {}",
                                                   kind.integers ? "integers" : "strings",
                                                   dtype_name(call.type(keys).dtype)));
  }
  if (kind.integers) keys = call.ops().append(program::Cast{DType::kInt64}, {keys});
  const std::string method = config.text("oov_method", "floormod");
  if (method != "floormod" && method != "farmhash") {
    config.unsupported("oov_method", fmt::format("'{}' is not one kerf knows", method));
  }
  const program::Lookup lookup{.first = vocabulary.first_unknown(),
                               .buckets = vocabulary.unknown_indices(),
                               .modulo = method == "floormod"};
  call.output(vocabulary.encoded(call.ops().append(lookup, {keys, vocabulary.table()})));
}

}  // namespace

void register_lookups(Registry& registry);
void register_lookups(Registry& registry) {
  const std::vector<Refusal> refuses{{"oov_method", "other than floormod and farmhash"}};
  constexpr std::string_view kNote =
      "a vocabulary must be in the file, as UTF-8; `sparse` output is given dense";
  registry.add({.class_name = "StringLookup",
                .lower = [](LayerCall& call) { lower_lookup(call, {}); },
                .refuses = refuses,
                .note = kNote});
  registry.add({.class_name = "IntegerLookup",
                .lower = [](LayerCall& call) { lower_lookup(call, {.integers = true}); },
                .refuses = refuses,
                .note = kNote});
}

}  // namespace kerf::layers
