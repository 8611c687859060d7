#include "formats/hdf5_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "formats/hdf5_writer.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

std::shared_ptr<FileBuffer> buffer_of(std::span<const std::byte> bytes) {
  auto buffer = std::make_shared<FileBuffer>(bytes.size());
  std::memcpy(buffer->data(), bytes.data(), bytes.size());
  return buffer;
}

std::shared_ptr<FileBuffer> file_with(const std::string& path, const Tensor& tensor) {
  Hdf5Writer writer;
  writer.group(path.substr(0, path.rfind('/')), "a name");
  writer.dataset(path, tensor);
  return buffer_of(writer.finish());
}

Tensor ramp(const Shape& shape, DType dtype) {
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 2);
  return Tensor::floats(shape, values).cast(dtype);
}

TEST(Hdf5File, ReadsEveryTypeAWeightMayHave) {
  for (const DType dtype :
       {DType::kBool, DType::kUInt8, DType::kUInt16, DType::kUInt32, DType::kUInt64, DType::kInt8,
        DType::kInt16, DType::kInt32, DType::kInt64, DType::kFloat16, DType::kBFloat16,
        DType::kFloat32, DType::kFloat64}) {
    SCOPED_TRACE(dtype_name(dtype));
    const Tensor written = ramp({3, 4}, dtype);
    const Hdf5File file(file_with("/a/b/0", written), "test");
    const Tensor read = file.dataset("/a/b/0");
    EXPECT_EQ(read.dtype(), dtype);
    ASSERT_EQ(read.shape(), written.shape());
    EXPECT_EQ(std::memcmp(read.data(), written.data(), written.byte_size()), 0);
  }
}

TEST(Hdf5File, ReadsScalarsAndEmptyDatasets) {
  const Hdf5File scalar(file_with("/a/0", ramp({}, DType::kFloat32)), "test");
  EXPECT_EQ(scalar.dataset("/a/0").shape(), Shape{});
  const Hdf5File empty(file_with("/a/0", ramp({0, 5}, DType::kFloat32)), "test");
  EXPECT_EQ(empty.dataset("/a/0").shape(), (Shape{0, 5}));
}

TEST(Hdf5File, UsesWeightsWhereTheyStand) {
  const auto buffer = file_with("/a/0", ramp({300, 5}, DType::kFloat32));
  Tensor weight;
  {
    const Hdf5File file(buffer, "test");
    weight = file.dataset("/a/0");
  }
  EXPECT_GE(weight.data(), buffer->bytes().data());
  EXPECT_LT(weight.data(), buffer->bytes().data() + buffer->bytes().size());
}

TEST(Hdf5File, KeepsOnlyThePagesThatAreUsed) {
  const auto buffer = std::make_shared<FileBuffer>(std::size_t{16} << 12);
  std::memset(buffer->data(), 1, buffer->bytes().size());
  const Tensor elsewhere = ramp({8}, DType::kFloat32);
  buffer->keep_only({buffer->bytes().subspan(5000, 9000), elsewhere.bytes()});
  EXPECT_EQ(buffer->bytes()[0], std::byte{0});
  for (std::size_t i = 5000; i < 14000; ++i) ASSERT_EQ(buffer->bytes()[i], std::byte{1}) << i;
  EXPECT_EQ(buffer->bytes().back(), std::byte{0});
  EXPECT_EQ(elsewhere.as<float>()[1], 1.0F);
}

// The library takes two images of one name for one file.
TEST(Hdf5File, KeepsFilesThatAreOpenAtOnceApart) {
  const Hdf5File a(file_with("/a/0", ramp({2}, DType::kFloat32)), "a");
  const Hdf5File b(file_with("/a/0", ramp({7}, DType::kFloat32)), "b");
  EXPECT_EQ(a.dataset("/a/0").shape(), Shape{2});
  EXPECT_EQ(b.dataset("/a/0").shape(), Shape{7});
}

TEST(Hdf5File, ListsGroupsAndReadsNames) {
  const Hdf5File file(file_with("/layers/dense/vars/0", ramp({2}, DType::kFloat32)), "test");
  EXPECT_EQ(file.children("/layers"), std::vector<std::string>{"dense"});
  EXPECT_EQ(file.text_attribute("/layers/dense/vars", "name"), "a name");
  EXPECT_EQ(file.text_attribute("/layers/dense/vars", "other"), std::nullopt);
  EXPECT_TRUE(file.has("/layers/dense/vars/0"));
  EXPECT_FALSE(file.has("/layers/dense/vars/1"));
  EXPECT_FALSE(file.has("/layers/lstm/vars/0"));
}

}  // namespace
}  // namespace kerf::formats
