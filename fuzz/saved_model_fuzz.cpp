#include "formats/saved_model.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/crc32c.h"
#include "kerf/error.h"

namespace {

template <typename Step>
void attempt(Step&& step) {
  try {
    step();
  } catch (const kerf::Error&) {  // one of the two right answers
  }
}

using kerf::formats::Crc32c;

void put_fixed(std::string& to, std::uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i) to += static_cast<char>(value >> (8 * i));
}

void put_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7U) to += static_cast<char>(value | 0x80U);
  to += static_cast<char>(value);
}

// Appends a block with a true check sum; returns its handle.
std::string put_block(std::string& file, std::string_view contents) {
  std::string handle;
  put_varint(handle, file.size());
  put_varint(handle, contents.size());
  file.append(contents).append(1, '\0');
  put_fixed(file, Crc32c().add(contents).add(std::string_view("\0", 1)).masked(), 4);
  return handle;
}

// An index of variables whose only block these bytes are: check sums stop the fuzzer otherwise.
std::string table_of(std::string_view block) {
  std::string file;
  const std::string handle = put_block(file, block);
  std::string index{'\0', '\1', static_cast<char>(handle.size()), 'z'};
  index += handle;
  put_fixed(index, 0, 4);
  put_fixed(index, 1, 4);
  std::string footer = handle + put_block(file, index);
  footer.resize(40);
  put_fixed(footer, 0xdb4775248b80fb57U, 8);
  return file + footer;
}

}  // namespace

// Every part of a SavedModel that kerf reads: the metadata in both places, the graph of objects,
// the index of the variables.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kerf::formats;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto read = [](const SavedModelConfig& config) { read_spec(config.model, "fuzz"); };
  attempt([&] { read(read_keras_metadata(bytes, "fuzz")); });
  attempt([&] { read(read_saved_model_proto(bytes, "fuzz")); });
  attempt([&] { read_bundle_index(bytes, "fuzz"); });
  attempt([&] { read_bundle_index(table_of(bytes), "fuzz"); });
  attempt([&] {
    const ObjectGraph objects(bytes, "fuzz");
    if (objects.root() == ObjectGraph::kNone) return;
    const ObjectGraph::Node layer = objects.child(objects.root(), "layer-0");
    if (layer != ObjectGraph::kNone) objects.key(layer);
  });
  return 0;
}
