#include <cstddef>
#include <cstdint>
#include <span>

#include "kerf/error.h"
#include "tensor/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    kerf::parse_npy(std::as_bytes(std::span(data, size)), "fuzz");
  } catch (const kerf::Error&) {  // one of the two right answers
  }
  return 0;
}
