#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layers/registry.h"

namespace kerf::layers {

// The vocabulary of a StringLookup, an IntegerLookup or a TextVectorization, read from the layer's
// configuration: where a file keeps it elsewhere, the reader has put it there. Errors name the
// field. Indices: the mask token if ids are given out, then those of unknown tokens, then the
// vocabulary.
class Vocabulary {
 public:
  struct Kind {
    bool integers = false;                 // int64 tokens, not strings
    std::optional<std::string> mask = {};  // where the configuration does not say
    std::string unknown = "[UNK]";         // likewise
  };
  Vocabulary(LayerCall& call, const Kind& kind);

  // "int", "one_hot", "multi_hot", "count" or "tf_idf".
  const std::string& mode() const noexcept { return mode_; }
  std::int64_t unknown_indices() const noexcept { return unknown_indices_; }
  std::int64_t first_unknown() const noexcept { return gives_ids() && mask_ ? 1 : 0; }
  // Indices in all, padding up to max_tokens included where the layer asks for it.
  std::int64_t depth() const noexcept { return depth_; }

  // The table that Lookup takes. A mask token has index 0, or where it does not count, none.
  ValueId table();
  // The tokens by their index, and behind them that of any other index: (size + 1, 1).
  ValueId tokens();
  std::int64_t size() const noexcept { return first_ + std::ssize(tokens_); }

  // What is made of indices (n, ...) in this mode, or of `counts` (n, depth) of them.
  ValueId encoded(ValueId ids);
  ValueId weighted(ValueId counts);

 private:
  bool gives_ids() const noexcept { return mode_ == "int"; }
  std::optional<std::string> special(std::string_view key, std::string_view old_key,
                                     const std::optional<std::string>& fallback) const;
  std::string token(std::string_view key, const boost::json::value& value) const;
  std::vector<float> idf_weights() const;

  LayerCall& call_;
  const Config& config_;
  Kind kind_;
  std::string mode_;
  std::optional<std::string> mask_;
  std::optional<std::string> unknown_;
  std::int64_t unknown_indices_ = 1;
  std::int64_t first_ = 1;  // index of tokens_[0]
  std::int64_t depth_ = 0;
  bool special_given_ = false;       // the special tokens stood in the vocabulary
  std::vector<std::string> tokens_;  // of integers, their eight bytes
};

}  // namespace kerf::layers
