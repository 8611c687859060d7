#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "formats/problems.h"
#include "layers/model_spec.h"

namespace kerf::formats {

// Whether a class is one that looks tokens up in a vocabulary.
bool has_vocabulary(std::string_view class_name);

// Puts the vocabularies that a `.keras` file keeps as text files below "assets" into the
// configurations of their layers, where the layers themselves look for them: a layer is made before
// anything but its configuration is read. `names` are the members of the file, `read` gives the
// text of one. A layer without such a file is left as it is; its definition refuses it.
void add_asset_vocabularies(layers::ModelSpec& model, std::span<const std::string> names,
                            const std::function<std::string(const std::string&)>& read,
                            Problems& problems);

// One token a line, as Keras writes them, into the configuration of a layer. Throws
// Error(kInvalidFile) for a line that is no integer where the layer has integers.
void set_vocabulary(layers::LayerSpec& layer, std::string_view lines);

}  // namespace kerf::formats
