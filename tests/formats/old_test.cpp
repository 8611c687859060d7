#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <map>

#include "formats/old_dialect.h"
#include "formats/reader.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/hdf5_support.h"
#include "tests/formats/support.h"

// HDF5 files of older versions of Keras, against files of today's form that say the same.
namespace kerf {
namespace {

using test::float_dataset;
using test::made_by_library;
using test::make_groups;
using test::text_array;
using test::text_attribute;

struct Weight {
  std::string name;
  std::vector<hsize_t> dims;
  std::vector<float> values;
};
using Weights = std::map<std::string, std::vector<Weight>>;  // by layer

std::vector<float> numbers(std::size_t count, int seed) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>((static_cast<int>(i) * 5 + seed * 7) % 17 - 8) / 16;
  }
  return values;
}

struct OldFile {
  std::string config;
  std::string version;
  std::string backend{};
};

Model load(const OldFile& file, const Weights& weights) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "old.h5", made_by_library([&](hid_t h5) {
                     make_groups(h5, {"/model_weights"});
                     text_attribute(h5, "/", "model_config", file.config);
                     if (!file.version.empty()) {
                       text_attribute(h5, "/", "keras_version", file.version);
                     }
                     if (!file.version.empty() && !file.version.starts_with("1.")) {
                       text_attribute(h5, "/model_weights", "keras_version", file.version);
                     }
                     if (!file.backend.empty()) text_attribute(h5, "/", "backend", file.backend);
                     std::vector<std::string> layers;
                     for (const auto& [layer, list] : weights) {
                       layers.push_back(layer);
                       const std::string group = "/model_weights/" + layer;
                       make_groups(h5, {group});
                       std::vector<std::string> names;
                       for (const Weight& weight : list) {
                         names.push_back(weight.name);
                         float_dataset(h5, group + "/" + weight.name, weight.dims, weight.values);
                       }
                       text_array(h5, group, "weight_names", names);
                     }
                     text_array(h5, "/model_weights", "layer_names", layers);
                   }));
  return Model::load(folder / "old.h5");
}

std::vector<float> run(const Model& model) {
  std::vector<Tensor> feeds;
  for (const TensorInfo& input : model.inputs()) feeds.push_back(test::sample(input));
  const Tensor output = model.whole().run(feeds)[0];
  return {output.as<float>().begin(), output.as<float>().end()};
}

// As a file of Keras 3, whose layers must be those of its own, it computes the same.
void expect_conversion(const Model& model) {
  const test::TemporaryFolder folder;
  model.whole().write(folder / "new.keras");
  const std::vector<float> before = run(model);
  const std::vector<float> after = run(Model::load(folder / "new.keras"));
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(before[i], after[i], 1e-5) << i;
}

void expect_same(const Model& old, const Model& modern) {
  expect_conversion(old);
  const std::vector<float> a = run(old);
  const std::vector<float> b = run(modern);
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_FLOAT_EQ(a[i], b[i]) << i;
}

// One layer "l" behind an input of this shape.
std::string one_layer(const std::string& class_name, const std::string& shape,
                      const std::string& settings) {
  return R"({"class_name": "Sequential", "config": [{"class_name": ")" + class_name +
         R"(", "config": {"name": "l", "batch_input_shape": )" + shape + ", " + settings + "}}]}";
}

// The columns [from, from + count) of a matrix.
Weight columns(const std::string& name, const Weight& matrix, hsize_t from, hsize_t count) {
  Weight part{name, matrix.dims, {}};
  const hsize_t width = matrix.dims.back();
  part.dims.back() = count;
  for (std::size_t i = 0; i < matrix.values.size(); ++i) {
    if (i % width >= from && i % width < from + count) part.values.push_back(matrix.values[i]);
  }
  return part;
}

TEST(Keras1, DenseHasItsOldNames) {
  const std::vector<Weight> weights{{"l_W:0", {3, 2}, numbers(6, 1)}, {"l_b:0", {2}, {1, -1}}};
  expect_same(load({one_layer("Dense", "[null, 3]",
                              R"("output_dim": 2, "bias": true, "activation": "hard_sigmoid",
                                 "init": "uniform", "input_dtype": "float32")"),
                    "1.2.2"},
                   {{"l", weights}}),
              load({one_layer("Dense", "[null, 3]", R"("units": 2, "activation": "hard_sigmoid")"),
                    "2.2.4"},
                   {{"l", weights}}));
}

// Gates are stored apart, those of an LSTM in the order i, c, f, o.
TEST(Keras1, GatesOfCellsAreJoined) {
  for (const auto& [name, gates] :
       std::vector<std::pair<std::string, std::string>>{{"LSTM", "icfo"}, {"GRU", "zrh"}}) {
    const std::size_t n = gates.size();
    const Weight kernel{"kernel:0", {3, 2 * n}, numbers(6 * n, 1)};
    const Weight recurrent{"recurrent_kernel:0", {2, 2 * n}, numbers(4 * n, 2)};
    const Weight bias{"bias:0", {2 * n}, numbers(2 * n, 3)};
    const std::string modern_gates = n == 4 ? "ifco" : gates;
    std::vector<Weight> apart;
    for (const char gate : gates) {
      const hsize_t from = 2 * modern_gates.find(gate);
      apart.push_back(columns(std::string("l_W_") + gate + ":0", kernel, from, 2));
      apart.push_back(columns(std::string("l_U_") + gate + ":0", recurrent, from, 2));
      apart.push_back(columns(std::string("l_b_") + gate + ":0", bias, from, 2));
    }
    const std::string old = one_layer(name, "[null, 4, 3]",
                                      R"("output_dim": 2, "activation": "tanh",
           "inner_activation": "hard_sigmoid", "return_sequences": true, "consume_less": "cpu")");
    const std::string modern = one_layer(name, "[null, 4, 3]", R"("units": 2, "activation": "tanh",
           "recurrent_activation": "hard_sigmoid", "return_sequences": true)");
    const Model expected = load({modern, "2.0.0"}, {{"l", {kernel, recurrent, bias}}});
    expect_same(load({old, "1.2.2"}, {{"l", apart}}), expected);
    // consume_less="gpu" stores them together.
    expect_same(load({old, "1.2.2"}, {{"l", {kernel, recurrent, bias}}}), expected);
    apart.pop_back();
    EXPECT_THROW(load({old, "1.2.2"}, {{"l", apart}}), Error);
  }
}

std::vector<float> convolved(const OldFile& file, const std::string& weight,
                             const std::vector<hsize_t>& dims) {
  const Model model = load(file, {{"l", {{weight, dims, {1, 10, 100, 1000}}}}});
  const Tensor x =
      Tensor::floats(model.inputs()[0].shape.rank() == 3 ? Shape{1, 4, 1} : Shape{1, 1, 2, 2},
                     std::vector<float>{1, 2, 3, 4});
  const Tensor y = model.whole().run(std::array{x})[0];
  return {y.as<float>().begin(), y.as<float>().end()};
}

// Theano turns kernels round, TensorFlow does not; names of variables tell which it was.
TEST(Keras1, ConvolutionsHaveTheKernelsOfTheirBackend) {
  const OldFile image{one_layer("Convolution2D", "[null, 1, 2, 2]",
                                R"("nb_filter": 1, "nb_row": 2, "nb_col": 2, "bias": false,
           "subsample": [1, 1], "border_mode": "valid", "dim_ordering": "th")"),
                      "1.2.2"};
  EXPECT_EQ(convolved(image, "l_W:0", {1, 1, 2, 2}), (std::vector<float>{4321}));
  EXPECT_EQ(convolved(image, "l_W", {1, 1, 2, 2}), (std::vector<float>{1234}));
  const OldFile line{one_layer("Convolution1D", "[null, 4, 1]",
                               R"("nb_filter": 1, "filter_length": 4, "bias": false,
           "subsample_length": 1, "border_mode": "valid")"),
                     "1.1.0"};
  EXPECT_EQ(convolved(line, "l_W:0", {4, 1, 1, 1}), (std::vector<float>{4321}));
  EXPECT_EQ(convolved(line, "l_W:0", {1, 1, 4, 1}), (std::vector<float>{4321}));
}

TEST(Keras1, KernelsOfChannelsFirstAreTransposed) {
  // (out, in, rows, columns) = (2, 2, 1, 1): y[o] = sum of x[i] * w[o][i].
  const Model model =
      load({one_layer(
                "Convolution2D", "[null, 2, 1, 1]",
                R"("nb_filter": 2, "nb_row": 1, "nb_col": 1, "bias": false, "dim_ordering": "th")"),
            "1.2.0"},
           {{"l", {{"l_W:0", {2, 2, 1, 1}, {1, 2, 3, 4}}}}});
  const Tensor y =
      model.whole().run(std::array{Tensor::floats({1, 2, 1, 1}, std::vector<float>{10, 100})})[0];
  EXPECT_EQ(std::vector<float>(y.as<float>().begin(), y.as<float>().end()),
            (std::vector<float>{210, 430}));
}

TEST(Keras2, ConvolutionsOfTheanoAreTurnedRound) {
  const std::string config =
      one_layer("Conv1D", "[null, 4, 1]", R"("filters": 1, "kernel_size": [4], "use_bias": false)");
  EXPECT_EQ(convolved({config, "2.1.0", "theano"}, "l/kernel:0", {4, 1, 1}),
            (std::vector<float>{1234}));
  EXPECT_EQ(convolved({config, "2.1.0", "tensorflow"}, "l/kernel:0", {4, 1, 1}),
            (std::vector<float>{4321}));
}

// Two branches that a Sequential model begins with become two inputs.
TEST(Keras1, MergedBranchesAreAGraph) {
  const std::string config = R"({"class_name": "Sequential", "config": [
      {"class_name": "Merge", "config": {"name": "m", "mode": "concat", "concat_axis": -1,
        "mode_type": "raw", "layers": [
        {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "a",
           "batch_input_shape": [null, 2], "output_dim": 1, "input_dtype": "float32"}}]},
        {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"name": "b",
           "batch_input_shape": [null, 1], "output_dim": 1, "input_dtype": "float32"}}]}]}},
      {"class_name": "Dense", "config": {"name": "c", "output_dim": 1}}]})";
  const Model model = load({config, "1.2.2"}, {{"a", {{"W", {2, 1}, {2, 3}}, {"b", {1}, {0}}}},
                                               {"b", {{"W", {1, 1}, {5}}, {"b", {1}, {1}}}},
                                               {"c", {{"W", {2, 1}, {1, 10}}, {"b", {1}, {0}}}}});
  const Tensor y = model.whole().run(std::array{Tensor::floats({1, 2}, std::vector<float>{1, 1}),
                                                Tensor::floats({1, 1}, std::vector<float>{2})})[0];
  EXPECT_EQ(y.as<float>()[0], 5 + 110);
}

// The settings of a layer of Keras 1, translated.
boost::json::object translated(const std::string& class_name, const std::string& settings) {
  const auto model =
      boost::json::parse(one_layer(class_name, "[null, 4, 4, 2]", settings)).as_object();
  return formats::translate_old_config(model, true, "test").at("config").as_array()[0].as_object();
}

TEST(Keras1, SettingsAreTranslated) {
  using boost::json::parse;
  EXPECT_EQ(translated("MaxPooling1D", R"("pool_length": 3, "stride": 2)").at("config"),
            parse(R"({"name": "l", "batch_input_shape": [null, 4, 4, 2], "pool_size": 3,
                      "strides": 2})"));
  EXPECT_EQ(translated("AtrousConvolution2D", R"("atrous_rate": [2, 2])").at("class_name"),
            "Conv2D");
  EXPECT_EQ(translated("ZeroPadding2D", R"("padding": {"top_pad": 1, "left_pad": 2})")
                .at("config")
                .at("padding"),
            parse("[[1, 0], [2, 0]]"));
  EXPECT_EQ(translated("ZeroPadding2D", R"("padding": [1, 2, 3, 4])").at("config").at("padding"),
            parse("[[1, 2], [3, 4]]"));
  EXPECT_EQ(translated("Cropping2D", R"("dim_ordering": "th")").at("config").at("data_format"),
            "channels_first");
  EXPECT_EQ(translated("Dropout", R"("p": 0.5)").at("config").at("rate"), 0.5);
  EXPECT_THROW(translated("BatchNormalization", R"("mode": 1)"), Error);
  EXPECT_THROW(translated("Merge", R"("mode": "raw", "mode_type": "lambda")"), Error);
}

// The inverse of what is done to a kernel: gates whose columns stand one behind another as rows.
std::vector<float> as_cudnn(const Weight& kernel, std::size_t gates) {
  const std::size_t rows = kernel.dims[0];
  const std::size_t units = kernel.dims[1] / gates;
  std::vector<float> stored(kernel.values.size());
  for (std::size_t gate = 0; gate < gates; ++gate) {
    std::vector<float> in_columns;
    for (std::size_t unit = 0; unit < units; ++unit) {
      for (std::size_t row = 0; row < rows; ++row) {
        in_columns.push_back(kernel.values[row * gates * units + gate * units + unit]);
      }
    }
    for (std::size_t k = 0; k < in_columns.size(); ++k) {
      stored[k / units * gates * units + gate * units + k % units] = in_columns[k];
    }
  }
  return stored;
}

TEST(Keras2, CudnnLayersAreTheOthers) {
  for (const auto& [name, gates] :
       std::vector<std::pair<std::string, std::size_t>>{{"LSTM", 4}, {"GRU", 3}}) {
    const Weight kernel{"l/kernel:0", {3, 2 * gates}, numbers(6 * gates, 1)};
    const Weight recurrent{"l/recurrent_kernel:0", {2, 2 * gates}, numbers(4 * gates, 2)};
    const std::vector<float> both = numbers(4 * gates, 3);
    Weight bias{"l/bias:0", {2, 2 * gates}, both};
    if (gates == 4) {
      bias.dims = {8};
      bias.values.resize(8);
      for (std::size_t i = 0; i < 8; ++i) bias.values[i] = both[i] + both[8 + i];
    }
    Weight old_kernel = kernel;
    old_kernel.values = as_cudnn(kernel, gates);
    Weight old_recurrent = recurrent;
    old_recurrent.values = as_cudnn(recurrent, gates);
    const std::string settings = R"("units": 2, "return_sequences": true)";
    const std::string modern = settings + R"(, "activation": "tanh",
        "recurrent_activation": "sigmoid", "reset_after": true)";
    expect_same(load({one_layer("CuDNN" + name, "[null, 4, 3]", settings), "2.2.4"},
                     {{"l", {old_kernel, old_recurrent, {"l/bias:0", {4 * gates}, both}}}}),
                load({one_layer(name, "[null, 4, 3]", modern), "2.2.4"},
                     {{"l", {kernel, recurrent, bias}}}));
  }
}

// Only a layer inside of the model that comes first says what the input is.
TEST(Keras2, TheInputIsThatOfTheFirstModel) {
  const Model model =
      load({R"({"class_name": "Sequential", "config": {"name": "s", "layers": [
                {"class_name": "Sequential", "config": {"name": "inner", "layers": [
                  {"class_name": "Dense", "config": {"name": "d", "units": 1,
                   "batch_input_shape": [null, 3]}}]}}]}})",
            "2.2.4"},
           {{"inner", {{"d/kernel:0", {3, 1}, {1, 2, 3}}, {"d/bias:0", {1}, {0}}}}});
  EXPECT_EQ(model.inputs()[0].shape, (Shape{Shape::kUnknown, 3}));
}

// Functions that Keras 3 computes otherwise, or that have another name there.
TEST(Keras2, FunctionsThatKeras3ComputesOtherwiseAreConverted) {
  const std::vector<Weight> dense{{"l/kernel:0", {3, 2}, numbers(6, 1)},
                                  {"l/bias:0", {2}, {1, -1}}};
  expect_conversion(load(
      {one_layer("Dense", "[null, 3]", R"("units": 2, "activation": "hard_sigmoid")"), "2.3.0"},
      {{"l", dense}}));
  expect_conversion(
      load({one_layer("Activation", "[null, 3]", R"("activation": "hard_sigmoid")"), "2.3.0"}, {}));
  expect_conversion(
      load({one_layer("ThresholdedReLU", "[null, 30]", R"("theta": 0.25)"), "2.3.0"}, {}));
  expect_conversion(load(
      {one_layer(
           "Dense", "[null, 3]",
           R"("units": 2, "activation": {"class_name": "LeakyReLU", "config": {"alpha": 0.5}})"),
       "2.3.0"},
      {{"l", dense}}));
  const auto recurrent = [](const std::string& class_name, hsize_t gates) {
    const auto half = [&](const std::string& name, int seed) {
      return std::vector<Weight>{
          {name + "/kernel:0", {3, 2 * gates}, numbers(6 * gates, seed)},
          {name + "/recurrent_kernel:0", {2, 2 * gates}, numbers(4 * gates, seed + 1)},
          {name + "/bias:0", {2 * gates}, numbers(2 * gates, seed + 2)}};
    };
    const std::string config =
        R"("units": 2, "recurrent_activation": "hard_sigmoid", "return_sequences": true)";
    expect_conversion(
        load({one_layer(class_name, "[null, 5, 3]", config), "2.3.0"}, {{"l", half("l", 1)}}));
    std::vector<Weight> both = half("l/forward_r", 1);
    for (Weight& weight : half("l/backward_r", 5)) both.push_back(std::move(weight));
    expect_conversion(
        load({one_layer("Bidirectional", "[null, 5, 3]",
                        R"("merge_mode": "concat", "layer": {"class_name": ")" + class_name +
                            R"(", "config": {"name": "r", )" + config + "}}"),
              "2.3.0"},
             {{"l", both}}));
  };
  recurrent("LSTM", 4);
  recurrent("GRU", 3);
}

// Neither the file nor its group of weights says which Keras it is of.
TEST(Keras2, FilesWithoutAVersionAreKnownByTheirKeys) {
  const std::vector<Weight> weights{{"l/kernel", {2, 2, 3, 4}, numbers(48, 1)},
                                    {"l/bias", {4}, numbers(4, 2)}};
  const std::string config = one_layer(
      "Conv2D", "[null, 5, 5, 3]",
      R"("filters": 4, "kernel_size": [2, 2], "data_format": "channels_last", "use_bias": true)");
  expect_same(load({config, ""}, {{"l", weights}}), load({config, "2.3.0"}, {{"l", weights}}));
}

}  // namespace
}  // namespace kerf
