#include <cstddef>
#include <cstdint>
#include <cstring>

#include "formats/hdf5_file.h"
#include "formats/reader.h"
#include "fuzz/memory_file.h"
#include "kerf/error.h"

namespace {

using kerf::formats::Hdf5File;

template <typename Step>
void attempt(Step&& step) {
  try {
    step();
  } catch (const kerf::Error&) {  // one of the two right answers
  }
}

// Everything kerf asks of an HDF5 file, of every object in it.
void walk(const Hdf5File& file, const std::string& path, int depth, int& budget) {
  if (depth > 10 || --budget < 0) return;
  const std::string here = path.empty() ? "/" : path;
  attempt([&] { file.text_attribute(here, "name"); });
  attempt([&] { file.text_attribute(here, "model_config"); });
  attempt([&] { file.text_array(here, "weight_names"); });
  attempt([&] { file.text_array(here, "layer_names"); });
  if (!path.empty()) {
    attempt([&] {
      const kerf::Tensor tensor = file.dataset(path);
      std::uint8_t sum = 0;
      for (const std::byte byte : tensor.bytes()) sum += static_cast<std::uint8_t>(byte);
      volatile std::uint8_t used = sum;
      static_cast<void>(used);
    });
  }
  attempt([&] {
    for (const std::string& child : file.children(here)) {
      if (child.empty() || child.find('/') != std::string::npos) continue;
      walk(file, path + "/" + child, depth + 1, budget);
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  attempt([&] {
    const auto buffer = std::make_shared<kerf::formats::FileBuffer>(size);
    std::memcpy(buffer->data(), data, size);
    const Hdf5File file(buffer, "fuzz");
    int budget = 200;
    walk(file, "", 0, budget);
  });
  const kerf::fuzz::MemoryFile file(data, size);
  kerf::formats::problems(file.path());
  return 0;
}
