#include "layers/window.h"

#include <fmt/format.h>

namespace kerf::layers {

std::size_t spatial_rank_of(const LayerCall& call) {
  return static_cast<std::size_t>(call.layer().class_name[call.layer().class_name.size() - 2] -
                                  '0');
}

program::Window window_of(LayerCall& call, std::size_t rank, std::string_view size_key,
                          std::int64_t default_size) {
  const Config& config = call.config();
  program::Window window{.rank = rank};
  const auto size = config.integers(size_key, rank, default_size);
  const bool pool = size_key == "pool_size";
  const auto strides = config.has("strides") ? config.integers("strides", rank, 1)
                       : pool                ? size
                                             : std::vector<std::int64_t>(rank, 1);
  const auto dilation = config.integers("dilation_rate", rank, 1);
  for (std::size_t i = 0; i < rank; ++i) {
    constexpr std::int64_t kLimit = 1 << 20;
    for (const std::int64_t value : {size[i], strides[i], dilation[i]}) {
      if (value < 1 || value > kLimit) config.invalid(size_key, "does not describe a window");
    }
    window.size[i] = size[i];
    window.strides[i] = strides[i];
    window.dilation[i] = dilation[i];
  }
  const std::string padding = config.text("padding", "valid");
  if (padding == "same") {
    window.padding = program::Padding::kSame;
  } else if (padding == "causal" && rank == 1) {
    window.padding = program::Padding::kCausal;
  } else if (padding != "valid") {
    config.unsupported("padding", fmt::format("'{}' is not a padding kerf knows", padding));
  }
  return window;
}

}  // namespace kerf::layers
