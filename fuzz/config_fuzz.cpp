#include <cstddef>
#include <cstdint>

#include "formats/graph_reader.h"
#include "formats/json.h"
#include "formats/old_dialect.h"
#include "graph/describe.h"
#include "kerf/error.h"

// A configuration, through every step up to a graph without weights.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kerf::formats;
  try {
    const auto parsed = parse_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (!parsed.is_object()) return 0;
    for (const bool keras1 : {false, true}) {
      try {
        read_spec(translate_old_config(parsed.get_object(), keras1, "fuzz"), "fuzz");
      } catch (const kerf::Error&) {  // one of the two right answers
      }
    }
    const ModelSpec model = read_spec(parsed.get_object(), "fuzz");
    unknown_layers(model);
    for (const KerasVersion version : {KerasVersion{2, 15}, KerasVersion{3, 16}}) {
      Problems problems("fuzz");
      Skeleton skeleton = read_graph(model, version, problems);
      if (problems.empty() && unknown_layers(model).empty()) {
        kerf::graph::describe_json(*skeleton.builder.build());
      }
    }
  } catch (const kerf::Error&) {  // likewise
  }
  return 0;
}
