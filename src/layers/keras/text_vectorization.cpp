#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "layers/vocabulary.h"

// TextVectorization.
namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Reshape;
using program::Tokens;

// A text option; nothing where it is null. The function of its author is written as an object, or
// by a name of its own.
std::optional<std::string> choice(LayerCall& call, std::string_view key,
                                  std::string_view fallback) {
  const json::value* value = call.layer().config.if_contains(key);
  if (value == nullptr) return std::string(fallback);
  if (value->is_null()) return std::nullopt;
  return value->is_string() ? std::string(value->get_string()) : std::string("custom");
}

Tokens tokens_of(LayerCall& call) {
  const Config& config = call.config();
  Tokens tokens;
  if (const auto how = choice(call, "standardize", "lower_and_strip_punctuation")) {
    tokens.lower = *how == "lower" || *how == "lower_and_strip_punctuation";
    tokens.strip = *how == "strip_punctuation" || *how == "lower_and_strip_punctuation";
    if (!tokens.lower && !tokens.strip) {
      config.unsupported("standardize",
                         "it is a Python function of the model's author, which kerf never "
                         "executes; standardize texts before they are sent, save the model with "
                         "standardize=None, and its vocabulary stays the same");
    }
  }
  if (const auto how = choice(call, "split", "whitespace")) {
    tokens.split = *how == "character" ? Tokens::Split::kCharacters : Tokens::Split::kWhitespace;
    if (*how != "character" && *how != "whitespace") {
      config.unsupported("split",
                         "it is a Python function of the model's author, which kerf never "
                         "executes");
    }
  }
  if (config.has("ngrams")) {
    tokens.widths = config.integers("ngrams");
    for (const std::int64_t width : tokens.widths) {
      if (width < 1) config.invalid("ngrams", fmt::format("has a width of {}", width));
      if (width > Tokens::kMostWidth) {
        config.unsupported("ngrams", fmt::format("a width of {} is too large", width));
      }
    }
    if (!config.find("ngrams")->is_array()) {
      tokens.widths.resize(static_cast<std::size_t>(tokens.widths.front()));
      std::iota(tokens.widths.begin(), tokens.widths.end(), 1);
    }
    if (tokens.split == Tokens::Split::kNone) {
      config.unsupported("ngrams", "texts that are not split have no n-grams kerf knows");
    }
  }
  return tokens;
}

// Texts as a vector.
ValueId texts_of(LayerCall& call) {
  const ValueId x = call.input();
  const Shape& shape = call.shape(x);
  if (call.type(x).dtype != DType::kString) {
    call.config().invalid("dtype", fmt::format("the layer is called with {}, not with strings",
                                               dtype_name(call.type(x).dtype)));
  }
  if (shape.rank() == 1) return x;
  if (shape.rank() != 2 || shape[1] != 1) {
    call.config().invalid("split", fmt::format("texts of shape {} cannot be split: one a sample is "
                                               "needed",
                                               shape.to_string()));
  }
  return call.ops().append(Reshape{{Reshape::copy(0)}}, {x});
}

// Each element is a token.
void lower_unsplit(LayerCall& call, const Tokens& tokens, Vocabulary& vocabulary,
                   std::optional<std::int64_t> length) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  const ValueId x = call.input();
  const std::size_t rank = call.shape(x).rank();
  if (rank < 2 && (length || vocabulary.mode() != "int")) {
    config.unsupported("split", "texts that are not split need an axis of tokens");
  }
  const ValueId flat = ops.append(Reshape{{Reshape::kInfer}}, {x});
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < rank; ++i) dims.push_back(Reshape::like(i));
  ValueId ids = ops.append(
      program::TokenIds{.tokens = tokens, .unknown = vocabulary.first_unknown(), .length = 1},
      {flat, vocabulary.table()});
  ids = ops.append(Reshape{std::move(dims)}, {ids, x});
  if (length) {
    const auto axis = static_cast<std::int64_t>(rank) - 1;
    ids = ops.append(program::Slice{axis, 0, *length, 1}, {ids});
    const std::int64_t given = call.shape(ids).back();
    if (given == Shape::kUnknown) {
      config.unsupported("output_sequence_length", "texts of an unknown number cannot be padded");
    }
    if (given < *length) {
      std::vector<std::int64_t> after(rank);
      after.back() = *length - given;
      ids = ops.append(program::Pad{std::vector<std::int64_t>(rank), std::move(after), 0}, {ids});
    }
  }
  call.output(vocabulary.encoded(ids));
}

void lower_text_vectorization(LayerCall& call) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  if (config.boolean("ragged", false)) {
    config.unsupported("ragged", "ragged tensors are not supported");
  }
  const Tokens tokens = tokens_of(call);
  Vocabulary vocabulary(call, {.mask = ""});
  std::optional<std::int64_t> length;
  if (config.has("output_sequence_length")) length = config.size("output_sequence_length");
  if (tokens.split == Tokens::Split::kNone) return lower_unsplit(call, tokens, vocabulary, length);

  const ValueId texts = texts_of(call);
  if (vocabulary.mode() == "int") {
    if (!length) {
      config.unsupported("output_sequence_length",
                         "is null: the length of the result would depend on the texts; save the "
                         "model with a length");
    }
    call.output(ops.append(
        program::TokenIds{
            .tokens = tokens, .unknown = vocabulary.first_unknown(), .length = *length},
        {texts, vocabulary.table()}));
    return;
  }
  if (vocabulary.mode() == "one_hot") {
    config.unsupported("output_mode", "'one_hot' of texts that are split");
  }
  call.output(vocabulary.weighted(ops.append(
      program::TokenCounts{
          .tokens = tokens, .unknown = vocabulary.first_unknown(), .depth = vocabulary.depth()},
      {texts, vocabulary.table()})));
}

}  // namespace

void register_text_vectorization(Registry& registry);
void register_text_vectorization(Registry& registry) {
  registry.add(
      {.class_name = "TextVectorization",
       .lower = lower_text_vectorization,
       .refuses = {{"standardize", "Python functions"},
                   {"split", "Python functions; null for texts without an axis of tokens"},
                   {"ngrams", "wider than 32, and of texts that are not split"},
                   {"output_mode", "`one_hot` of texts that are split"},
                   {"output_sequence_length", "null where ids are given out"},
                   {"ragged", "true"}},
       .note = "a vocabulary must be in the file, as UTF-8; `sparse` output is given dense"});
}

}  // namespace kerf::layers
