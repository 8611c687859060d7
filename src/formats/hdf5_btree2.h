#pragma once

#include <functional>

#include "formats/hdf5_object.h"

namespace kerf::formats::hdf5 {

// Calls `visit` with every record of the B-tree of version 2 at `address`, in the order of its
// keys. The tree must be of kind `type` (format specification, III.A.2); records have the size that
// its header says. Throws Damaged, and what `visit` throws.
void for_each_record(const Image& image, std::uint64_t address, std::uint8_t type,
                     const std::function<void(Cursor record)>& visit);

}  // namespace kerf::formats::hdf5
