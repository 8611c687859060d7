#include <cstddef>
#include <cstdint>

#include "formats/archive.h"
#include "formats/reader.h"
#include "fuzz/memory_file.h"
#include "kerf/error.h"

// Whole files through the reader, whatever they turn out to be; and every member of a zip, so that
// a wrong check sum of one does not hide the others.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const kerf::fuzz::MemoryFile file(data, size);
  kerf::formats::problems(file.path());
  try {
    const kerf::formats::InputFile input(file.path());
    const kerf::formats::Archive archive(input);
    for (const char* name : {"config.json", "metadata.json", "model.weights.h5"}) {
      try {
        archive.read(name, 1 << 26);
      } catch (const kerf::Error&) {  // one of the two right answers
      }
    }
  } catch (const kerf::Error&) {  // likewise
  }
  return 0;
}
