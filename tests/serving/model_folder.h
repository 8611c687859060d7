#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace kerf::serving {

// A scratch folder of its own, for models to be put into, exchanged and spoilt.
class ModelFolder {
 public:
  ModelFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kerf-models-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no scratch folder");
    root_ = pattern;
  }
  ~ModelFolder() { std::filesystem::remove_all(root_); }
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  const std::filesystem::path& path() const { return root_; }

  // Puts a model of tests/data/golden there, all at once as one should.
  void put(const std::string& file, const std::string& golden) const {
    const std::filesystem::path target = root_ / file;
    std::filesystem::create_directories(target.parent_path());
    const std::filesystem::path beside = target.string() + ".partial";
    std::filesystem::copy_file(
        std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden" / (golden + ".keras"), beside,
        std::filesystem::copy_options::overwrite_existing);
    std::filesystem::rename(beside, target);
  }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  void remove(const std::string& file) const { std::filesystem::remove_all(root_ / file); }

 private:
  std::filesystem::path root_;
};

}  // namespace kerf::serving
