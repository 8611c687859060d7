#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kerf/model.h"

namespace kerf::serving {
namespace {

// The shapes of one sample; nothing for models whose batch is fixed, or whose other dimensions are
// open.
std::optional<std::vector<Shape>> sample_of(const Cut& cut) {
  std::vector<Shape> shapes;
  for (const TensorInfo& feed : cut.feeds()) {
    Shape shape = feed.shape;
    if (shape.rank() == 0 || shape[0] != Shape::kUnknown) return std::nullopt;
    shape[0] = 1;
    if (!shape.is_static()) return std::nullopt;
    shapes.push_back(shape);
  }
  return shapes;
}

Tensor made_up(const Shape& shape, std::mt19937& random) {
  // Whole numbers from 0 to 2 are right for ids, flags and features alike.
  std::vector<float> numbers(static_cast<std::size_t>(shape.element_count()));
  for (float& number : numbers) number = static_cast<float>(random() % 3);
  return Tensor::floats(shape, numbers);
}

// A batch gives each of its rows what the row gives alone, for every model that is said to be so.
TEST(RowsOfModels, AreComputedAsIfTheyWereAlone) {
  constexpr std::int64_t kRows = 3;
  const auto folder = std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden";
  std::mt19937 random(1);
  std::set<std::string> mixed;
  std::size_t independent = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".keras") continue;
    const Cut cut = Model::load(entry.path()).whole();
    const auto shapes = sample_of(cut);
    if (!shapes) continue;
    const std::string name = entry.path().stem();
    SCOPED_TRACE(name);
    if (!cut.rows_are_independent(*shapes)) {
      mixed.insert(name);
      continue;
    }
    ++independent;
    std::vector<Tensor> batch;
    for (Shape shape : *shapes) {
      shape[0] = kRows;
      batch.push_back(made_up(shape, random));
    }
    const std::vector<Tensor> together = cut.run(batch);
    for (std::int64_t row = 0; row < kRows; ++row) {
      std::vector<Tensor> one;
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const std::size_t bytes = batch[i].byte_size() / kRows;
        one.push_back(Tensor::copy_of(
            DType::kFloat32, (*shapes)[i],
            batch[i].bytes().subspan(bytes * static_cast<std::size_t>(row), bytes)));
      }
      const std::vector<Tensor> alone = cut.run(one);
      for (std::size_t i = 0; i < alone.size(); ++i) {
        ASSERT_EQ(alone[i].byte_size() * kRows, together[i].byte_size());
        const Tensor expected = alone[i].cast(DType::kFloat64);
        const Tensor got = together[i].cast(DType::kFloat64);
        const std::size_t count = expected.as<double>().size();
        double most = 0;
        for (const double value : expected.as<double>()) most = std::max(most, std::abs(value));
        for (std::size_t k = 0; k < count; ++k) {
          ASSERT_NEAR(got.as<double>()[count * static_cast<std::size_t>(row) + k],
                      expected.as<double>()[k], 1e-6 * most + 1e-9);
        }
      }
    }
  }
  EXPECT_GT(independent, 20U);
  EXPECT_TRUE(mixed.contains("ops_shape"));  // broadcasts to a fixed batch
}

}  // namespace
}  // namespace kerf::serving
