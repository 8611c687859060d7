#include "tests/formats/small_model.h"

#include <zlib.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <numeric>

namespace kerf::test {
namespace {

template <typename T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

}  // namespace

std::uint32_t crc_of(const std::string& data) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

std::string raw_zip(const std::vector<RawMember>& members) {
  std::string file;
  std::string directory;
  for (const RawMember& member : members) {
    const bool lies = member.size != ~0ULL;
    const auto size = static_cast<std::uint32_t>(lies ? member.size : member.data.size());
    const std::uint32_t crc = lies || member.wrong_crc ? member.crc : crc_of(member.data);
    const auto offset = static_cast<std::uint32_t>(file.size());
    const auto common = [&](std::string& to, const std::string& name) {
      put<std::uint16_t>(to, 20);
      put(to, member.flags);
      put(to, member.method);
      put<std::uint32_t>(to, 0);
      put(to, crc);
      put(to, static_cast<std::uint32_t>(member.data.size()));
      put(to, size);
      put(to, static_cast<std::uint16_t>(name.size()));
      put<std::uint16_t>(to, 0);
    };
    const std::string& local = member.local_name.empty() ? member.name : member.local_name;
    put<std::uint32_t>(file, 0x04034b50);
    common(file, local);
    file += local + member.data;
    put<std::uint32_t>(directory, 0x02014b50);
    put<std::uint16_t>(directory, 20);
    common(directory, member.name);
    directory.append(10, '\0');
    put(directory, offset);
    directory += member.name;
  }
  const auto start = static_cast<std::uint32_t>(file.size());
  file += directory;
  put<std::uint32_t>(file, 0x06054b50);
  put<std::uint32_t>(file, 0);
  put(file, static_cast<std::uint16_t>(members.size()));
  put(file, static_cast<std::uint16_t>(members.size()));
  put(file, static_cast<std::uint32_t>(directory.size()));
  put(file, start);
  put<std::uint16_t>(file, 0);
  return file;
}

std::string deflated(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

boost::json::object small_config() {
  return boost::json::parse(R"({
    "module": "keras.src.models.functional", "class_name": "Functional",
    "registered_name": "Functional",
    "config": {"name": "small", "trainable": true,
      "layers": [
        {"module": "keras.layers", "class_name": "InputLayer", "name": "x",
         "config": {"batch_shape": [null, 4], "dtype": "float32", "name": "x"},
         "registered_name": null, "inbound_nodes": []},
        {"module": "keras.layers", "class_name": "Dense", "name": "d",
         "config": {"name": "d", "units": 3, "activation": "relu", "use_bias": true},
         "registered_name": null,
         "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config":
            {"shape": [null, 4], "dtype": "float32", "keras_history": ["x", 0, 0]}}],
            "kwargs": {}}]},
        {"module": "keras.layers", "class_name": "Dense", "name": "e",
         "config": {"name": "e", "units": 2, "activation": "linear", "use_bias": true},
         "registered_name": null,
         "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config":
            {"shape": [null, 3], "dtype": "float32", "keras_history": ["d", 0, 0]}}],
            "kwargs": {}}]}],
      "input_layers": [["x", 0, 0]], "output_layers": [["e", 0, 0]]}})")
      .as_object();
}

boost::json::object& layer_at(boost::json::object& model, std::size_t n) {
  return model["config"].as_object()["layers"].as_array()[n].as_object();
}

boost::json::object& config_at(boost::json::object& model, std::size_t n) {
  return layer_at(model, n)["config"].as_object();
}

std::string small_weights(const std::function<void(formats::Hdf5Writer&)>& write) {
  formats::Hdf5Writer file;
  write(file);
  const std::vector<std::byte> bytes = file.finish();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string small_weights() {
  return small_weights([](formats::Hdf5Writer& file) {
    const auto add = [&](const std::string& path, const Shape& shape) {
      std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
      std::iota(values.begin(), values.end(), -2.0F);
      file.dataset(path, Tensor::floats(shape, values));
    };
    file.group("/layers/dense/vars", "d");
    add("/layers/dense/vars/0", {4, 3});
    add("/layers/dense/vars/1", {3});
    file.group("/layers/dense_1/vars", "e");
    add("/layers/dense_1/vars/0", {3, 2});
    add("/layers/dense_1/vars/1", {2});
  });
}

std::vector<RawMember> small_members(const boost::json::object& config,
                                     const std::string& weights) {
  return {{.name = "metadata.json", .data = R"({"keras_version": "3.16.0"})"},
          {.name = "config.json", .data = boost::json::serialize(config)},
          {.name = "model.weights.h5", .data = weights}};
}

}  // namespace kerf::test
