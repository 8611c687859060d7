#include "formats/reader.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "formats/archive.h"
#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"
#include "formats/json.h"
#include "formats/old_dialect.h"
#include "formats/old_weights.h"
#include "formats/problems.h"
#include "formats/saved_model.h"
#include "formats/tfjs.h"
#include "formats/weights.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;
using Progress = std::function<void(double)>;

constexpr std::uint64_t kMaxText = std::uint64_t{256} << 20;
constexpr std::uint64_t kMaxWeights = std::uint64_t{1} << 48;
constexpr const char* kConfig = "config.json";
constexpr const char* kMetadata = "metadata.json";
constexpr const char* kWeights = "model.weights.h5";
constexpr const char* kHowToSave = "save the model with model.save('model.keras')";

const json::object& object(const json::value& value, const std::string& where) {
  if (!value.is_object()) throw Error(ErrorCode::kInvalidFile, "this is not a JSON object", where);
  return value.get_object();
}

// The three files that a model is saved as, zipped or loose.
class Members {
 public:
  virtual ~Members() = default;
  virtual bool has(const std::string& name) const = 0;
  virtual std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                           const Progress& progress) const = 0;
};

class ZippedMembers final : public Members {
 public:
  explicit ZippedMembers(const InputFile& file) : archive_(file) {}
  bool has(const std::string& name) const override { return archive_.has(name); }
  std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                   const Progress& progress) const override {
    return archive_.read(name, limit, progress);
  }

 private:
  Archive archive_;
};

class LooseMembers final : public Members {
 public:
  explicit LooseMembers(std::filesystem::path folder) : folder_(std::move(folder)) {}
  bool has(const std::string& name) const override {
    std::error_code ignored;
    return std::filesystem::is_regular_file(folder_ / name, ignored);
  }
  std::shared_ptr<FileBuffer> read(const std::string& name, std::uint64_t limit,
                                   const Progress& progress) const override {
    const InputFile file(folder_ / name);
    if (file.size() > limit) {
      throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", file.where());
    }
    return file.read_part(0, file.size(), progress).buffer;
  }

 private:
  std::filesystem::path folder_;
};

// The memory that weights stand in (of a FileBuffer or a TensorBundle) may hold much that nobody
// needs, like an optimizer's state.
template <typename Buffer>
void keep_weights_only(Buffer& buffer, const Skeleton& skeleton) {
  std::vector<std::span<const std::byte>> parts;
  for (const graph::Layer& layer : skeleton.builder.peek().layers()) {
    for (const graph::Weight& weight : layer.weights) parts.push_back(weight.value.bytes());
  }
  buffer.keep_only(std::move(parts));
}

Skeleton read_skeleton(const ModelSpec& model, KerasVersion version, Problems& problems) {
  for (std::string& reason : unknown_layers(model)) {
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
  const ModelSpec model = read_spec(object(config, config_where), config_where);
  Skeleton skeleton = read_skeleton(model, archive_version(members, where), problems);
  if (!members.has(kWeights)) {
    problems.add(Error(ErrorCode::kInvalidFile,
                       members.has("model.weights.npz")
                           ? "its weights are in model.weights.npz, as Python pickles, which can "
                             "run code and which neither kerf nor Keras loads"
                           : fmt::format("it has no {}", kWeights),
                       where));
    return nullptr;
  }
  const auto buffer =
      members.read(kWeights, kMaxWeights, [&](double share) { progress(0.9 * share); });
  {
    const Hdf5File file(buffer, fmt::format("{}, {}", where, kWeights));
    read_keras3_weights(file, model, skeleton, problems);
  }
  keep_weights_only(*buffer, skeleton);
  return problems.empty() ? skeleton.builder.build() : nullptr;
}

std::shared_ptr<const graph::Graph> read_hdf5(const InputFile& input, Problems& problems,
                                              const Progress& progress) {
  const auto buffer =
      input.read_part(0, input.size(), [&](double share) { progress(0.9 * share); }).buffer;
  const std::string& where = problems.where();
  std::optional<Skeleton> skeleton;
  {
    const Hdf5File file(buffer, where);
    const auto config = file.text_attribute("/", "model_config");
    if (!config) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("it holds weights without a model; {}", kHowToSave), where);
    }
    const std::string config_where = where + ", attribute model_config";
    const json::value parsed = parse_json(*config, config_where);
    if (!file.has("/model_weights")) {
      throw Error(ErrorCode::kInvalidFile, "it has no group '/model_weights'", where);
    }
    const bool keras1 = old_storage(file, "/model_weights").keras1;
    const ModelSpec model = read_spec(
        translate_old_config(object(parsed, config_where), keras1, config_where), config_where);
    // What Keras 1 computes is what the first Keras 2 does.
    const KerasVersion version =
        keras1 ? KerasVersion{2, 0}
               : parse_version(file.text_attribute("/", "keras_version").value_or(""));
    skeleton.emplace(read_skeleton(model, version, problems));
    if (problems.empty()) read_legacy_weights(file, "/model_weights", model, *skeleton, problems);
  }
  keep_weights_only(*buffer, *skeleton);
  return problems.empty() ? skeleton->builder.build() : nullptr;
}

std::shared_ptr<const graph::Graph> read_saved_model(const std::filesystem::path& folder,
                                                     Problems& problems, const Progress& progress) {
  const SavedModelConfig config = read_saved_model_config(folder);
  const ModelSpec model = read_spec(config.model, problems.where());
  Skeleton skeleton = read_skeleton(model, config.version, problems);
  if (!problems.empty()) return nullptr;
  TensorBundle bundle(folder / "variables" / "variables",
                      [&](double share) { progress(0.9 * share); });
  read_checkpoint_weights(bundle, model, skeleton, problems);
  keep_weights_only(bundle, skeleton);
  return problems.empty() ? skeleton.builder.build() : nullptr;
}

// HDF5 files may begin with a block of the user's own, whose size is a power of two.
bool is_hdf5(const InputFile& file) {
  static constexpr char kMagic[] = "\x89HDF\r\n\x1a\n";
  for (const std::uint64_t at : {0, 512, 1024, 2048, 4096}) {
    std::array<std::byte, 8> magic{};
    if (file.size() < at + magic.size()) return false;
    file.read(at, magic);
    if (std::memcmp(magic.data(), kMagic, magic.size()) == 0) return true;
  }
  return false;
}

// A text: a model of TensorFlow.js, whose weights are in files beside it, or none that kerf reads.
std::shared_ptr<const graph::Graph> read_json(const InputFile& input,
                                              const std::filesystem::path& folder,
                                              Problems& problems, const Progress& progress) {
  const std::string& where = input.where();
  if (input.size() > kMaxText) {
    throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", where);
  }
  const auto buffer = input.read_part(0, input.size(), {}).buffer;
  const json::value document = parse_json(buffer->text(), where);
  if (!TfjsModel::recognises(document)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("a JSON text, such as a model's configuration without its weights; {}",
                            kHowToSave),
                where);
  }
  const TfjsModel tfjs(document, where);
  const ModelSpec model = read_spec(translate_old_config(tfjs.config(), false, where), where);
  Skeleton skeleton = read_skeleton(model, tfjs.version(), problems);
  if (!problems.empty()) return nullptr;
  double shards_read = 0;
  tfjs.read_weights(
      [&](const std::string& path) {
        const InputFile shard(folder / path);
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

std::shared_ptr<const graph::Graph> read_any(const std::filesystem::path& path, Problems& problems,
                                             const Progress& progress) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    if (std::filesystem::exists(path / "saved_model.pb", ignored)) {
      return read_saved_model(path, problems, progress);
    }
    const std::filesystem::path tfjs = path / "model.json";
    if (!std::filesystem::exists(path / kConfig, ignored) &&
        std::filesystem::is_regular_file(tfjs, ignored)) {
      return read_json(InputFile(tfjs), path, problems, progress);
    }
    return read_archive(LooseMembers(path), problems, progress);
  }
  const InputFile file(path);
  if (file.size() == 0) {
    throw Error(ErrorCode::kUnsupported, fmt::format("the file is empty; {}", kHowToSave),
                file.where());
  }
  if (is_hdf5(file)) return read_hdf5(file, problems, progress);
  std::array<std::byte, 4> magic{};
  if (file.size() >= magic.size()) file.read(0, magic);
  if (magic[0] == std::byte{'{'}) return read_json(file, path.parent_path(), problems, progress);
  if (std::memcmp(magic.data(), "PK\x03\x04", 4) != 0) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("neither a .keras file nor an HDF5 file; {}", kHowToSave),
                file.where());
  }
  return read_archive(ZippedMembers(file), problems, progress);
}

}  // namespace

std::shared_ptr<const graph::Graph> read_model(const std::filesystem::path& file,
                                               const ReadOptions& options) {
  const auto progress = [&](double share) {
    if (options.progress) options.progress(share);
  };
  progress(0);
  Problems problems(file.string());
  auto graph = read_any(file, problems, progress);
  if (!problems.empty()) throw problems.all();
  progress(1);
  return graph;
}

std::vector<std::string> problems(const std::filesystem::path& file) {
  Problems found(file.string());
  found.attempt([&] { read_any(file, found, [](double) {}); });
  std::vector<std::string> messages;
  for (const Error& error : found.errors()) messages.emplace_back(error.what());
  return messages;
}

}  // namespace kerf::formats
