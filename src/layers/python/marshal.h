#pragma once

#include <memory>
#include <string_view>

#include "layers/python/object.h"

namespace kerf::layers::python {

// Reads a code object from what marshal.dumps() of any Python from 2.7 on makes of it. The bytes
// are data: nothing is imported, looked up or run. Sizes are checked before they are allocated.
// Throws Error(kInvalidFile) for bytes that are no code object.
std::shared_ptr<const Code> read_code(std::string_view bytes);

}  // namespace kerf::layers::python
