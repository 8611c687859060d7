# The libraries that libkerf is linked with. Included when kerf is built, and installed for
# kerfConfig.cmake, which includes it when a project uses the library.
find_package(Threads REQUIRED)
# FarmHash comes without a description of itself.
find_library(KERF_FARMHASH farmhash REQUIRED)
find_path(KERF_FARMHASH_INCLUDE farmhash.h REQUIRED)
if(NOT TARGET farmhash::farmhash)
  add_library(farmhash::farmhash UNKNOWN IMPORTED)
  set_target_properties(farmhash::farmhash PROPERTIES IMPORTED_LOCATION ${KERF_FARMHASH}
    INTERFACE_INCLUDE_DIRECTORIES ${KERF_FARMHASH_INCLUDE})
endif()
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(fmt REQUIRED)
find_package(PkgConfig REQUIRED)
# Debian's libzip CMake files want its command-line tools; pkg-config does not.
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(LIBDEFLATE REQUIRED IMPORTED_TARGET libdeflate)
pkg_check_modules(LIBISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)
