#include "tests/formats/support.h"

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <sstream>

#include "formats/reader.h"

namespace kerf::test {

TemporaryFolder::TemporaryFolder() {
  static std::atomic<int> count = 0;
  path_ = std::filesystem::temp_directory_path() /
          ("kerf-formats-" + std::to_string(getpid()) + "-" + std::to_string(count++));
  std::filesystem::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::filesystem::path> golden_models(const std::string& extension) {
  const std::filesystem::path source(KERF_SOURCE_DIR);
  std::map<std::string, std::filesystem::path> found;
  for (const auto& folder : {source / "tests/data/golden", source / "../shared/golden"}) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      if (entry.path().extension() != extension) continue;
      if (formats::problems(entry.path()).empty()) {
        found.emplace(entry.path().filename().string(), entry.path());
      }
    }
  }
  std::vector<std::filesystem::path> files;
  for (const auto& [name, path] : found) files.push_back(path);
  return files;
}

Tensor sample(const TensorInfo& info) {
  Shape shape;
  for (std::size_t i = 0; i < info.shape.rank(); ++i) {
    shape.push_back(info.shape[i] == Shape::kUnknown ? (i == 0 ? 2 : 6) : info.shape[i]);
  }
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
  const bool whole = !is_floating(info.dtype);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto step = static_cast<float>(i * 7 % 23);
    values[i] = whole ? static_cast<float>(i % 3 == 2 ? 0 : 1) : (step - 11) / 8;
  }
  return Tensor::floats(shape, values).cast(info.dtype);
}

std::string read_text(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace kerf::test
