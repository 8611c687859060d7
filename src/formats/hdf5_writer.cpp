#include "formats/hdf5_writer.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <array>
#include <mutex>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

// Closes an identifier of the library when it goes out of scope.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }
  bool valid() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

std::mutex& library_lock() {
  static std::mutex mutex;
  return mutex;
}

void require(bool good, const std::string& what) {
  if (!good) throw Error(ErrorCode::kInternal, fmt::format("HDF5 cannot write {}", what));
}

void text_attribute(hid_t object, const char* key, const std::string& text) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, H5T_VARIABLE);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(H5Acreate2(object, key, type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const char* pointer = text.c_str();
  require(attribute.valid() && H5Awrite(attribute, type, &pointer) >= 0, key);
}

// As h5py stores NumPy's types: IEEE half precision by its fields, bfloat16 as two opaque bytes,
// bool as an enumeration.
hid_t stored_type(DType dtype) {
  switch (dtype) {
    case DType::kBool: {
      const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
      for (const std::int8_t value : {std::int8_t{0}, std::int8_t{1}}) {
        H5Tenum_insert(type, value == 0 ? "FALSE" : "TRUE", &value);
      }
      return type;
    }
    case DType::kUInt8:
      return H5Tcopy(H5T_STD_U8LE);
    case DType::kUInt16:
      return H5Tcopy(H5T_STD_U16LE);
    case DType::kUInt32:
      return H5Tcopy(H5T_STD_U32LE);
    case DType::kUInt64:
      return H5Tcopy(H5T_STD_U64LE);
    case DType::kInt8:
      return H5Tcopy(H5T_STD_I8LE);
    case DType::kInt16:
      return H5Tcopy(H5T_STD_I16LE);
    case DType::kInt32:
      return H5Tcopy(H5T_STD_I32LE);
    case DType::kInt64:
      return H5Tcopy(H5T_STD_I64LE);
    case DType::kFloat16: {
      const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
      H5Tset_fields(type, 15, 10, 5, 0, 10);
      H5Tset_size(type, 2);
      H5Tset_ebias(type, 15);
      return type;
    }
    case DType::kBFloat16:
      return H5Tcreate(H5T_OPAQUE, 2);
    case DType::kFloat32:
      return H5Tcopy(H5T_IEEE_F32LE);
    case DType::kFloat64:
      return H5Tcopy(H5T_IEEE_F64LE);
    case DType::kString:
      break;
  }
  throw Error(ErrorCode::kUnsupported, "weights of strings cannot be written");
}

}  // namespace

Hdf5Writer::Hdf5Writer() {
  const std::lock_guard lock(library_lock());
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, std::size_t{1} << 20, 0);
  // The library takes files in memory of one name for one file.
  const std::string name = fmt::format("written by {}", fmt::ptr(this));
  file_ = H5Fcreate(name.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  require(file_ >= 0, "a file in memory");
}

Hdf5Writer::~Hdf5Writer() {
  const std::lock_guard lock(library_lock());
  H5Fclose(file_);
}

void Hdf5Writer::group(const std::string& path, const std::string& name) {
  const std::lock_guard lock(library_lock());
  const Handle creation(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(creation, 1);
  const bool exists = H5Lexists(file_, path.c_str(), H5P_DEFAULT) > 0;
  const Handle id(exists ? H5Gopen2(file_, path.c_str(), H5P_DEFAULT)
                         : H5Gcreate2(file_, path.c_str(), creation, H5P_DEFAULT, H5P_DEFAULT),
                  H5Gclose);
  require(id.valid(), path);
  if (!name.empty()) text_attribute(id, "name", name);
}

void Hdf5Writer::dataset(const std::string& path, const Tensor& tensor) {
  const std::lock_guard lock(library_lock());
  std::array<hsize_t, Shape::kMaxRank> dims{};
  for (std::size_t i = 0; i < tensor.shape().rank(); ++i) {
    dims[i] = static_cast<hsize_t>(tensor.shape()[i]);
  }
  const auto rank = static_cast<int>(tensor.shape().rank());
  const Handle space(
      rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, dims.data(), nullptr), H5Sclose);
  const Handle type(stored_type(tensor.dtype()), H5Tclose);
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation, false);  // one model, one file
  const Handle id(H5Dcreate2(file_, path.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                  H5Dclose);
  require(id.valid() && (tensor.byte_size() == 0 ||
                         H5Dwrite(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.data()) >= 0),
          path);
  if (tensor.dtype() == DType::kBFloat16) text_attribute(id, "dtype", "bfloat16");
}

std::vector<std::byte> Hdf5Writer::finish() {
  const std::lock_guard lock(library_lock());
  require(H5Fflush(file_, H5F_SCOPE_LOCAL) >= 0, "the file");
  const ssize_t size = H5Fget_file_image(file_, nullptr, 0);
  require(size > 0, "the file");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  require(H5Fget_file_image(file_, bytes.data(), bytes.size()) == size, "the file");
  return bytes;
}

}  // namespace kerf::formats
