#include "formats/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "formats/foreign.h"
#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"
#include "formats/json.h"
#include "formats/keep_weights.h"
#include "formats/members.h"
#include "formats/old_dialect.h"
#include "formats/old_weights.h"
#include "formats/problems.h"
#include "formats/saved_model.h"
#include "formats/saved_tables.h"
#include "formats/tfjs.h"
#include "formats/vocabularies.h"
#include "formats/weight_files.h"
#include "formats/weight_store.h"
#include "formats/weights.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;
using Progress = std::function<void(double)>;

constexpr std::uint64_t kMaxText = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxWeights = std::uint64_t{1} << 48;
constexpr std::uint64_t kMaxProto = std::uint64_t{2} << 30;  // what Protocol Buffers allow
constexpr const char* kConfig = "config.json";
constexpr const char* kMetadata = "metadata.json";
constexpr const char* kWeights = "model.weights.h5";
constexpr const char* kOldWeights = "variables.h5";  // of TensorFlow 2.11
constexpr const char* kWeightIndex = "model.weights.json";
constexpr const char* kHowToSave = "save the model with model.save('model.keras')";

const json::object& object(const json::value& value, const std::string& where) {
  if (!value.is_object()) throw Error(ErrorCode::kInvalidFile, "this is not a JSON object", where);
  return value.get_object();
}

std::shared_ptr<FileBuffer> read_whole(const std::filesystem::path& path, std::uint64_t limit) {
  const InputFile file(path);
  if (file.size() > limit) {
    throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", file.where());
  }
  return file.read_part(0, file.size(), {}).buffer;
}

Skeleton read_skeleton(const ModelSpec& model, KerasVersion version, Problems& problems) {
  for (std::string& reason : unknown_layers(model, problems.extensions().get())) {
    problems.add(Error(ErrorCode::kUnsupported, std::move(reason)));
  }
  return read_graph(model, version, problems);
}

KerasVersion archive_version(const Members& members, const std::string& where) {
  if (!members.has(kMetadata)) return {};
  const std::string here = fmt::format("{}, {}", where, kMetadata);
  const json::value parsed = parse_json(members.read(kMetadata, kMaxText, {})->text(), here);
  const json::value* version = object(parsed, here).if_contains("keras_version");
  return version != nullptr && version->is_string() ? parse_version(version->get_string())
                                                    : KerasVersion{};
}

// The weights of a `.keras` file: in one HDF5 file, or in several that an index lists.
void read_member_weights(const Members& members, const ModelSpec& model, Skeleton& skeleton,
                         Problems& problems, const Progress& progress) {
  const std::string& where = problems.where();
  std::vector<std::shared_ptr<FileBuffer>> buffers;
  const auto take = [&](const std::string& name) {
    buffers.push_back(
        members.read(name, kMaxWeights, [&](double share) { progress(0.9 * share); }));
    return buffers.back();
  };
  const char* name = members.has(kWeights) ? kWeights : kOldWeights;
  if (members.has(name)) {
    const Hdf5File file(take(name), fmt::format("{}, {}", where, name));
    read_keras3_weights(file, model, skeleton, problems);
  } else if (members.has(kWeightIndex)) {
    const std::string here = fmt::format("{}, {}", where, kWeightIndex);
    const ShardedWeights file(parse_json(members.read(kWeightIndex, kMaxText, {})->text(), here),
                              here, take);
    read_keras3_weights(file, model, skeleton, problems);
  } else {
    problems.add(Error(ErrorCode::kInvalidFile,
                       members.has("model.weights.npz")
                           ? "its weights are in model.weights.npz, as Python pickles, which can "
                             "run code and which neither kerf nor Keras loads"
                           : fmt::format("it has no {}", kWeights),
                       where));
  }
  keep_weights(buffers, skeleton);
}

// Null where there are problems: a graph with holes is none.
std::shared_ptr<const graph::Graph> read_archive(const Members& members, Problems& problems,
                                                 const Progress& progress) {
  const std::string& where = problems.where();
  const std::string config_where = fmt::format("{}, {}", where, kConfig);
  if (!members.has(kConfig)) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("it has no {}, so it is not a Keras model; {}", kConfig, kHowToSave),
                where);
  }
  const json::value config = parse_json(members.read(kConfig, kMaxText, {})->text(), config_where);
  ModelSpec model = read_spec(object(config, config_where), config_where);
  add_asset_vocabularies(
      model, members.assets(),
      [&](const std::string& name) {
        return std::string(members.read(name, kMaxText, {})->text());
      },
      problems);
  Skeleton skeleton = read_skeleton(model, archive_version(members, where), problems);
  read_member_weights(members, model, skeleton, problems, progress);
  return problems.empty() ? skeleton.builder.build() : nullptr;
}

// A model whose configuration is a text of its own, as model.to_json() gives it.
std::shared_ptr<const graph::Graph> read_apart(const json::value& text, const std::string& where,
                                               const std::filesystem::path& weights,
                                               Problems& problems, const Progress& progress) {
  const json::object& config = object(text, where);
  const ConfigAge age = age_of_config(config);
  const ModelSpec model = read_spec(translate_old_config(config, age.keras1, where), where);
  Skeleton skeleton = read_skeleton(model, age.version, problems);
  if (!problems.empty()) return nullptr;
  WeightFile(weights, [&](double share) {
    progress(0.9 * share);
  }).read(model, age.keras1, skeleton, problems);
  return problems.empty() ? skeleton.builder.build() : nullptr;
}

json::value read_text(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kMaxText) {
    throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", file.where());
  }
  json::value document =
      parse_json(file.read_part(0, file.size(), {}).buffer->text(), file.where());
  // The text of a JSON is sometimes written as a JSON itself.
  return document.is_string() ? parse_json(document.get_string(), file.where()) : document;
}

bool is_architecture(const json::value& document) {
  const json::object* object = document.if_object();
  return object != nullptr && object->contains("class_name") && object->contains("config");
}

// What was saved by save_weights(): the model's configuration must stand beside it.
std::shared_ptr<const graph::Graph> read_weights_alone(const std::filesystem::path& path,
                                                       Problems& problems,
                                                       const Progress& progress) {
  if (const auto config = config_beside(path)) {
    const json::value text = read_text(*config);
    if (is_architecture(text)) {
      return read_apart(text, config->string(), path, problems, progress);
    }
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("it holds weights without a model; put what model.to_json() gives beside "
                          "it as '{}.json', or {}",
                          path.stem().string(), kHowToSave),
              problems.where());
}

std::shared_ptr<const graph::Graph> read_hdf5(const std::filesystem::path& path,
                                              const InputFile& input, Problems& problems,
                                              const Progress& progress) {
  const auto buffer =
      input.read_part(0, input.size(), [&](double share) { progress(0.9 * share); }).buffer;
  const std::string& where = problems.where();
  std::optional<Skeleton> skeleton;
  {
    const Hdf5File file(buffer, where);
    const auto config = file.text_attribute("/", "model_config");
    if (!config) return read_weights_alone(path, problems, progress);
    const std::string config_where = where + ", attribute model_config";
    const json::value parsed = parse_json(*config, config_where);
    if (!file.has("/model_weights")) {
      throw Error(ErrorCode::kInvalidFile, "it has no group '/model_weights'", where);
    }
    const json::object& written = object(parsed, config_where);
    ConfigAge age = age_of_config(written);
    if (const auto version = file.text_attribute("/", "keras_version")) {
      // What Keras 1 computes is what the first Keras 2 does.
      age.keras1 = old_storage(file, "/model_weights", age.keras1).keras1;
      age.version = age.keras1 ? KerasVersion{2, 0} : parse_version(*version);
    }
    const ModelSpec model =
        read_spec(translate_old_config(written, age.keras1, config_where), config_where);
    skeleton.emplace(read_skeleton(model, age.version, problems));
    if (problems.empty())
      read_legacy_weights(file, "/model_weights", model, age.keras1, *skeleton, problems);
  }
  keep_weights({&buffer, 1}, *skeleton);
  return problems.empty() ? skeleton->builder.build() : nullptr;
}

std::shared_ptr<const graph::Graph> read_saved_model(const std::filesystem::path& folder,
                                                     Problems& problems, const Progress& progress) {
  const SavedModelConfig config = read_saved_model_config(folder);
  ModelSpec model = read_spec(config.model, problems.where());
  if (lacks_vocabulary(model)) {
    const auto objects = read_whole(folder / "saved_model.pb", kMaxProto);
    add_table_vocabularies(
        model, objects->text(), fmt::format("{}, saved_model.pb", problems.where()),
        [&](const std::string& name) {
          // Files lie in one folder; a path that leads elsewhere is no honest name.
          return std::string(
              read_whole(folder / "assets" / std::filesystem::path(name).filename(), kMaxText)
                  ->text());
        },
        problems);
  }
  Skeleton skeleton = read_skeleton(model, config.version, problems);
  if (!problems.empty()) return nullptr;
  TensorBundle bundle(folder / "variables" / "variables",
                      [&](double share) { progress(0.9 * share); });
  read_checkpoint_weights(bundle, model, skeleton, problems);
  keep_weights(bundle.buffers(), skeleton);
  return problems.empty() ? skeleton.builder.build() : nullptr;
}

std::shared_ptr<const graph::Graph> read_tfjs(const json::value& document,
                                              const std::filesystem::path& file, Problems& problems,
                                              const Progress& progress) {
  const std::string where = file.string();
  const TfjsModel tfjs(document, where);
  const ModelSpec model = read_spec(translate_old_config(tfjs.config(), false, where), where);
  Skeleton skeleton = read_skeleton(model, tfjs.version(), problems);
  if (!problems.empty()) return nullptr;
  double shards_read = 0;
  tfjs.read_weights(
      [&](const std::string& path) {
        const InputFile shard(file.parent_path() / path);
        const double before = shards_read++;
        const auto count = static_cast<double>(tfjs.shard_count());
        return shard
            .read_part(0, shard.size(),
                       [&](double share) { progress(0.9 * (before + share) / count); })
            .buffer;
      },
      skeleton, problems);
  return problems.empty() ? skeleton.builder.build() : nullptr;
}

// A text: a model of TensorFlow.js, a configuration, or an index of weights, each with the other
// half of the model in files beside it.
std::shared_ptr<const graph::Graph> read_json(const std::filesystem::path& file,
                                              const std::filesystem::path& weights,
                                              Problems& problems, const Progress& progress) {
  const json::value document = read_text(file);
  if (TfjsModel::recognises(document)) return read_tfjs(document, file, problems, progress);
  if (ShardedWeights::recognises(document)) return read_weights_alone(file, problems, progress);
  const std::string where = file.string();
  if (!is_architecture(document)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("a JSON text, but no model's configuration; {}", kHowToSave), where);
  }
  const auto found = weights.empty() ? weights_beside(file) : std::optional(weights);
  if (!found) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("a model's configuration without its weights; put them beside it as "
                            "'{}.weights.h5', or {}",
                            file.stem().string(), kHowToSave),
                where);
  }
  return read_apart(document, where, *found, problems, progress);
}

// A folder that holds a model in one of the ways that Keras has for it.
std::shared_ptr<const graph::Graph> read_folder(const std::filesystem::path& folder,
                                                const std::filesystem::path& weights,
                                                Problems& problems, const Progress& progress) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / "saved_model.pb", ignored)) {
    return read_saved_model(folder, problems, progress);
  }
  const LooseMembers members(folder);
  if (members.has(kConfig) &&
      (members.has(kWeights) || members.has(kWeightIndex) || members.has(kMetadata))) {
    return read_archive(members, problems, progress);
  }
  for (const char* name : {"model.json", kConfig}) {
    if (members.has(name)) return read_json(folder / name, weights, problems, progress);
  }
  std::vector<std::filesystem::path> texts;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".json") texts.push_back(entry.path());
  }
  if (texts.size() == 1) return read_json(texts.front(), weights, problems, progress);
  const bool checkpoint = members.has("checkpoint");
  throw Error(
      checkpoint ? ErrorCode::kUnsupported : ErrorCode::kInvalidFile,
      fmt::format("{}; {}",
                  checkpoint
                      ? "the folder holds checkpoints, variables without a model"
                      : "the folder has no config.json, no model.json and no saved_model.pb, "
                        "so it is not a Keras model",
                  kHowToSave),
      folder.string());
}

// What is none of the files that kerf reads.
[[noreturn]] void refuse_foreign(const InputFile& file) {
  if (file.size() == 0) {
    throw Error(ErrorCode::kUnsupported, fmt::format("the file is empty; {}", kHowToSave),
                file.where());
  }
  std::vector<std::byte> head(std::min<std::uint64_t>(file.size(), 4096));
  std::vector<std::byte> tail(std::min<std::uint64_t>(file.size(), 8));
  file.read(0, head);
  file.read(file.size() - tail.size(), tail);
  throw Error(ErrorCode::kUnsupported,
              foreign_file(head, tail)
                  .value_or(fmt::format("neither a .keras file nor an HDF5 file; {}", kHowToSave)),
              file.where());
}

std::shared_ptr<const graph::Graph> read_any(const std::filesystem::path& path,
                                             const std::filesystem::path& weights,
                                             Problems& problems, const Progress& progress) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return read_folder(path, weights, problems, progress);
  }
  if (path.filename() == "saved_model.pb" || path.filename() == "keras_metadata.pb") {
    return read_saved_model(path.parent_path(), problems, progress);
  }
  const InputFile file(path);
  std::array<char, 4> magic{};
  if (file.size() >= magic.size()) file.read(0, std::as_writable_bytes(std::span(magic)));
  const std::string_view begin(magic.data(), magic.size());
  if (begin[0] == '{' || begin[0] == '"') return read_json(path, weights, problems, progress);
  if (!weights.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "weights are given apart for a model's configuration in JSON only", file.where());
  }
  // First, for a weights file in it may stand where HDF5 looks for its signature.
  if (begin != std::string_view("PK\x03\x04", 4)) {
    if (is_hdf5(file)) return read_hdf5(path, file, problems, progress);
    refuse_foreign(file);
  }
  const ZippedMembers members(file);
  if (!members.has(kConfig)) {
    if (const auto foreign = foreign_zip(members.archive())) {
      throw Error(ErrorCode::kUnsupported, *foreign, file.where());
    }
  }
  return read_archive(members, problems, progress);
}

}  // namespace

std::shared_ptr<const graph::Graph> read_model(const std::filesystem::path& file,
                                               const ReadOptions& options) {
  const auto progress = [&](double share) {
    if (options.progress) options.progress(share);
  };
  progress(0);
  Problems problems(file.string(), options.extensions);
  auto graph = read_any(file, options.weights, problems, progress);
  if (!problems.empty()) throw problems.all();
  progress(1);
  return graph;
}

std::vector<std::string> problems(const std::filesystem::path& file, const ReadOptions& options) {
  Problems found(file.string(), options.extensions);
  found.attempt([&] { read_any(file, options.weights, found, [](double) {}); });
  std::vector<std::string> messages;
  for (const Error& error : found.errors()) messages.emplace_back(error.what());
  return messages;
}

}  // namespace kerf::formats
