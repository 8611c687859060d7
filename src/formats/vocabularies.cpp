#include "formats/vocabularies.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <charconv>
#include <map>
#include <vector>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;
using layers::LayerSpec;
using layers::ModelSpec;

using Read = std::function<std::string(const std::string&)>;

// The folder "text_vectorization_2" is number 2 of its class.
bool is_numbered(std::string_view folder, std::string_view base, std::uint32_t& number) {
  number = 0;
  if (folder == base) return true;
  if (!folder.starts_with(base) || folder[base.size()] != '_') return false;
  const char* end = folder.data() + folder.size();
  const auto [stop, error] = std::from_chars(folder.data() + base.size() + 1, end, number);
  return error == std::errc() && stop == end;
}

class AssetVocabularies {
 public:
  AssetVocabularies(std::span<const std::string> names, const Read& read, Problems& problems)
      : names_(names), read_(read), problems_(problems) {}

  void add(ModelSpec& model, const std::string& folder) {
    std::map<std::string, std::vector<LayerSpec*>> classes;
    for (LayerSpec& layer : model.layers) {
      if (layer.operation) continue;
      if (layer.model || has_vocabulary(layer.class_name)) {
        classes[layers::layer_folder(layer.class_name)].push_back(&layer);
      }
    }
    for (const auto& [base, found] : classes) {
      const std::map<std::uint32_t, std::string> folders = folders_of(folder, base);
      auto next = folders.begin();
      for (std::size_t i = 0; i < found.size(); ++i) {
        // Files of TensorFlow 2.12 and 2.13 skip numbers: then only their order tells.
        std::string name = i == 0 ? base : fmt::format("{}_{}", base, i);
        if (folders.size() == found.size()) name = (next++)->second;
        const std::string path = fmt::format("{}/layers/{}", folder, name);
        LayerSpec& layer = *found[i];
        if (layer.model) {
          add(*layer.model, path);
        } else if (!has_own(layer)) {
          problems_.attempt([&] { add_file(layer, path); });
        }
      }
    }
  }

 private:
  static bool has_own(const LayerSpec& layer) {
    const json::value* own = layer.config.if_contains("vocabulary");
    return own != nullptr && own->is_array();
  }

  // The folders of a class that hold anything, by number.
  std::map<std::uint32_t, std::string> folders_of(const std::string& folder,
                                                  const std::string& base) const {
    const std::string prefix = folder + "/layers/";
    std::map<std::uint32_t, std::string> folders;
    for (const std::string& name : names_) {
      if (!name.starts_with(prefix)) continue;
      const std::string_view rest = std::string_view(name).substr(prefix.size());
      const std::string_view child = rest.substr(0, rest.find('/'));
      std::uint32_t number = 0;
      if (is_numbered(child, base, number)) folders.emplace(number, child);
    }
    return folders;
  }

  // A TextVectorization's own file, and that of the StringLookup in it, are the same.
  void add_file(LayerSpec& layer, const std::string& path) {
    for (const char* inner : {"", "/_lookup_layer"}) {
      const std::string name = fmt::format("{}{}/vocabulary.txt", path, inner);
      if (std::ranges::find(names_, name) == names_.end()) continue;
      try {
        set_vocabulary(layer, read_(name));
      } catch (const Error& error) {
        throw error.within(fmt::format("{}, {}", problems_.where(), name));
      }
      return;
    }
  }

  std::span<const std::string> names_;
  const Read& read_;
  Problems& problems_;
};

}  // namespace

bool has_vocabulary(std::string_view class_name) {
  static constexpr std::array<std::string_view, 3> kClasses{"StringLookup", "IntegerLookup",
                                                            "TextVectorization"};
  return std::ranges::find(kClasses, class_name) != kClasses.end();
}

void set_vocabulary(LayerSpec& layer, std::string_view lines) {
  // The first token may well be the empty one; the last cannot.
  while (lines.ends_with('\n') || lines.ends_with('\r')) lines.remove_suffix(1);
  json::array tokens;
  std::size_t number = 0;
  while (!lines.empty()) {
    ++number;
    std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (layer.class_name != "IntegerLookup") {
      tokens.emplace_back(json::string(line));
      continue;
    }
    std::int64_t token = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), token);
    if (error != std::errc() || stop != line.data() + line.size()) {
      throw Error(ErrorCode::kInvalidFile, fmt::format("line {} is not an integer", number));
    }
    tokens.emplace_back(token);
  }
  layer.config["vocabulary"] = std::move(tokens);
}

void add_asset_vocabularies(ModelSpec& model, std::span<const std::string> names, const Read& read,
                            Problems& problems) {
  AssetVocabularies(names, read, problems).add(model, "assets");
}

}  // namespace kerf::formats
