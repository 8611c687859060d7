#include "formats/reader.h"

#include <fmt/format.h>

#include <cstring>

#include "formats/archive.h"
#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"
#include "formats/json.h"
#include "formats/weights.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;

std::string_view text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const json::object& object(const json::value& value, const std::string& where) {
  if (!value.is_object()) throw Error(ErrorCode::kInvalidFile, "this is not a JSON object", where);
  return value.get_object();
}

void refuse_unknown(const ModelSpec& model, const std::string& where) {
  const std::vector<std::string> unknown = unknown_layers(model);
  if (unknown.empty()) return;
  std::string list;
  for (const std::string& reason : unknown) list += (list.empty() ? "" : "; ") + reason;
  throw Error(ErrorCode::kUnsupported, list, where);
}

std::shared_ptr<const graph::Graph> read_archive(const Archive& archive, const std::string& where) {
  const auto config = archive.members.find("config.json");
  if (config == archive.members.end()) {
    throw Error(ErrorCode::kInvalidFile, "it has no config.json, so it is not a Keras model",
                where);
  }
  const json::value parsed = parse_json(text(config->second), where + ", config.json");
  const ModelSpec model = read_spec(object(parsed, where + ", config.json"), where);
  refuse_unknown(model, where);
  KerasVersion version;
  if (const auto metadata = archive.members.find("metadata.json");
      metadata != archive.members.end()) {
    const json::value values = parse_json(text(metadata->second), where + ", metadata.json");
    const json::value* written = object(values, where).if_contains("keras_version");
    if (written != nullptr && written->is_string()) version = parse_version(written->get_string());
  }
  Skeleton skeleton = read_graph(model, version, where);
  const auto weights = archive.members.find("model.weights.h5");
  if (weights == archive.members.end()) {
    throw Error(ErrorCode::kInvalidFile, "it has no model.weights.h5", where);
  }
  read_keras3_weights(Hdf5File(weights->second, where + ", model.weights.h5"), model, skeleton);
  return skeleton.builder.build();
}

std::shared_ptr<const graph::Graph> read_hdf5(const std::vector<std::byte>& bytes,
                                              const std::string& where) {
  const Hdf5File file(bytes, where);
  const auto config = file.text_attribute("/", "model_config");
  if (!config) {
    throw Error(ErrorCode::kUnsupported,
                "it holds weights without a model; save the whole model with model.save()", where);
  }
  const json::value parsed = parse_json(*config, where + ", attribute model_config");
  const ModelSpec model = read_spec(object(parsed, where), where);
  refuse_unknown(model, where);
  const KerasVersion version =
      parse_version(file.text_attribute("/", "keras_version").value_or(""));
  Skeleton skeleton = read_graph(model, version, where);
  if (!file.has("/model_weights")) {
    throw Error(ErrorCode::kInvalidFile, "it has no group '/model_weights'", where);
  }
  read_legacy_weights(file, "/model_weights", model, skeleton);
  return skeleton.builder.build();
}

}  // namespace

std::shared_ptr<const graph::Graph> read_model(const std::filesystem::path& file,
                                               const ReadOptions& options) {
  const std::string where = file.string();
  const auto report = [&](double share) {
    if (options.progress) options.progress(share);
  };
  report(0);
  std::shared_ptr<const graph::Graph> graph;
  if (std::filesystem::is_directory(file)) {
    if (std::filesystem::exists(file / "saved_model.pb")) {
      throw Error(ErrorCode::kUnsupported,
                  "a TensorFlow SavedModel; save the model with model.save('model.keras')", where);
    }
    graph = read_archive(read_folder(file), where);
  } else {
    const std::vector<std::byte> bytes = read_file(file);
    report(0.3);
    static constexpr char kHdf5[] = "\x89HDF\r\n\x1a\n";
    if (bytes.size() >= 8 && std::memcmp(bytes.data(), kHdf5, 8) == 0) {
      graph = read_hdf5(bytes, where);
    } else if (bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\x03\x04", 4) == 0) {
      graph = read_archive(read_zip(bytes, where), where);
    } else {
      throw Error(ErrorCode::kUnsupported,
                  "neither a .keras file nor an HDF5 file; save the model with "
                  "model.save('model.keras')",
                  where);
    }
  }
  report(1);
  return graph;
}

std::vector<std::string> problems(const std::filesystem::path& file) {
  try {
    read_model(file);
  } catch (const Error& error) {
    return {error.what()};
  }
  return {};
}

}  // namespace kerf::formats
