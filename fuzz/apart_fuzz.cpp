#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "formats/foreign.h"
#include "formats/hdf5_file.h"
#include "formats/json.h"
#include "formats/keras3_dialect.h"
#include "formats/old_dialect.h"
#include "formats/weight_store.h"
#include "formats/weights.h"
#include "kerf/error.h"

namespace {

using namespace kerf::formats;

template <typename Step>
void attempt(Step&& step) {
  try {
    step();
  } catch (const kerf::Error&) {  // one of the two right answers
  }
}

std::shared_ptr<FileBuffer> buffer_of(const std::uint8_t* data, std::size_t size) {
  auto buffer = std::make_shared<FileBuffer>(size);
  if (size != 0) std::memcpy(buffer->data(), data, size);
  return buffer;
}

// A model's configuration with weights in a file of their own, and how both would be written.
void read_apart(const boost::json::object& config, const std::shared_ptr<FileBuffer>& weights) {
  const ConfigAge age = age_of_config(config);
  const ModelSpec model = read_spec(translate_old_config(config, age.keras1, "fuzz"), "fuzz");
  const Hdf5File file(weights, "fuzz");
  for (const bool legacy : {false, true}) {
    Problems problems("fuzz");
    Skeleton skeleton = read_graph(model, age.version, problems);
    if (legacy) {
      read_legacy_weights(file, "", model, age.keras1, skeleton, problems);
    } else {
      read_keras3_weights(file, model, skeleton, problems);
    }
    for (const kerf::graph::Layer& layer : skeleton.builder.peek().layers()) {
      attempt([&] { keras3_layer(layer); });
    }
  }
}

}  // namespace

// Two bytes that say how much of the rest is JSON, then that, then a file of weights: a
// configuration or an index of weights, and what stands beside it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto all = std::as_bytes(std::span(data, size));
  foreign_file(all.first(std::min<std::size_t>(size, 4096)),
               all.last(std::min<std::size_t>(size, 8)));
  if (size < 2) return 0;
  const std::size_t json_size = std::min<std::size_t>(data[0] | data[1] << 8U, size - 2);
  const auto weights = buffer_of(data + 2 + json_size, size - 2 - json_size);
  attempt([&] {
    const boost::json::value document =
        parse_json({reinterpret_cast<const char*>(data + 2), json_size}, "fuzz");
    if (ShardedWeights::recognises(document)) {
      const ShardedWeights store(document, "fuzz", [&](const std::string&) { return weights; });
      for (const std::string& child : store.children("/layers")) {
        attempt([&] { store.text_attribute("/layers/" + child + "/vars", "name"); });
        attempt([&] { store.dataset("/layers/" + child + "/vars/0"); });
      }
    } else if (document.is_object()) {
      read_apart(document.get_object(), weights);
    }
  });
  return 0;
}
