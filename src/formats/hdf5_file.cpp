#include "formats/hdf5_file.h"

#include <fmt/format.h>
#include <hdf5.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <mutex>

#include "formats/archive.h"
#include "formats/hdf5_handle.h"
#include "formats/hdf5_lock.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

using Handle = Hdf5Handle;

[[noreturn]] void damaged(const std::string& where, const std::string& what) {
  throw Error(ErrorCode::kInvalidFile, what, where);
}

// The library asks for memory for a file image, to copy the caller's into it, several times over.
// Here every such request is answered with the caller's memory itself.
void* give_image(std::size_t, H5FD_file_image_op_t, void* image) { return image; }
void* keep_image(void* to, const void*, std::size_t, H5FD_file_image_op_t, void*) { return to; }
void* no_growth(void*, std::size_t, H5FD_file_image_op_t, void*) { return nullptr; }
herr_t leave_image(void*, H5FD_file_image_op_t, void*) { return 0; }
void* same_data(void* image) { return image; }
herr_t leave_data(void*) { return 0; }

bool is_hard_link(hid_t file, const std::string& path) {
  H5L_info_t info;
  return H5Lget_info(file, path.c_str(), &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD;
}

// The library follows soft and external links by itself; a model file has neither.
void require_hard_links(hid_t file, const std::string& path, const std::string& where) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (part != "/" && !is_hard_link(file, part)) {
      damaged(where,
              H5Lexists(file, part.c_str(), H5P_DEFAULT) > 0
                  ? fmt::format("'{}' is a soft or external link, which kerf does not follow", part)
                  : fmt::format("'{}' is missing", part));
    }
    if (end == std::string::npos) return;
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

// How the library names the type in this machine's memory, which is little-endian like the file
// nearly always is; bool and bfloat16 are bytes to it.
hid_t memory_type(DType dtype, hid_t stored) {
  switch (dtype) {
    case DType::kFloat32:
      return H5Tcopy(H5T_IEEE_F32LE);
    case DType::kFloat64:
      return H5Tcopy(H5T_IEEE_F64LE);
    default: {
      const hid_t type = H5Tcopy(stored);
      if (dtype != DType::kBool && dtype != DType::kBFloat16) H5Tset_order(type, H5T_ORDER_LE);
      return type;
    }
  }
}

}  // namespace

std::mutex& hdf5_lock() {
  static std::mutex mutex;
  return mutex;
}

Hdf5File::Hdf5File(std::shared_ptr<FileBuffer> buffer, std::string where)
    : buffer_(std::move(buffer)), where_(std::move(where)) {
  const std::lock_guard lock(hdf5_lock());
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  H5PLset_loading_state(0);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5FD_file_image_callbacks_t callbacks{.image_malloc = give_image,
                                        .image_memcpy = keep_image,
                                        .image_realloc = no_growth,
                                        .image_free = leave_image,
                                        .udata_copy = same_data,
                                        .udata_free = leave_data,
                                        .udata = buffer_->data()};
  H5Pset_fapl_core(access, 1 << 20, 0);
  H5Pset_file_image_callbacks(access, &callbacks);
  H5Pset_file_image(access, buffer_->data(), buffer_->bytes().size());
  // The library takes files in memory of one name for one file.
  const std::string name = fmt::format("image at {}", fmt::ptr(buffer_->data()));
  if (!buffer_->bytes().empty()) file_ = H5Fopen(name.c_str(), H5F_ACC_RDONLY, access);
  if (file_ < 0) damaged(where_, "this is not a readable HDF5 file; it may be truncated");
}

Hdf5File::~Hdf5File() {
  const std::lock_guard lock(hdf5_lock());
  H5Fclose(file_);
}

bool Hdf5File::has(const std::string& path) const {
  const std::lock_guard lock(hdf5_lock());
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (part != "/" && !is_hard_link(file_, part)) return false;
    if (end == std::string::npos) return true;
  }
}

std::vector<std::string> Hdf5File::children(const std::string& group) const {
  const std::lock_guard lock(hdf5_lock());
  require_hard_links(file_, group, where_);
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

std::optional<std::vector<std::string>> Hdf5File::strings(const std::string& object,
                                                          const std::string& name) const {
  const std::lock_guard lock(hdf5_lock());
  require_hard_links(file_, object, where_);
  const std::string place = fmt::format("the attribute '{}' of '{}'", name, object);
  const htri_t present = H5Aexists_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT);
  if (present < 0) damaged(where_, place + " is damaged");
  if (present == 0) return std::nullopt;
  const Handle attribute(
      H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!attribute.valid()) damaged(where_, place + " is damaged");
  const Handle type(H5Aget_type(attribute), H5Tclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  if (!type.valid() || !space.valid()) damaged(where_, place + " is damaged");
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  // An empty list of names is written as an empty array of whatever type.
  if (count == 0) return std::vector<std::string>{};
  const std::size_t size = buffer_->bytes().size();
  if (count < 0 || static_cast<std::size_t>(count) > size) damaged(where_, place + " is damaged");
  if (H5Tget_class(type) != H5T_STRING) damaged(where_, place + " does not hold text");
  std::vector<std::string> result;
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> pointers(static_cast<std::size_t>(count));
    const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    const bool good = H5Aread(attribute, memory, pointers.data()) >= 0;
    for (const char* pointer : pointers) result.emplace_back(pointer != nullptr ? pointer : "");
    H5Dvlen_reclaim(memory, space, H5P_DEFAULT, pointers.data());
    if (!good) damaged(where_, place + " is damaged");
    return result;
  }
  const std::size_t width = H5Tget_size(type);
  if (width == 0 || static_cast<std::size_t>(count) > size / width) {
    damaged(where_, place + " is damaged");
  }
  std::vector<char> text(width * static_cast<std::size_t>(count));
  if (H5Aread(attribute, type, text.data()) < 0) damaged(where_, place + " is damaged");
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const char* start = text.data() + i * width;
    result.emplace_back(start, strnlen(start, width));
  }
  return result;
}

std::optional<std::string> Hdf5File::text_attribute(const std::string& object,
                                                    const std::string& name) const {
  const auto values = strings(object, name);
  if (!values || values->empty()) return std::nullopt;
  return values->front();
}

std::optional<std::vector<std::string>> Hdf5File::text_array(const std::string& object,
                                                             const std::string& name) const {
  if (auto whole = strings(object, name)) return whole;
  std::optional<std::vector<std::string>> values;
  for (std::size_t i = 0;; ++i) {
    const auto chunk = strings(object, fmt::format("{}{}", name, i));
    if (!chunk) return values;
    if (!values) values.emplace();
    values->insert(values->end(), chunk->begin(), chunk->end());
  }
}

Tensor Hdf5File::dataset(const std::string& path) const {
  const std::lock_guard lock(hdf5_lock());
  require_hard_links(file_, path, where_);
  const Handle id(H5Dopen2(file_, path.c_str(), H5P_DEFAULT), H5Dclose);
  if (!id.valid()) damaged(where_, fmt::format("'{}' is not a dataset", path));
  const Handle creation(H5Dget_create_plist(id), H5Pclose);
  const H5D_layout_t layout = creation.valid() ? H5Pget_layout(creation) : H5D_LAYOUT_ERROR;
  if (layout != H5D_COMPACT && layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED) {
    damaged(where_, fmt::format("'{}' is a virtual dataset, which kerf does not follow", path));
  }
  if (H5Pget_external_count(creation) != 0) {
    damaged(where_, fmt::format("'{}' keeps its data in another file", path));
  }
  const Handle type(H5Dget_type(id), H5Tclose);
  const Handle space(H5Dget_space(id), H5Sclose);
  const auto dtype = type.valid() ? dtype_of(type) : std::nullopt;
  if (!dtype) damaged(where_, fmt::format("'{}' has a type that no weight has", path));
  const int rank = space.valid() ? H5Sget_simple_extent_ndims(space) : -1;
  if (rank < 0 || rank > static_cast<int>(Shape::kMaxRank)) {
    damaged(where_, fmt::format("'{}' has {} dimensions", path, rank));
  }
  std::array<hsize_t, Shape::kMaxRank> dims{};
  H5Sget_simple_extent_dims(space, dims.data(), nullptr);
  Shape shape;
  std::uint64_t bytes = dtype_size(*dtype);
  for (int i = 0; i < rank; ++i) {
    const std::uint64_t dim = dims[static_cast<std::size_t>(i)];
    // The library itself counts in 64 bits; so no product may exceed them, empty or not.
    if (dim > (std::uint64_t{1} << 48) ||
        __builtin_mul_overflow(bytes, std::max<std::uint64_t>(dim, 1), &bytes)) {
      damaged(where_, fmt::format("'{}' claims a shape too large for any file", path));
    }
    shape.push_back(static_cast<std::int64_t>(dim));
  }
  if (shape.element_count() == 0) return Tensor::copy_of(*dtype, shape, {});

  const std::uint64_t stored = H5Dget_storage_size(id);
  const bool claims_more =
      layout == H5D_CHUNKED ? stored == 0 || !credible_size(bytes, stored) : stored < bytes;
  if (claims_more || stored > buffer_->bytes().size()) {
    damaged(where_, fmt::format("'{}' has the shape {}, but the file holds {} bytes of it", path,
                                shape.to_string(), stored));
  }
  const Handle memory(memory_type(*dtype, type), H5Tclose);
  if (layout == H5D_CONTIGUOUS && H5Tequal(type, memory) > 0) {
    const haddr_t offset = H5Dget_offset(id);
    const std::uint64_t size = buffer_->bytes().size();
    if (offset == HADDR_UNDEF || offset > size || bytes > size - offset) {
      damaged(where_, fmt::format("the data of '{}' is missing or truncated", path));
    }
    if (offset % dtype_size(*dtype) == 0) {
      return {*dtype, shape, std::shared_ptr<const void>(buffer_, buffer_->data() + offset), bytes};
    }
    return Tensor::copy_of(*dtype, shape, buffer_->bytes().subspan(offset, bytes));
  }
  std::shared_ptr<FileBuffer> storage = std::make_shared<FileBuffer>(bytes);
  if (H5Dread(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, storage->data()) < 0) {
    damaged(where_, fmt::format("the data of '{}' is damaged or truncated", path));
  }
  return {*dtype, shape, std::shared_ptr<const void>(storage, storage->data()), bytes};
}

}  // namespace kerf::formats
