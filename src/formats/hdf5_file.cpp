#include "formats/hdf5_file.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "formats/hdf5_lock.h"
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

[[noreturn]] void damaged(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kInvalidFile, what, where);
}

// The library follows soft and external links by itself; a model file has neither.
void require_hard_links(hid_t file, const std::string& path, const std::string& where) {
  std::size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    if (part.empty() || part == "/") continue;
    H5L_info_t info;
    if (H5Lget_info(file, part.c_str(), &info, H5P_DEFAULT) < 0) {
      damaged(where, fmt::format("'{}' is missing", path));
    }
    if (info.type != H5L_TYPE_HARD) {
      damaged(where,
              fmt::format("'{}' is a soft or external link, which kerf does not follow", part));
    }
  }
}

std::optional<DType> dtype_of(hid_t type) {
  const std::size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_FLOAT:
      if (size == 2) return DType::kFloat16;
      if (size == 4) return DType::kFloat32;
      if (size == 8) return DType::kFloat64;
      return std::nullopt;
    case H5T_INTEGER: {
      const bool is_signed = H5Tget_sign(type) != H5T_SGN_NONE;
      if (size == 1) return is_signed ? DType::kInt8 : DType::kUInt8;
      if (size == 2) return is_signed ? DType::kInt16 : DType::kUInt16;
      if (size == 4) return is_signed ? DType::kInt32 : DType::kUInt32;
      if (size == 8) return is_signed ? DType::kInt64 : DType::kUInt64;
      return std::nullopt;
    }
    case H5T_ENUM:
      return size == 1 ? std::optional(DType::kBool) : std::nullopt;
    case H5T_OPAQUE:  // how h5py stores bfloat16
      return size == 2 ? std::optional(DType::kBFloat16) : std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::mutex& hdf5_lock() {
  static std::mutex mutex;
  return mutex;
}

Hdf5File::Hdf5File(std::span<const std::byte> bytes, std::string where)
    : where_(std::move(where)), size_(bytes.size()) {
  const std::lock_guard lock(hdf5_lock());
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fapl_core(access, 1 << 20, 0);
  H5Pset_file_image(access, const_cast<std::byte*>(bytes.data()), bytes.size());
  file_ = H5Fopen("model", H5F_ACC_RDONLY, access);
  if (file_ < 0) damaged(where_, "this is not a readable HDF5 file; it may be truncated");
}

Hdf5File::~Hdf5File() {
  const std::lock_guard lock(hdf5_lock());
  if (file_ >= 0) H5Fclose(file_);
}

bool Hdf5File::has(const std::string& path) const {
  const std::lock_guard lock(hdf5_lock());
  std::size_t end = 0;
  while (end != std::string::npos) {
    end = path.find('/', end + 1);
    if (H5Lexists(file_, path.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
  }
  return true;
}

std::vector<std::string> Hdf5File::children(const std::string& group) const {
  const std::lock_guard lock(hdf5_lock());
  if (group != "/") require_hard_links(file_, group, where_);
  const Handle id(H5Gopen2(file_, group.c_str(), H5P_DEFAULT), H5Gclose);
  if (!id.valid()) damaged(where_, fmt::format("'{}' is not a group", group));
  std::vector<std::string> names;
  const auto visit = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  hsize_t position = 0;
  if (H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, &position, visit, &names) < 0) {
    damaged(where_, fmt::format("the group '{}' is damaged", group));
  }
  return names;
}

std::vector<std::string> Hdf5File::strings(const std::string& object, const std::string& name,
                                           bool& present) const {
  const std::lock_guard lock(hdf5_lock());
  std::vector<std::string> result;
  present = H5Aexists_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
  if (!present) return result;
  const Handle attribute(
      H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const std::string place = fmt::format("the attribute '{}' of '{}'", name, object);
  if (!attribute.valid()) damaged(where_, place + " is damaged");
  const Handle type(H5Aget_type(attribute), H5Tclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  if (!type.valid() || !space.valid()) damaged(where_, place + " is damaged");
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (count == 0) return result;
  if (count < 0 || static_cast<std::size_t>(count) > size_) damaged(where_, place + " is damaged");
  if (H5Tget_class(type) != H5T_STRING) damaged(where_, place + " does not hold text");
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> pointers(static_cast<std::size_t>(count));
    const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (H5Aread(attribute, memory, pointers.data()) < 0) damaged(where_, place + " is damaged");
    for (char* pointer : pointers) result.emplace_back(pointer != nullptr ? pointer : "");
    H5Dvlen_reclaim(memory, space, H5P_DEFAULT, pointers.data());
    return result;
  }
  const std::size_t width = H5Tget_size(type);
  if (width == 0 || width > size_ || static_cast<std::size_t>(count) > size_ / width) {
    damaged(where_, place + " is damaged");
  }
  std::vector<char> buffer(width * static_cast<std::size_t>(count));
  if (H5Aread(attribute, type, buffer.data()) < 0) damaged(where_, place + " is damaged");
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const char* start = buffer.data() + i * width;
    result.emplace_back(start, strnlen(start, width));
  }
  return result;
}

std::optional<std::string> Hdf5File::text_attribute(const std::string& object,
                                                    const std::string& name) const {
  bool present = false;
  std::vector<std::string> values = strings(object, name, present);
  if (!present || values.empty()) return std::nullopt;
  return values.front();
}

std::optional<std::vector<std::string>> Hdf5File::text_array(const std::string& object,
                                                             const std::string& name) const {
  bool present = false;
  std::vector<std::string> values = strings(object, name, present);
  if (present) return values;
  for (std::size_t i = 0;; ++i) {
    const std::vector<std::string> chunk = strings(object, fmt::format("{}{}", name, i), present);
    if (!present) return i == 0 ? std::nullopt : std::optional(values);
    values.insert(values.end(), chunk.begin(), chunk.end());
  }
}

Tensor Hdf5File::dataset(const std::string& path) const {
  const std::lock_guard lock(hdf5_lock());
  require_hard_links(file_, path, where_);
  const Handle id(H5Dopen2(file_, path.c_str(), H5P_DEFAULT), H5Dclose);
  if (!id.valid()) damaged(where_, fmt::format("'{}' is not a dataset", path));
  const Handle creation(H5Dget_create_plist(id), H5Pclose);
  if (H5Pget_external_count(creation) > 0 || H5Pget_layout(creation) == H5D_VIRTUAL) {
    damaged(where_, fmt::format("'{}' keeps its data outside the file", path));
  }
  const Handle type(H5Dget_type(id), H5Tclose);
  const Handle space(H5Dget_space(id), H5Sclose);
  const auto dtype = type.valid() ? dtype_of(type) : std::nullopt;
  if (!dtype) damaged(where_, fmt::format("'{}' has a type that no weight has", path));
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || rank > static_cast<int>(Shape::kMaxRank)) {
    damaged(where_, fmt::format("'{}' has {} dimensions", path, rank));
  }
  std::array<hsize_t, Shape::kMaxRank> dims{};
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    if (dims[static_cast<std::size_t>(i)] > (std::size_t{1} << 40)) {
      damaged(where_, fmt::format("'{}' has a dimension of {}", path, dims[i]));
    }
    shape.push_back(static_cast<std::int64_t>(dims[static_cast<std::size_t>(i)]));
  }
  const auto count = static_cast<std::size_t>(shape.element_count());
  const std::size_t width = dtype_size(*dtype);
  // Compressed data may be larger than its file, but not a thousand times.
  if (count / 1000 > size_ / width) {
    damaged(where_, fmt::format("'{}' claims the shape {}, more than the file can hold", path,
                                shape.to_string()));
  }
  const bool native = H5Tget_class(type) == H5T_ENUM || H5Tget_class(type) == H5T_OPAQUE;
  std::shared_ptr<std::byte[]> storage(
      new (std::align_val_t{64}) std::byte[std::max<std::size_t>(count * width, 1)],
      [](std::byte* p) { ::operator delete[](p, std::align_val_t{64}); });
  const Handle memory(H5Tcopy(type), H5Tclose);
  if (!native) H5Tset_order(memory, H5T_ORDER_LE);
  if (count != 0 && H5Dread(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, storage.get()) < 0) {
    damaged(where_, fmt::format("the data of '{}' is damaged or truncated", path));
  }
  return {*dtype, shape, std::shared_ptr<const void>(storage, storage.get()), count * width};
}

}  // namespace kerf::formats
