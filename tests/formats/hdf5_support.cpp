#include "tests/formats/hdf5_support.h"

#include "tests/formats/support.h"

namespace kerf::test {

std::string made_by_library(const std::function<void(hid_t file)>& make, Hdf5Age age) {
  const TemporaryFolder folder;
  const std::filesystem::path path = folder / "made.h5";
  const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (age == Hdf5Age::kLatest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  make(file);
  H5Fclose(file);
  H5Pclose(access);
  return read_text(path);
}

void make_groups(hid_t file, std::initializer_list<std::string> paths) {
  const hid_t creation = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(creation, 1);
  for (const std::string& path : paths) {
    H5Gclose(H5Gcreate2(file, path.c_str(), creation, H5P_DEFAULT, H5P_DEFAULT));
  }
  H5Pclose(creation);
}

void text_attribute(hid_t file, const std::string& object, const char* name,
                    const std::string& text) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, text.size() + 1);
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate_by_name(file, object.c_str(), name, type, space, H5P_DEFAULT,
                                            H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, text.c_str());
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void number_attribute(hid_t file, const std::string& object, const char* name) {
  const hid_t space = H5Screate(H5S_SCALAR);
  const hid_t attribute = H5Acreate_by_name(file, object.c_str(), name, H5T_NATIVE_INT, space,
                                            H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  const int value = 7;
  H5Awrite(attribute, H5T_NATIVE_INT, &value);
  H5Aclose(attribute);
  H5Sclose(space);
}

void text_array(hid_t file, const std::string& object, const char* name,
                const std::vector<std::string>& values, bool variable) {
  constexpr std::size_t kWidth = 40;
  std::string fixed;
  std::vector<const char*> pointers;
  for (const std::string& value : values) {
    pointers.push_back(value.c_str());
    fixed += value + std::string(kWidth - value.size(), '\0');
  }
  const hid_t type = H5Tcopy(H5T_C_S1);
  H5Tset_size(type, variable ? H5T_VARIABLE : kWidth);
  const hsize_t count = values.size();
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t attribute = H5Acreate_by_name(file, object.c_str(), name, type, space, H5P_DEFAULT,
                                            H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, variable ? static_cast<const void*>(pointers.data()) : fixed.data());
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void float_dataset(hid_t file, const std::string& path, const std::vector<hsize_t>& dims,
                   const std::vector<float>& values, hid_t type,
                   const std::function<void(hid_t)>& options) {
  const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  if (options) options(creation);
  const hid_t dataset = H5Dcreate2(file, path.c_str(), type, space, links, creation, H5P_DEFAULT);
  if (!values.empty()) {
    H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  }
  H5Dclose(dataset);
  H5Pclose(creation);
  H5Pclose(links);
  H5Sclose(space);
}

}  // namespace kerf::test
