#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "formats/problems.h"
#include "layers/model_spec.h"

namespace kerf::formats {

// Puts the vocabularies that a SavedModel keeps beside the Keras metadata into the configurations
// of their layers (vocabularies.h): as constants that its lookup tables are filled with, or as text
// files below "assets". `saved_model` is what stands in saved_model.pb; `read_asset` gives the
// text of a file by its name. A layer whose table is not found is left as it is.
void add_table_vocabularies(layers::ModelSpec& model, std::string_view saved_model,
                            const std::string& where,
                            const std::function<std::string(const std::string&)>& read_asset,
                            Problems& problems);

// True if a layer of the model needs that.
bool lacks_vocabulary(const layers::ModelSpec& model);

}  // namespace kerf::formats
