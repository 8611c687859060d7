# Writes the table of layer files: src/layers/keras/NAME.cpp and src/layers/ops/NAME.cpp define
# `void register_NAME(Registry&)` in kerf::layers. A new layer is a new file; nothing else changes.
if(TARGET kerf_layers)
  file(GLOB layer_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/layers/keras/*.cpp
       ${CMAKE_SOURCE_DIR}/src/layers/ops/*.cpp)
  set(declarations "")
  set(calls "")
  foreach(file ${layer_files})
    get_filename_component(name ${file} NAME_WE)
    string(APPEND declarations "void register_${name}(Registry& registry);\n")
    string(APPEND calls "  register_${name}(registry);\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/layer_table.cpp CONTENT
"#include \"layers/registry.h\"

namespace kerf::layers {

${declarations}
void register_all(Registry& registry);
void register_all(Registry& registry) {
${calls}}

}  // namespace kerf::layers
" @ONLY)
  target_sources(kerf_layers PRIVATE ${CMAKE_BINARY_DIR}/generated/layer_table.cpp)
endif()
