#include "formats/hdf5_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "formats/archive.h"
#include "formats/hdf5_data.h"
#include "formats/hdf5_type.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

using hdf5::Damaged;
using hdf5::Unusual;

// "/a/b" -> {"a", "b"}
std::vector<std::string_view> parts_of(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const auto slash = path.find('/');
    if (slash != 0) parts.push_back(path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  }
  return parts;
}

// Little-endian, and bool as 0 and 1.
void normalise(const hdf5::Type& type, std::span<std::byte> data) {
  if (type.big_endian && type.size > 1) {
    for (std::size_t i = 0; i + type.size <= data.size(); i += type.size) {
      std::reverse(data.begin() + static_cast<std::ptrdiff_t>(i),
                   data.begin() + static_cast<std::ptrdiff_t>(i + type.size));
    }
  }
  if (type.dtype == DType::kBool) {
    for (std::byte& byte : data) byte = byte == std::byte{0} ? std::byte{0} : std::byte{1};
  }
}

std::shared_ptr<std::byte[]> storage_of(std::size_t bytes) {
  constexpr std::align_val_t kAlignment{64};
  return {new (kAlignment) std::byte[bytes],
          [](std::byte* data) { ::operator delete[](data, kAlignment); }};
}

}  // namespace

template <typename Step>
decltype(auto) Hdf5File::about(const std::string& place, Step&& step) const {
  const auto where = [&] { return place.empty() ? where_ : fmt::format("{}, {}", where_, place); };
  try {
    return step();
  } catch (const Damaged& damaged) {
    throw Error(ErrorCode::kInvalidFile, fmt::format("the HDF5 file is damaged: {}", damaged.what),
                where());
  } catch (const Unusual& unusual) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}; save the model again with Keras", unusual.what), where());
  }
}

Hdf5File::Hdf5File(std::shared_ptr<FileBuffer> buffer, std::string where)
    : buffer_(std::move(buffer)), where_(std::move(where)) {
  about("", [&] {
    image_.emplace(buffer_->bytes());
    object_at(image_->root());
  });
}

const hdf5::Object& Hdf5File::object_at(std::uint64_t address) const {
  const auto known = objects_.find(address);
  if (known != objects_.end()) return known->second;
  return objects_.emplace(address, hdf5::read_object(*image_, address)).first->second;
}

const hdf5::Object& Hdf5File::object(const std::string& path) const {
  return about(fmt::format("'{}'", path), [&]() -> const hdf5::Object& {
    const hdf5::Object* object = &object_at(image_->root());
    for (const std::string_view part : parts_of(path)) {
      const auto link = object->links.find(std::string(part));
      if (link == object->links.end()) throw Damaged{"it is missing"};
      if (link->second == hdf5::kUndefined) {
        throw Unusual{"it is a soft or external link, which kerf does not follow"};
      }
      object = &object_at(link->second);
    }
    return *object;
  });
}

bool Hdf5File::has(const std::string& path) const {
  return about(fmt::format("'{}'", path), [&] {
    const hdf5::Object* object = &object_at(image_->root());
    for (const std::string_view part : parts_of(path)) {
      const auto link = object->links.find(std::string(part));
      if (link == object->links.end()) return false;
      // There, but read() will refuse it.
      if (link->second == hdf5::kUndefined) return true;
      object = &object_at(link->second);
    }
    return true;
  });
}

std::vector<std::string> Hdf5File::children(const std::string& group) const {
  const hdf5::Object& found = object(group);
  std::vector<std::string> names;
  for (const auto& [name, address] : found.links) names.push_back(name);
  return names;
}

std::optional<std::vector<std::string>> Hdf5File::strings(const std::string& path,
                                                          const std::string& name) const {
  const hdf5::Object& found = object(path);
  return about(fmt::format("attribute '{}' of '{}'", name, path),
               [&]() -> std::optional<std::vector<std::string>> {
                 const auto attribute = found.attributes.find(name);
                 if (attribute != found.attributes.end()) {
                   return hdf5::read_strings(*image_, attribute->second);
                 }
                 return std::nullopt;
               });
}

std::optional<std::string> Hdf5File::text_attribute(const std::string& path,
                                                    const std::string& name) const {
  const auto values = strings(path, name);
  if (!values || values->empty()) return std::nullopt;
  return values->front();
}

std::optional<std::vector<std::string>> Hdf5File::text_array(const std::string& path,
                                                             const std::string& name) const {
  if (auto whole = strings(path, name)) return whole;
  std::optional<std::vector<std::string>> values;
  for (std::size_t i = 0;; ++i) {
    const auto chunk = strings(path, fmt::format("{}{}", name, i));
    if (!chunk) return values;
    if (!values) values.emplace();
    values->insert(values->end(), chunk->begin(), chunk->end());
  }
}

Tensor Hdf5File::dataset(const std::string& path) const {
  const hdf5::Object& found = object(path);
  return about(fmt::format("dataset '{}'", path), [&] { return read(found); });
}

Tensor Hdf5File::read(const hdf5::Object& object) const {
  using hdf5::MessageType;
  const hdf5::Message* type_message = object.find(MessageType::kTypeMessage);
  const hdf5::Message* space_message = object.find(MessageType::kSpaceMessage);
  const hdf5::Message* layout_message = object.find(MessageType::kLayoutMessage);
  if (object.group || type_message == nullptr || space_message == nullptr ||
      layout_message == nullptr) {
    throw Damaged{"it is not a dataset"};
  }
  if (object.find(MessageType::kExternalMessage) != nullptr) {
    throw Unusual{"it keeps its data in another file"};
  }
  if (type_message->shared || space_message->shared || layout_message->shared) {
    throw Unusual{"it has a shared type"};
  }
  const hdf5::Type type = hdf5::parse_type(type_message->data);
  if (type.kind != hdf5::Type::Kind::kNumber) throw Unusual{"it has a type that no weight has"};
  const hdf5::Space space = hdf5::parse_space(space_message->data);
  const std::vector<std::uint64_t>& dims = space.dims;
  if (dims.size() > Shape::kMaxRank) throw Unusual{"it has too many dimensions"};
  const auto count = hdf5::count_of(dims);
  if (!count) throw Damaged{"it claims a shape too large for any file"};
  Shape shape;
  for (const std::uint64_t dim : dims) shape.push_back(static_cast<std::int64_t>(dim));
  if (*count == 0) return Tensor::copy_of(type.dtype, shape, {});

  const std::uint64_t bytes = *count * type.size;
  if (!credible_size(bytes, buffer_->bytes().size())) {
    throw Damaged{"it claims a shape larger than the file can hold"};
  }
  const hdf5::Layout layout =
      hdf5::parse_layout(*image_, layout_message->data, bytes, dims.size(), type.size);
  const bool aligned = reinterpret_cast<std::uintptr_t>(layout.plain.data()) % type.size == 0;
  if (!layout.plain.empty() && aligned && !type.big_endian && type.dtype != DType::kBool) {
    return {type.dtype, shape, std::shared_ptr<const void>(buffer_, layout.plain.data()), bytes};
  }
  const auto storage = storage_of(bytes);
  const std::span<std::byte> data(storage.get(), bytes);
  if (layout.plain.empty()) {
    hdf5::read_chunks(*image_, layout, object.find(MessageType::kFilterMessage), type, space, data);
  } else {
    std::ranges::copy(layout.plain, data.begin());
  }
  normalise(type, data);
  return {type.dtype, shape, std::shared_ptr<const void>(storage, storage.get()), bytes};
}

}  // namespace kerf::formats
