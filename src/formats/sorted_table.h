#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kerf::formats {

// The entries of a table file in LevelDB's format, in the order of their keys: blocks of
// prefix-compressed keys, found through an index block, each with a check sum. Values are views
// into `file`. Throws Error(kInvalidFile) for whatever is damaged or contradictory,
// Error(kUnsupported) for compressed blocks, which TensorFlow does not write; `where` names it.
std::vector<std::pair<std::string, std::string_view>> read_sorted_table(std::string_view file,
                                                                        const std::string& where);

}  // namespace kerf::formats
