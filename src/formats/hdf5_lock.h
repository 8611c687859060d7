#pragma once

#include <mutex>

namespace kerf::formats {

// Held around every use of the HDF5 library, which has global state.
std::mutex& hdf5_lock();

}  // namespace kerf::formats
