#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "formats/graph_reader.h"
#include "formats/json.h"
#include "formats/old_dialect.h"
#include "formats/tfjs.h"
#include "kerf/error.h"

// A model of TensorFlow.js: two bytes that say how much of the rest is JSON, then that, then what
// every shard holds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kerf::formats;
  if (size < 2) return 0;
  const std::size_t json_size = std::min<std::size_t>(data[0] | data[1] << 8U, size - 2);
  const char* text = reinterpret_cast<const char*>(data + 2);
  const auto shard = std::make_shared<FileBuffer>(size - 2 - json_size);
  if (json_size != size - 2) {
    std::memcpy(shard->data(), text + json_size, size - 2 - json_size);
  }
  try {
    const TfjsModel tfjs(parse_json({text, json_size}, "fuzz"), "fuzz");
    const ModelSpec model = read_spec(translate_old_config(tfjs.config(), false, "fuzz"), "fuzz");
    Problems problems("fuzz");
    Skeleton skeleton = read_graph(model, tfjs.version(), problems);
    tfjs.read_weights([&](const std::string&) { return shard; }, skeleton, problems);
    if (problems.empty() && unknown_layers(model).empty()) skeleton.builder.build();
  } catch (const kerf::Error&) {  // one of the two right answers
  }
  return 0;
}
