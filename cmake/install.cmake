# `cmake --install` puts in place the command, the static library with its public headers, and what
# find_package(kerf) needs to find the libraries that it stands on (see examples/embed).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(kerf_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kerf)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/kerfConfig.cmake.in
  ${CMAKE_BINARY_DIR}/kerfConfig.cmake INSTALL_DESTINATION ${kerf_config_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/kerfConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)

install(TARGETS kerf_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT command)
install(TARGETS kerf EXPORT kerfTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/kerf DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT library)
install(EXPORT kerfTargets NAMESPACE kerf:: DESTINATION ${kerf_config_dir} COMPONENT library)
install(FILES ${CMAKE_BINARY_DIR}/kerfConfig.cmake ${CMAKE_BINARY_DIR}/kerfConfigVersion.cmake
    ${CMAKE_CURRENT_LIST_DIR}/kerfDependencies.cmake
  DESTINATION ${kerf_config_dir} COMPONENT library)
