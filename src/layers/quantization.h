#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "layers/registry.h"

namespace kerf::layers {

// How Keras 3 quantised a layer of weights: what its dtype policy ("int8_from_float32") and its
// quantization_config say. Formulas and layouts are those of keras.quantizers.
struct Quantization {
  enum class Mode : std::uint8_t { kNone, kInt8, kInt4, kFloat8, kGptq, kAwq, kTernary };
  Mode mode = Mode::kNone;
  std::int64_t bits = 4;    // of a weight: kGptq
  std::int64_t block = -1;  // rows of a column that share a scale: kInt4, kGptq, kAwq; -1: all
  bool grouped = false;     // there are groups, even if only one: kInt4
  bool inputs = false;      // what the weights meet is rounded to 8 bits too: kInt8, kInt4
  bool packs_rows = false;  // two weights of a byte stand below each other, not side by side: kInt4
  bool rounds_bias = false;     // to bfloat16: kFloat8
  std::int64_t history = 1024;  // how many maxima training remembered: kFloat8

  explicit operator bool() const noexcept { return mode != Mode::kNone; }
};

// Of the layer itself, or of a part of it that Keras names so ("query"). Throws Error(kUnsupported)
// for modes that kerf does not know.
Quantization quantization_of(LayerCall& call, std::string_view part = {});

// What a dense layer calls its weights, and their shapes were they not quantised.
struct DenseShape {
  std::string path;  // below the layer: "" or "query_dense/"
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  Shape kernel;        // of rows * columns elements, rows first
  Shape bias;          // of `columns` elements; looked at if has_bias
  Shape kernel_scale;  // of `columns` elements, one for each channel
  bool has_bias = false;
};

// The weights of a dense layer, quantised or not, as one matrix (rows, columns) of float32.
struct DenseWeights {
  ValueId matrix = 0;
  std::optional<ValueId> bias;         // (columns)
  std::optional<ValueId> input_scale;  // (): inputs are rounded to float8 by it
  bool rounds_inputs = false;          // to 8 bits
};

// Declares the weights, in Keras' order.
DenseWeights dense_weights(LayerCall& call, const Quantization& quantization,
                           const DenseShape& shape);

// x (..., rows) times the matrix, plus the bias.
ValueId dense_product(LayerCall& call, ValueId x, const DenseWeights& weights);

// A table (rows, width), stored under `name` ("embeddings") quantised or not, as float32.
ValueId embedding_table(LayerCall& call, const Quantization& quantization, const std::string& name,
                        std::int64_t rows, std::int64_t width);

}  // namespace kerf::layers
