#include "cli/precision_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>

namespace kerf::cli {
namespace {

OutputError error_of(const Shape& shape, std::vector<float> exact, std::vector<float> rounded) {
  const std::vector<TensorInfo> infos{{.name = "y", .dtype = DType::kFloat32, .shape = shape}};
  const std::array<Tensor, 1> expected{Tensor::floats(shape, exact)};
  const std::array<Tensor, 1> actual{Tensor::floats(shape, rounded)};
  return output_errors(infos, expected, actual).front();
}

TEST(PrecisionError, IsRelativeToWhatThereIs) {
  const OutputError error = error_of({2, 2}, {1, -4, 2, 1}, {1, -3.5F, 2.25F, 1});
  EXPECT_EQ(error.name, "y");
  EXPECT_EQ(error.largest, 0.5);
  EXPECT_EQ(error.relative, 0.125);
  EXPECT_EQ(error.mean, 0.75 / 8);
  EXPECT_FALSE(error.rows);
}

TEST(PrecisionError, CountsClassesWhereRowsAreProbabilities) {
  const OutputError error =
      error_of({3, 2}, {0.25F, 0.75F, 0.5F, 0.5F, 1, 0}, {0.5F, 0.5F, 0.75F, 0.25F, 0.9F, 0.1F});
  EXPECT_EQ(error.rows, 3U);
  EXPECT_EQ(error.same_top, 2U);
  EXPECT_FALSE(error_of({2, 1}, {1, 1}, {1, 1}).rows);
}

TEST(PrecisionError, IsInfiniteForWhatIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(error_of({2}, {1, 2}, {nan, 2}).relative, std::numeric_limits<double>::infinity());
  EXPECT_EQ(error_of({2}, {1, infinity}, {1, 2}).largest, std::numeric_limits<double>::infinity());
  EXPECT_EQ(error_of({3}, {nan, infinity, 1}, {nan, infinity, 1}).relative, 0);
  EXPECT_EQ(error_of({1}, {0}, {0}).relative, 0);
  EXPECT_THAT(describe(std::array{error_of({1}, {1}, {nan})}), testing::HasSubstr("not a number"));
}

}  // namespace
}  // namespace kerf::cli
