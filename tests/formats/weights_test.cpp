#include <gtest/gtest.h>

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <numeric>

#include "formats/reader.h"
#include "graph/graph.h"
#include "tests/formats/hdf5_support.h"
#include "tests/formats/small_model.h"
#include "tests/formats/support.h"

// Where weights stand in a file: the rules of every writer.
namespace kerf::formats {
namespace {

namespace json = boost::json;
using test::float_dataset;
using test::made_by_library;
using test::make_groups;
using test::text_array;
using test::text_attribute;

std::vector<float> filled(std::size_t count, float first) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

std::shared_ptr<const graph::Graph> read(const std::string& bytes) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "model", bytes);
  return read_model(folder / "model");
}

std::shared_ptr<const graph::Graph> read_with_weights(const std::string& weights) {
  return read(test::raw_zip(test::small_members(test::small_config(), weights)));
}

float first_of(const graph::Graph& graph, std::size_t layer, std::size_t weight) {
  return graph.layers()[layer]
      .weights.at(weight)
      .value.elements()
      .cast(DType::kFloat32)
      .as<float>()[0];
}

// The small model's weights below two folders: those of "d" begin with 100 and 200, those of "e"
// with 300 and 400.
void add_weights(hid_t file, const std::string& d, const std::string& e) {
  float_dataset(file, d + "/vars/0", {4, 3}, filled(12, 100));
  float_dataset(file, d + "/vars/1", {3}, filled(3, 200));
  float_dataset(file, e + "/vars/0", {3, 2}, filled(6, 300));
  float_dataset(file, e + "/vars/1", {2}, filled(2, 400));
}

void expect_assigned(const graph::Graph& graph) {
  ASSERT_EQ(graph.layers().size(), 2U);
  EXPECT_EQ(first_of(graph, 0, 0), 100);
  EXPECT_EQ(first_of(graph, 0, 1), 200);
  EXPECT_EQ(first_of(graph, 1, 0), 300);
  EXPECT_EQ(first_of(graph, 1, 1), 400);
}

TEST(Keras3Weights, FoldersAreCountedPerClass) {
  expect_assigned(*read_with_weights(
      made_by_library([](hid_t file) { add_weights(file, "/layers/dense", "/layers/dense_1"); })));
}

TEST(Keras3Weights, NamesWinOverFolders) {
  expect_assigned(*read_with_weights(made_by_library([](hid_t file) {
    add_weights(file, "/layers/dense_1", "/layers/dense");
    text_attribute(file, "/layers/dense_1/vars", "name", "d");
    text_attribute(file, "/layers/dense/vars", "name", "e");
  })));
}

// TensorFlow 2.12 and 2.13 count layers with weights twice.
TEST(Keras3Weights, OnlyTheOrderOfFoldersTells) {
  expect_assigned(*read_with_weights(made_by_library([](hid_t file) {
    add_weights(file, "/_layer_checkpoint_dependencies/dense",
                "/_layer_checkpoint_dependencies/dense_2");
  })));
}

TEST(Keras3Weights, NumbersOfFoldersAreNotSortedAsText) {
  expect_assigned(*read_with_weights(made_by_library(
      [](hid_t file) { add_weights(file, "/layers/dense_9", "/layers/dense_10"); })));
}

using Options = std::function<void(hid_t)>;
void expect_reads_kernel(hid_t type, const Options& options, DType dtype) {
  const auto graph = read_with_weights(made_by_library([&](hid_t file) {
    add_weights(file, "/layers/dense", "/layers/dense_1");
    H5Ldelete(file, "/layers/dense/vars/0", H5P_DEFAULT);
    float_dataset(file, "/layers/dense/vars/0", {4, 3}, filled(12, -5), type, options);
  }));
  const Tensor kernel = graph->layers()[0].weights[0].value.elements();
  EXPECT_EQ(kernel.dtype(), dtype);
  const Tensor values = kernel.cast(DType::kFloat32);
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(values.as<float>()[i], static_cast<float>(i) - 5);
}

TEST(Keras3Weights, AreReadInEveryForm) {
  const Options chunked = [](hid_t creation) {
    const std::array<hsize_t, 2> chunk{3, 2};  // neither divides (4, 3)
    H5Pset_chunk(creation, 2, chunk.data());
  };
  const auto filtered = [&](const std::function<void(hid_t)>& filters) {
    return [&chunked, filters](hid_t creation) {
      chunked(creation);
      filters(creation);
    };
  };
  expect_reads_kernel(H5T_IEEE_F64LE, {}, DType::kFloat64);
  expect_reads_kernel(H5T_IEEE_F32BE, {}, DType::kFloat32);
  expect_reads_kernel(H5T_IEEE_F64BE, {}, DType::kFloat64);
  expect_reads_kernel(H5T_STD_I16BE, {}, DType::kInt16);
  expect_reads_kernel(
      H5T_IEEE_F32LE, [](hid_t creation) { H5Pset_layout(creation, H5D_COMPACT); },
      DType::kFloat32);
  expect_reads_kernel(H5T_IEEE_F32LE, chunked, DType::kFloat32);
  expect_reads_kernel(H5T_IEEE_F32LE, filtered([](hid_t c) { H5Pset_deflate(c, 9); }),
                      DType::kFloat32);
  expect_reads_kernel(H5T_IEEE_F64LE, filtered([](hid_t c) {
                        H5Pset_shuffle(c);
                        H5Pset_deflate(c, 9);
                      }),
                      DType::kFloat64);
  expect_reads_kernel(H5T_IEEE_F32LE, filtered([](hid_t c) {
                        H5Pset_shuffle(c);
                        H5Pset_deflate(c, 1);
                        H5Pset_fletcher32(c);
                      }),
                      DType::kFloat32);
  expect_reads_kernel(H5T_IEEE_F32LE, filtered([](hid_t c) {
                        H5Pset_fletcher32(c);
                        H5Pset_deflate(c, 1);
                      }),
                      DType::kFloat32);
}

// A whole-model HDF5 file of this configuration.
std::string whole_model(const json::object& config, const std::function<void(hid_t)>& more) {
  return made_by_library([&](hid_t file) {
    make_groups(file, {"/model_weights"});
    text_attribute(file, "/", "model_config", json::serialize(config));
    text_attribute(file, "/", "keras_version", "2.9.0");
    text_attribute(file, "/model_weights", "keras_version", "2.9.0");
    more(file);
  });
}

void add_legacy(hid_t file, const std::string& d, const std::string& e) {
  float_dataset(file, "/model_weights/" + d + "/d/kernel:0", {4, 3}, filled(12, 100));
  float_dataset(file, "/model_weights/" + d + "/d/bias:0", {3}, filled(3, 200));
  float_dataset(file, "/model_weights/" + e + "/e/kernel:0", {3, 2}, filled(6, 300));
  float_dataset(file, "/model_weights/" + e + "/e/bias:0", {2}, filled(2, 400));
}

TEST(LegacyWeights, AreListedByTheirLayer) {
  for (const bool variable : {false, true}) {
    expect_assigned(*read(whole_model(test::small_config(), [&](hid_t file) {
      add_legacy(file, "d", "e");
      text_array(file, "/model_weights", "layer_names", {"x", "d", "e"}, variable);
      text_array(file, "/model_weights/d", "weight_names", {"d/kernel:0", "d/bias:0"}, variable);
      text_array(file, "/model_weights/e", "weight_names", {"e/kernel:0", "e/bias:0"}, variable);
    })));
  }
}

TEST(LegacyWeights, LongListsAreSplit) {
  expect_assigned(*read(whole_model(test::small_config(), [](hid_t file) {
    add_legacy(file, "d", "e");
    text_array(file, "/model_weights/d", "weight_names0", {"d/kernel:0"});
    text_array(file, "/model_weights/d", "weight_names1", {"d/bias:0"});
    text_array(file, "/model_weights/e", "weight_names", {"e/kernel:0", "e/bias:0"});
  })));
}

TEST(LegacyWeights, GroupsOfOtherNamesArePairedInOrder) {
  expect_assigned(*read(whole_model(test::small_config(), [](hid_t file) {
    add_legacy(file, "old_1", "old_2");
    make_groups(file, {"/model_weights/old_0"});
    text_array(file, "/model_weights", "layer_names", {"old_0", "old_1", "old_2"});
    text_array(file, "/model_weights/old_0", "weight_names", {});
    text_array(file, "/model_weights/old_1", "weight_names", {"d/kernel:0", "d/bias:0"});
    text_array(file, "/model_weights/old_2", "weight_names", {"e/kernel:0", "e/bias:0"});
  })));
}

// A model with one nested model: Dense "a", BatchNormalization "n", Dense "b" that is frozen.
json::object nested() {
  return json::parse(R"({"class_name": "Sequential", "config": {"name": "outer", "layers": [
    {"class_name": "Sequential", "config": {"name": "inner", "layers": [
      {"class_name": "Dense", "config": {"name": "a", "units": 2, "use_bias": false,
        "batch_input_shape": [null, 2], "trainable": true}},
      {"class_name": "BatchNormalization", "config": {"name": "n", "axis": [1]}},
      {"class_name": "Dense", "config": {"name": "b", "units": 2, "use_bias": false,
        "trainable": false}}]}}],
    "build_input_shape": [null, 2]}})")
      .as_object();
}

void expect_nested(const graph::Graph& graph) {
  ASSERT_EQ(graph.layers().size(), 3U);
  EXPECT_EQ(first_of(graph, 0, 0), 100);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(first_of(graph, 1, i), 200 + 10 * static_cast<float>(i));
  }
  EXPECT_EQ(first_of(graph, 2, 0), 300);
}

// The names say nothing: first what is trainable, then what is not.
TEST(LegacyWeights, NestedModelsListTrainableWeightsFirst) {
  expect_nested(*read(whole_model(nested(), [](hid_t file) {
    const std::string group = "/model_weights/inner/";
    float_dataset(file, group + "w0", {2, 2}, filled(4, 100));
    float_dataset(file, group + "w1", {2}, filled(2, 200));
    float_dataset(file, group + "w2", {2}, filled(2, 210));
    float_dataset(file, group + "w3", {2}, filled(2, 220));
    float_dataset(file, group + "w4", {2}, filled(2, 230));
    float_dataset(file, group + "w5", {2, 2}, filled(4, 300));
    text_array(file, "/model_weights/inner", "weight_names", {"w0", "w1", "w2", "w3", "w4", "w5"});
  })));
}

// The layer was frozen after the file was written, or before: the names are clear.
TEST(LegacyWeights, NestedModelsGoByNamesWhereTheyAreClear) {
  expect_nested(*read(whole_model(nested(), [](hid_t file) {
    const std::string group = "/model_weights/inner/";
    float_dataset(file, group + "a/kernel:0", {2, 2}, filled(4, 100));
    float_dataset(file, group + "n/gamma:0", {2}, filled(2, 200));
    float_dataset(file, group + "n/beta:0", {2}, filled(2, 210));
    float_dataset(file, group + "n/moving_mean:0", {2}, filled(2, 220));
    float_dataset(file, group + "n/moving_variance:0", {2}, filled(2, 230));
    float_dataset(file, group + "b/kernel:0", {2, 2}, filled(4, 300));
    text_array(file, "/model_weights/inner", "weight_names",
               {"b/kernel:0", "a/kernel:0", "n/moving_mean:0", "n/moving_variance:0", "n/gamma:0",
                "n/beta:0"});
  })));
}

}  // namespace
}  // namespace kerf::formats
