#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kerf/error.h"
#include "serving/triton_config.h"

// The config.pbtxt of a Triton repository.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    kerf::serving::parse_triton_config({reinterpret_cast<const char*>(data), size});
  } catch (const kerf::Error&) {
    return 0;
  }
  return 0;
}
