#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "formats/keras_writer.h"
#include "graph/cut.h"
#include "kerf/model.h"
#include "tests/support/make_model.h"

// A weight is in memory once, in the form that plans use, however many cuts, batch sizes and plans
// there are.
namespace kerf {
namespace {

// Plans for some rows.
void compile(const Cut& cut, std::int64_t rows) {
  std::vector<Shape> shapes;
  for (const TensorInfo& feed : cut.feeds()) {
    shapes.push_back(feed.shape);
    for (std::size_t i = 0; i < shapes.back().rank(); ++i) {
      if (shapes.back()[i] == Shape::kUnknown) shapes.back()[i] = i == 0 ? rows : 16;
    }
  }
  cut.plan(shapes);
}

// Layers of all kinds whose weights are packed, with sizes that fill vectors and do not.
std::string config() {
  std::string layers;
  const auto add = [&](const std::string& layer, const std::string& options) {
    layers += fmt::format(
        R"({}{{"class_name": "{}", "module": "keras.layers", "registered_name": null,
              "config": {{"name": "layer_{}", {}}}}})",
        layers.empty() ? "" : ", ", layer, std::ranges::count(layers, '@'),
        options + R"(, "@": 0)");
  };
  add("InputLayer", R"("batch_shape": [null, 16, 16, 3], "dtype": "float32")");
  add("Conv2D", R"("filters": 128, "kernel_size": [3, 3], "activation": "relu")");
  for (int i = 0; i < 3; ++i) {
    add("Conv2D", R"("filters": 128, "kernel_size": [3, 3], "padding": "same", "use_bias": false)");
    add("BatchNormalization", R"("axis": -1, "momentum": 0.99, "epsilon": 0.001)");
    add("Activation", R"("activation": "relu")");
  }
  add("Conv2D", R"("filters": 96, "kernel_size": [1, 1])");
  add("DepthwiseConv2D", R"("kernel_size": [3, 3])");
  add("Reshape", R"("target_shape": [72, 192])");
  add("LSTM", R"("units": 128, "return_sequences": true)");
  add("GRU", R"("units": 128, "reset_after": true)");
  add("Dense", R"("units": 500, "activation": "relu")");
  add("Dense", R"("units": 1000, "activation": "softmax")");
  return fmt::format(
      R"({{"class_name": "Sequential", "module": "keras", "registered_name": null,
           "config": {{"name": "layers", "layers": [{}]}}}})",
      layers);
}

class WeightsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    file_ = std::filesystem::temp_directory_path() /
            fmt::format("kerf_weights_test_{}.keras", ::getpid());
    std::mt19937 random{1};
    const auto graph =
        testing_support::make_model(config(), testing_support::random_weights(random));
    formats::write_keras(graph::whole(graph), file_);
  }
  static void TearDownTestSuite() { std::filesystem::remove(file_); }

  static inline std::filesystem::path file_;
  Model model_ = Model::load(file_);
};

TEST_F(WeightsTest, AreNotThereTwice) {
  const auto loaded = static_cast<double>(model_.memory_bytes());
  const Cut whole = model_.whole();
  for (const std::int64_t rows : {1, 3, 32}) compile(whole, rows);
  // Panels are filled up with zeros.
  EXPECT_LE(static_cast<double>(model_.memory_bytes()), 1.05 * loaded);
}

TEST_F(WeightsTest, AreSharedByCuts) {
  compile(model_.whole(), 1);
  const auto whole = static_cast<double>(model_.memory_bytes());
  const std::vector<CutPoint> points = model_.cut_points();
  ASSERT_GE(points.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    const std::vector<std::string> at{points[i].tensor.name};
    compile(model_.cut({}, at), 2);
    compile(model_.cut(at, {}), 2);
  }
  EXPECT_LE(static_cast<double>(model_.memory_bytes()), 1.05 * whole);
}

std::string contents(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// What was packed is written as it was read.
TEST_F(WeightsTest, AreWrittenAsTheyWereRead) {
  const Cut whole = model_.whole();
  const std::filesystem::path written = file_.string() + ".again";
  compile(whole, 2);
  whole.write(written);
  EXPECT_TRUE(contents(file_) == contents(written));
  std::filesystem::remove(written);
}

}  // namespace
}  // namespace kerf
