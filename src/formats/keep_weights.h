#pragma once

#include <memory>
#include <span>

#include "formats/file_buffer.h"
#include "formats/graph_reader.h"

namespace kerf::formats {

// Once all weights are read: of the memory that files were read into, leaves what weights stand in
// (a file may hold much that nobody needs, like an optimizer's state), and gives each weight its
// part, whose pages go back to the system with the last tensor over it. Nothing else may read the
// buffers any more.
void keep_weights(std::span<const std::shared_ptr<FileBuffer>> buffers, Skeleton& skeleton);

}  // namespace kerf::formats
