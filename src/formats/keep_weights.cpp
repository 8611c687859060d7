#include "formats/keep_weights.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace kerf::formats {
namespace {

using Bytes = std::span<const std::byte>;

// A part of a buffer, by where it begins.
struct Part {
  std::size_t size = 0;
  std::shared_ptr<const void> storage;  // what tensors over it share
};

// Weights that begin at one byte share a part; those that overlap otherwise have none.
std::map<const std::byte*, Part> parts_of(std::vector<Bytes> weights,
                                          const std::shared_ptr<FileBuffer>& buffer) {
  std::ranges::sort(weights, {}, [](Bytes bytes) { return bytes.data(); });
  std::map<const std::byte*, Part> parts;
  for (const Bytes bytes : weights) {
    auto& size = parts[bytes.data()].size;
    size = std::max(size, bytes.size());
  }
  const std::byte* end = nullptr;
  for (auto it = parts.begin(); it != parts.end(); ++it) {
    const auto next = std::next(it);
    const bool alone =
        it->first >= end && (next == parts.end() || it->first + it->second.size <= next->first);
    end = std::max(end, it->first + it->second.size);
    if (!alone) continue;
    const Bytes bytes(it->first, it->second.size);
    it->second.storage = std::shared_ptr<const void>(
        bytes.data(), [buffer, bytes](const void*) { buffer->discard(bytes); });
  }
  return parts;
}

}  // namespace

void keep_weights(std::span<const std::shared_ptr<FileBuffer>> buffers, Skeleton& skeleton) {
  for (const auto& buffer : buffers) {
    std::vector<std::pair<graph::Weight*, Tensor>> weights;
    std::vector<Bytes> bytes;
    for (graph::LayerId id = 0; id < skeleton.builder.peek().layers().size(); ++id) {
      for (graph::Weight& weight : skeleton.builder.layer(id).weights) {
        if (weight.value.empty()) continue;
        Tensor elements = weight.value.elements();
        if (!buffer->contains(elements.bytes())) continue;
        bytes.push_back(elements.bytes());
        weights.emplace_back(&weight, std::move(elements));
      }
    }
    buffer->keep_only(bytes);
    const std::map<const std::byte*, Part> parts = parts_of(std::move(bytes), buffer);
    for (const auto& [weight, elements] : weights) {
      const Part& part = parts.at(elements.data());
      if (part.storage == nullptr) continue;
      weight->value =
          Tensor(elements.dtype(), elements.shape(), part.storage, elements.byte_size());
    }
  }
}

}  // namespace kerf::formats
