#include "formats/weight_files.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string>

#include "formats/json.h"
#include "formats/keep_weights.h"
#include "formats/saved_model.h"
#include "formats/weights.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxIndex = std::uint64_t{64} << 20;

// "model" of "model.weights.h5".
std::string stem_of(const fs::path& file) {
  std::string name = file.filename().string();
  for (const std::string_view end :
       {".weights.h5", ".weights.json", ".hdf5", ".h5", ".keras", ".json"}) {
    if (name.size() > end.size() && name.ends_with(end)) {
      name.resize(name.size() - end.size());
      break;
    }
  }
  return name;
}

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::optional<fs::path> first_of(const fs::path& folder, std::initializer_list<std::string> names) {
  for (const std::string& name : names) {
    if (is_file(folder / name)) return folder / name;
  }
  return std::nullopt;
}

bool ends_checkpoint(const InputFile& file) {
  static constexpr std::string_view kEnd("\x57\xfb\x80\x8b\x24\x75\x47\xdb", 8);
  std::array<std::byte, 8> tail{};
  if (file.size() < 48) return false;
  file.read(file.size() - tail.size(), tail);
  return std::memcmp(tail.data(), kEnd.data(), kEnd.size()) == 0;
}

}  // namespace

bool is_hdf5(const InputFile& file) {
  static constexpr std::string_view kMagic("\x89HDF\r\n\x1a\n", 8);
  for (const std::uint64_t at : {0, 512, 1024, 2048, 4096}) {
    std::array<std::byte, 8> magic{};
    if (file.size() < at + magic.size()) return false;
    file.read(at, magic);
    if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) == 0) return true;
  }
  return false;
}

WeightFile::WeightFile(const fs::path& path, const std::function<void(double)>& progress)
    : progress_(progress) {
  fs::path index = path;
  if (!is_file(path) && is_file(path.string() + ".index")) index += ".index";
  const InputFile file(index);
  if (is_hdf5(file)) {
    hdf5_ = std::make_unique<Hdf5File>(take(index), file.where());
  } else if (ends_checkpoint(file)) {
    checkpoint_ = std::make_unique<TensorBundle>(index.replace_extension(), progress_);
  } else {
    std::array<std::byte, 1> first{};
    if (file.size() != 0) file.read(0, first);
    if (first[0] != std::byte{'{'} || file.size() > kMaxIndex) {
      throw Error(ErrorCode::kUnsupported,
                  "it holds no weights of Keras: neither HDF5, nor the index of sharded weights, "
                  "nor that of a checkpoint",
                  file.where());
    }
    const auto text = file.read_part(0, file.size(), {}).buffer;
    shards_ = std::make_unique<ShardedWeights>(
        parse_json(text->text(), file.where()), file.where(),
        [&](const std::string& name) { return take(index.parent_path() / name); });
  }
}

std::shared_ptr<FileBuffer> WeightFile::take(const fs::path& path) {
  const InputFile file(path);
  buffers_.push_back(file.read_part(0, file.size(), progress_).buffer);
  return buffers_.back();
}

void WeightFile::read(const ModelSpec& model, bool keras1, Skeleton& skeleton, Problems& problems) {
  if (checkpoint_) {
    read_checkpoint_weights(*checkpoint_, model, skeleton, problems);
    keep_weights(checkpoint_->buffers(), skeleton);
  } else if (shards_) {
    read_keras3_weights(*shards_, model, skeleton, problems);
  } else if (hdf5_->has("/model_weights")) {
    read_legacy_weights(*hdf5_, "/model_weights", model, keras1, skeleton, problems);
  } else if (hdf5_->text_array("/", "layer_names")) {
    read_legacy_weights(*hdf5_, "", model, keras1, skeleton, problems);
  } else {
    read_keras3_weights(*hdf5_, model, skeleton, problems);
  }
  keep_weights(buffers_, skeleton);
}

std::optional<fs::path> weights_beside(const fs::path& config) {
  const fs::path folder = config.parent_path();
  const std::string stem = stem_of(config);
  if (auto named = first_of(folder, {stem + ".weights.h5", stem + ".weights.json", stem + ".h5",
                                     stem + ".hdf5", stem + "_weights.h5", stem + "_weights.hdf5",
                                     "model.weights.h5", "model.weights.json"})) {
    return named;
  }
  std::optional<fs::path> only;
  std::error_code failed;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(folder.empty() ? fs::path(".") : folder, failed)) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h5" && extension != ".hdf5") continue;
    if (only) return std::nullopt;
    only = entry.path();
  }
  return only;
}

std::optional<fs::path> config_beside(const fs::path& weights) {
  const fs::path folder = weights.parent_path();
  const std::string stem = stem_of(weights);
  std::string shorter = stem;
  for (const std::string_view end : {"_weights", "-weights", "weights"}) {
    if (shorter.ends_with(end)) {
      shorter.resize(shorter.size() - end.size());
      break;
    }
  }
  return first_of(folder, {stem + ".json", shorter + ".json", stem + "_config.json", "config.json",
                           "model.json", "model_config.json", "architecture.json"});
}

}  // namespace kerf::formats
