#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "formats/hdf5_file.h"
#include "formats/hdf5_filters.h"
#include "kerf/error.h"
#include "tests/formats/hdf5_support.h"
#include "tests/formats/support.h"

// Files in the form of HDF5 1.10 and later (h5py's libver='latest'), as the library writes them.
namespace kerf::formats {
namespace {

using hdf5::Filters;
using test::Hdf5Age;

Hdf5File latest(const std::function<void(hid_t)>& make) {
  const std::string bytes = test::made_by_library(make, Hdf5Age::kLatest);
  const auto buffer = std::make_shared<FileBuffer>(bytes.size());
  std::memcpy(buffer->data(), bytes.data(), bytes.size());
  return {buffer, "latest"};
}

TEST(LatestHdf5, ReadsAFewLinksAndAttributes) {
  const Hdf5File file = latest([](hid_t id) {
    test::make_groups(id, {"/a/b", "/a/c"});
    test::text_attribute(id, "/a", "name", "value");
  });
  EXPECT_EQ(file.children("/a"), (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(file.text_attribute("/a", "name"), "value");
}

// Beyond eight links stand in a heap, whose table of blocks grows with them.
TEST(LatestHdf5, ReadsGroupsOfAnySize) {
  for (const int count : {9, 100, 5000}) {
    SCOPED_TRACE(count);
    const Hdf5File file = latest([&](hid_t id) {
      for (int i = 0; i < count; ++i) {
        test::make_groups(id, {"/layers/a_rather_long_name_of_a_layer_" + std::to_string(i)});
      }
    });
    EXPECT_EQ(file.children("/layers").size(), static_cast<std::size_t>(count));
    EXPECT_TRUE(file.has("/layers/a_rather_long_name_of_a_layer_0"));
    EXPECT_FALSE(file.has("/layers/a_rather_long_name_of_a_layer"));
  }
}

TEST(LatestHdf5, ReadsGroupsThatKeepTheOrderOfCreation) {
  const Hdf5File file = latest([](hid_t id) {
    const hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
    H5Gclose(H5Gcreate2(id, "/a", H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
    for (int i = 0; i < 40; ++i) {
      test::make_groups(id, {"/a/" + std::to_string(i)});
      test::text_attribute(id, "/a", ("n" + std::to_string(i)).c_str(), std::to_string(i));
    }
  });
  EXPECT_EQ(file.children("/a").size(), 40U);
  EXPECT_EQ(file.text_attribute("/a", "n17"), "17");
}

TEST(LatestHdf5, ReadsManyAttributesAndLargeOnes) {
  const std::string large(300'000, 'x');
  const std::string medium(3'000, 'y');
  const Hdf5File file = latest([&](hid_t id) {
    test::make_groups(id, {"/a"});
    for (int i = 0; i < 200; ++i) {
      test::text_attribute(id, "/a", ("n" + std::to_string(i)).c_str(), medium + std::to_string(i));
    }
    test::text_attribute(id, "/a", "model_config", large);
    test::text_array(id, "/a", "layer_names", {"a", "b"}, true);
  });
  EXPECT_EQ(file.text_attribute("/a", "n0"), medium + "0");
  EXPECT_EQ(file.text_attribute("/a", "n199"), medium + "199");
  EXPECT_EQ(file.text_attribute("/a", "model_config"), large);
  EXPECT_EQ(file.text_array("/a", "layer_names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(file.text_attribute("/a", "other"), std::nullopt);
}

struct Chunks {
  const char* name;
  std::vector<hsize_t> dims;
  std::vector<hsize_t> chunk;
  std::vector<hsize_t> most;
  std::function<void(hid_t creation)> options;
};

void gzip(hid_t creation) {
  H5Pset_shuffle(creation);
  H5Pset_deflate(creation, 6);
  H5Pset_fletcher32(creation);
}

class LatestChunks : public testing::TestWithParam<Chunks> {};

TEST_P(LatestChunks, AreFoundByEveryIndex) {
  const Chunks& c = GetParam();
  std::vector<float> values(
      std::accumulate(c.dims.begin(), c.dims.end(), hsize_t{1}, std::multiplies<>()));
  std::iota(values.begin(), values.end(), 1.0F);
  for (const Hdf5Age age : {Hdf5Age::kLatest, Hdf5Age::kEarliest}) {
    const std::string bytes = test::made_by_library(
        [&](hid_t id) {
          const auto rank = static_cast<int>(c.dims.size());
          const hid_t space = H5Screate_simple(rank, c.dims.data(), c.most.data());
          const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
          H5Pset_chunk(creation, rank, c.chunk.data());
          if (c.options) c.options(creation);
          const hid_t set =
              H5Dcreate2(id, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
          H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
          H5Dclose(set);
          H5Pclose(creation);
          H5Sclose(space);
        },
        age);
    const auto buffer = std::make_shared<FileBuffer>(bytes.size());
    std::memcpy(buffer->data(), bytes.data(), bytes.size());
    const Tensor read = Hdf5File(buffer, "chunks").dataset("/x");
    ASSERT_EQ(read.byte_size(), values.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(read.data(), values.data(), read.byte_size()), 0);
  }
}

constexpr hsize_t kOpen = H5S_UNLIMITED;

INSTANTIATE_TEST_SUITE_P(
    Index, LatestChunks,
    testing::Values(Chunks{"single", {5, 7}, {5, 7}, {5, 7}, {}},
                    Chunks{"single_filtered", {50, 70}, {50, 70}, {50, 70}, gzip},
                    Chunks{
                        "implicit",
                        {10, 7},
                        {3, 4},
                        {10, 7},
                        [](hid_t creation) { H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY); }},
                    Chunks{"fixed", {10, 7}, {3, 4}, {10, 7}, {}},
                    Chunks{"fixed_wider", {10, 7}, {3, 4}, {20, 30}, {}},
                    Chunks{"fixed_filtered", {100, 7}, {3, 4}, {100, 7}, gzip},
                    Chunks{"fixed_paged", {60, 70}, {1, 1}, {60, 70}, {}},
                    Chunks{"fixed_paged_filtered", {60, 70}, {1, 2}, {90, 70}, gzip},
                    Chunks{"extensible", {9, 7}, {3, 4}, {kOpen, 7}, {}},
                    Chunks{"extensible_inner", {9, 20}, {2, 4}, {9, kOpen}, {}},
                    Chunks{"extensible_filtered", {90, 7}, {3, 4}, {kOpen, 7}, gzip},
                    Chunks{"extensible_super", {3000}, {2}, {kOpen}, {}},
                    Chunks{"extensible_paged", {150'000}, {1}, {kOpen}, {}},
                    Chunks{"tree", {9, 7}, {3, 4}, {kOpen, kOpen}, {}},
                    Chunks{"tree_deep", {200, 100}, {1, 2}, {kOpen, kOpen}, {}},
                    Chunks{"tree_filtered", {200, 70}, {3, 4}, {kOpen, kOpen}, gzip},
                    Chunks{"plain_edges",
                           {10, 7},
                           {4, 4},
                           {10, 7},
                           [](hid_t creation) {
                             gzip(creation);
                             H5Pset_chunk_opts(creation, H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS);
                           }}),
    [](const auto& chunks) { return chunks.param.name; });

// By h5py, with its own compression: tests/data/hdf5/make.py.
TEST(LatestHdf5, ReadsWhatH5pyWrites) {
  const std::string bytes = test::read_text(KERF_SOURCE_DIR "/tests/data/hdf5/latest.h5");
  const auto buffer = std::make_shared<FileBuffer>(bytes.size());
  std::memcpy(buffer->data(), bytes.data(), bytes.size());
  const Hdf5File file(buffer, "latest.h5");
  EXPECT_EQ(file.children("/layers").size(), 12U);
  EXPECT_EQ(file.text_attribute("/layers/dense_11/vars", "name"), "dense_11");
  EXPECT_EQ(file.text_attribute("/", "n9"), "xxxxxxxxx");
  EXPECT_EQ(file.text_array("/", "layer_names"), (std::vector<std::string>{"a", "bc"}));
  for (const std::string name : {"lzf", "gzip", "fixed", "extensible", "tree", "plain"}) {
    SCOPED_TRACE(name);
    const Tensor read = file.dataset("/layers/dense_0/vars/" + name);
    ASSERT_EQ(read.shape(), (Shape{6, 10}));
    for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(read.as<float>()[i], static_cast<float>(i));
  }
}

TEST(Hdf5Filters, CompareCheckSums) {
  std::string bytes = test::made_by_library([](hid_t id) {
    test::float_dataset(id, "x", {64}, std::vector<float>(64, 3.5F), H5T_IEEE_F32LE,
                        [](hid_t creation) {
                          const hsize_t chunk = 64;
                          H5Pset_chunk(creation, 1, &chunk);
                          H5Pset_fletcher32(creation);
                        });
  });
  const float value = 3.5F;
  const std::size_t at = bytes.find(std::string(reinterpret_cast<const char*>(&value), 4));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 2] ^= 1;
  const auto buffer = std::make_shared<FileBuffer>(bytes.size());
  std::memcpy(buffer->data(), bytes.data(), bytes.size());
  const Hdf5File file(buffer, "sums");
  try {
    file.dataset("/x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("check sum"), std::string::npos) << error.what();
  }
}

std::vector<std::byte> bytes_of(std::initializer_list<unsigned> values) {
  std::vector<std::byte> bytes;
  for (const unsigned value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

// The message of a filter of this id, without a name.
std::vector<std::byte> filter_message(unsigned id) {
  return id < 256 ? bytes_of({2, 1, id, 0, 0, 0, 0, 0})
                  : bytes_of({2, 1, id & 255U, id >> 8U, 0, 0, 0, 0, 0, 0});
}

TEST(Hdf5Filters, UnpackLzf) {
  const Filters lzf(filter_message(32000));
  std::vector<std::byte> owned;
  // Three literals, then seven bytes from two before: they overlap.
  const auto stored = bytes_of({2, 'a', 'b', 'c', 0xa0, 1});
  const auto data = lzf.undo(stored, 10, 0, owned);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()), "abcbcbcbcb");
  EXPECT_THROW(lzf.undo(stored, 9, 0, owned), hdf5::Damaged);
  EXPECT_THROW(lzf.undo(stored, 11, 0, owned), hdf5::Damaged);
  EXPECT_THROW(lzf.undo(bytes_of({0x20, 5}), 3, 0, owned), hdf5::Damaged);
  EXPECT_THROW(lzf.undo(bytes_of({9, 'a'}), 10, 0, owned), hdf5::Damaged);
}

TEST(Hdf5Filters, RefuseOthers) {
  for (const unsigned id : {4U, 5U, 6U, 32001U, 32015U}) {
    EXPECT_THROW(Filters{filter_message(id)}, hdf5::Unusual) << id;
  }
}

}  // namespace
}  // namespace kerf::formats
