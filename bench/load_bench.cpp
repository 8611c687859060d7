#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <vector>

#include "formats/keras_writer.h"
#include "graph/cut.h"
#include "kerf/model.h"
#include "rounds.h"
#include "tests/support/make_model.h"

// How fast models are loaded, as a share of how fast the page cache gives the file to `cat`. See
// README.md.
namespace kerf::bench {
namespace {

constexpr const char* kConfig = R"({
  "class_name": "Sequential", "module": "keras", "registered_name": null,
  "config": {"name": "large", "layers": [
    {"class_name": "InputLayer", "module": "keras.layers", "registered_name": null,
     "config": {"name": "x", "batch_shape": [null, 2500], "dtype": "float32"}},
    {"class_name": "Dense", "module": "keras.layers", "registered_name": null,
     "config": {"name": "a", "units": 5000, "activation": "relu", "use_bias": true}},
    {"class_name": "Dense", "module": "keras.layers", "registered_name": null,
     "config": {"name": "b", "units": 2500, "activation": "linear", "use_bias": true}}]}})";

// A model of 100 MB.
void write_model(const std::filesystem::path& file) {
  std::mt19937 random{1};
  const auto graph = testing_support::make_model(kConfig, testing_support::random_weights(random));
  formats::write_keras(graph::whole(graph), file);
}

// Reads the file as `cat` does, in blocks of 128 KiB.
void read_file(const std::filesystem::path& file) {
  static std::vector<char> block(128 << 10);
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw std::runtime_error("cannot open " + file.string());
  while (read(descriptor, block.data(), block.size()) > 0) {
  }
  close(descriptor);
}

void measure(const std::filesystem::path& file) {
  constexpr int kRounds = 11;
  constexpr double kSeconds = 0.2;
  const Comparison result = compare(
      Clock::kTime, kRounds, kSeconds, [&] { Model::load(file); }, [&] { read_file(file); });
  const double megabytes = static_cast<double>(std::filesystem::file_size(file)) * 1e-6;
  fmt::print("| {} | {:.0f} | {:.0f} | {:.0f} | {:.2f} | {:.2f} to {:.2f} |\n",
             file.filename().string(), megabytes, megabytes / result.second,
             megabytes / result.first, result.ratio, result.lowest, result.highest);
}

int run(int argc, char** argv) {
  fmt::print(
      "| file | MB | read MB/s | loaded MB/s | share | rounds |\n"
      "| --- | --- | --- | --- | --- | --- |\n");
  if (argc > 1) {
    for (int i = 1; i < argc; ++i) measure(argv[i]);
    return 0;
  }
  std::string folder = (std::filesystem::temp_directory_path() / "kerf-load-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder");
  const std::filesystem::path file = std::filesystem::path(folder) / "large.keras";
  write_model(file);
  measure(file);
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace kerf::bench

int main(int argc, char** argv) {
  try {
    return kerf::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
