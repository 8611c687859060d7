#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kerf/model.h"
#include "kerf/tensor.h"

namespace kerf::test {

// A folder of its own for one test, removed with everything in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// The golden models of this extension (".keras", ".h5") that kerf can serve: those in the
// repository, and the full set where this machine has it.
std::vector<std::filesystem::path> golden_models(const std::string& extension);

// Values for a fed tensor, the same every time: floats around zero, small integers, both bools.
Tensor sample(const TensorInfo& info);

std::string read_text(const std::filesystem::path& file);
void write_text(const std::filesystem::path& file, const std::string& text);

}  // namespace kerf::test
