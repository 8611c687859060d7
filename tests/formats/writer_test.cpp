#include <gmock/gmock.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstring>
#include <map>
#include <set>

#include "formats/archive.h"
#include "formats/hdf5_file.h"
#include "formats/json.h"
#include "formats/keras_writer.h"
#include "formats/reader.h"
#include "graph/cut.h"
#include "graph/dependencies.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/formats/support.h"

namespace kerf {
namespace {

namespace json = boost::json;
using formats::Archive;
using formats::Hdf5File;
using formats::InputFile;
using test::TemporaryFolder;

class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& path)
      : file_(path),
        archive_(file_),
        config(formats::parse_json(archive_.read("config.json", 1 << 28)->text(), "config")),
        weights(archive_.read("model.weights.h5", 1 << 28), "weights") {}

 private:
  InputFile file_;
  Archive archive_;

 public:
  json::value config;
  Hdf5File weights;
};

const json::array& layers_of(const json::value& model) {
  return model.at("config").at("layers").as_array();
}

std::map<std::string, const json::object*> by_name(const json::value& model) {
  std::map<std::string, const json::object*> layers;
  for (const json::value& layer : layers_of(model)) {
    const json::object& object = layer.as_object();
    const json::value& name =
        object.contains("name") ? object.at("name") : object.at("config").at("name");
    layers.emplace(std::string(name.as_string()), &object);
  }
  return layers;
}

bool has_nested_models(const json::value& model) {
  for (const json::value& layer : layers_of(model)) {
    if (layer.at("config").as_object().contains("layers")) return true;
  }
  return false;
}

// kerf widens narrow types, and says so in the file it writes.
json::value without_dtypes(const json::value& value) {
  if (const json::object* object = value.if_object()) {
    json::object result;
    for (const auto& entry : *object) {
      if (entry.key() != "dtype") result[entry.key()] = without_dtypes(entry.value());
    }
    return result;
  }
  if (const json::array* array = value.if_array()) {
    json::array result;
    for (const json::value& entry : *array) result.push_back(without_dtypes(entry));
    return result;
  }
  return value;
}

// Every dataset below a group by its path, and the attribute "name" of every group "vars".
void collect(const Hdf5File& file, const std::string& group,
             std::map<std::string, std::string>& names, std::map<std::string, Tensor>& values,
             const std::string& below = "") {
  for (const std::string& child : file.children(group + below)) {
    const std::string path = below + "/" + child;
    if (child == "vars") {
      names[path] = file.text_attribute(group + path, "name").value_or("(none)");
      // Numbered over all models of a process, and in no configuration.
      for (const char* part : {"/_softmax/vars", "/_dropout_layer/vars"}) {
        if (path.ends_with(part)) names[path] = "(numbered)";
      }
      for (const std::string& dataset : file.children(group + path)) {
        values[path + "/" + dataset] = file.dataset(group + path + "/" + dataset);
      }
    } else if (child != "seed_generator") {
      collect(file, group, names, values, path);
    }
  }
}

// The folder of every layer of a model, by the name written in it.
std::map<std::string, std::string> folders(const Hdf5File& file) {
  std::map<std::string, std::string> result;
  for (const std::string& child : file.children("/layers")) {
    const std::string vars = "/layers/" + child + "/vars";
    result[file.text_attribute(vars, "name").value_or("(none)")] = "/layers/" + child;
  }
  return result;
}

// Field by field, what kerf writes for a whole model is what Keras wrote for it.
TEST(KerasWriter, WritesWhatKerasWrites) {
  const TemporaryFolder folder;
  int compared = 0;
  for (const auto& path : test::golden_models(".keras")) {
    SCOPED_TRACE(path.filename());
    const GoldenFile golden(path);
    if (has_nested_models(golden.config)) continue;
    formats::write_keras(graph::whole(formats::read_model(path)), folder / "model.keras");
    const GoldenFile written(folder / "model.keras");
    const auto expected = by_name(golden.config);
    const bool functional = golden.config.at("class_name") == "Functional";
    if (functional) {
      for (const char* key : {"module", "class_name", "registered_name", "build_config"}) {
        EXPECT_EQ(written.config.at(key), golden.config.at(key)) << key;
      }
      EXPECT_EQ(written.config.at("config").at("name"), golden.config.at("config").at("name"));
    }
    const auto expected_folders = folders(golden.weights);
    const auto written_folders = folders(written.weights);
    for (const auto& [name, layer] : by_name(written.config)) {
      SCOPED_TRACE(name);
      ASSERT_TRUE(expected.contains(name));
      const json::object& other = *expected.at(name);
      const bool input = layer->at("class_name") == "InputLayer";
      for (const char* key : {"module", "class_name", "registered_name"}) {
        EXPECT_EQ(layer->at(key), other.at(key)) << key;
      }
      EXPECT_EQ(layer->contains("build_config"), other.contains("build_config"));
      if (other.contains("build_config") && layer->contains("build_config")) {
        EXPECT_EQ(layer->at("build_config"), other.at("build_config"));
      }
      EXPECT_EQ(input ? without_dtypes(layer->at("config")) : layer->at("config"),
                input ? without_dtypes(other.at("config")) : other.at("config"));
      if (functional) {
        std::set<std::string> keys;
        std::set<std::string> other_keys;
        for (const auto& entry : *layer) keys.insert(entry.key());
        for (const auto& entry : other) other_keys.insert(entry.key());
        EXPECT_EQ(keys, other_keys);
        EXPECT_EQ(without_dtypes(layer->at("inbound_nodes")),
                  without_dtypes(other.at("inbound_nodes")));
      }
      if (!expected_folders.contains(name)) continue;
      ASSERT_TRUE(written_folders.contains(name));
      // Keras finds weights by its count of the layers.
      if (functional) {
        EXPECT_EQ(written_folders.at(name), expected_folders.at(name));
      }
      std::map<std::string, std::string> names;
      std::map<std::string, std::string> other_names;
      std::map<std::string, Tensor> values;
      std::map<std::string, Tensor> other_values;
      collect(written.weights, written_folders.at(name), names, values);
      collect(golden.weights, expected_folders.at(name), other_names, other_values);
      EXPECT_EQ(names, other_names);
      ASSERT_EQ(values.size(), other_values.size());
      for (const auto& [dataset, value] : values) {
        ASSERT_TRUE(other_values.contains(dataset)) << dataset;
        const Tensor& same = other_values.at(dataset);
        EXPECT_EQ(value.dtype(), same.dtype()) << dataset;
        EXPECT_EQ(value.shape(), same.shape()) << dataset;
        EXPECT_EQ(std::memcmp(value.data(), same.data(), same.byte_size()), 0) << dataset;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 0) << "no golden models found";
}

void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].shape(), b[i].shape());
    // What is float32 between the layers of a model may be half as the output of one.
    EXPECT_TRUE(a[i].dtype() == b[i].dtype() || is_floating(a[i].dtype()));
    const bool narrow = dtype_size(a[i].dtype()) < dtype_size(b[i].dtype());
    const DType dtype = narrow ? a[i].dtype() : b[i].dtype();
    const Tensor x = a[i].cast(dtype);
    const Tensor y = b[i].cast(dtype);
    EXPECT_EQ(std::memcmp(x.data(), y.data(), x.byte_size()), 0) << "output " << i;
  }
}

// Writes the cut, reads the file again, and compares what both compute.
void expect_round_trip(const Cut& cut, const std::filesystem::path& file) {
  cut.write(file);
  const Cut again = Model::load(file).whole();
  ASSERT_EQ(again.feeds().size(), cut.feeds().size());
  std::vector<Tensor> feeds;
  for (std::size_t i = 0; i < cut.feeds().size(); ++i) {
    EXPECT_EQ(again.feeds()[i].shape, cut.feeds()[i].shape);
    feeds.push_back(test::sample(cut.feeds()[i]));
  }
  expect_same(again.run(feeds), cut.run(feeds));
}

std::vector<std::string> addresses(const graph::Graph& graph,
                                   std::span<const graph::TensorId> tensors) {
  std::vector<std::string> result;
  for (const graph::TensorId id : tensors) result.push_back(graph::address_of(graph, id));
  return result;
}

class RoundTrip : public testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, WholeModels) {
  const TemporaryFolder folder;
  for (const auto& path : test::golden_models(GetParam())) {
    SCOPED_TRACE(path.filename());
    expect_round_trip(Model::load(path).whole(), folder / "whole.keras");
  }
}

// From the inputs to every single tensor of the model, masks included.
TEST_P(RoundTrip, Heads) {
  const TemporaryFolder folder;
  for (const auto& path : test::golden_models(GetParam())) {
    SCOPED_TRACE(path.filename());
    const Model model = Model::load(path);
    for (const TensorInfo& tensor : model.tensors()) {
      SCOPED_TRACE(tensor.name);
      const std::vector<std::string> fetch{tensor.name};
      try {
        expect_round_trip(model.cut({}, fetch), folder / "head.keras");
      } catch (const Error& error) {
        // Masks that Keras combines inside of a layer have no form in its files.
        EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
        EXPECT_TRUE(tensor.name.ends_with("mask") ||
                    error.message().find("took away") != std::string::npos)
            << error.what();
      }
    }
  }
}

// Before every call of the model: from all tensors that exist then and are needed later, masks
// included, to the outputs.
TEST_P(RoundTrip, Tails) {
  const TemporaryFolder folder;
  int written = 0;
  for (const auto& path : test::golden_models(GetParam())) {
    SCOPED_TRACE(path.filename());
    const auto graph = formats::read_model(path);
    const Model model = Model::load(path);
    for (graph::CallId first = 1; first < graph->calls().size(); ++first) {
      std::set<graph::TensorId> needed;
      const auto need = [&](graph::TensorId id) {
        if (graph->tensor(id).producer == graph::kNone || graph->tensor(id).producer < first) {
          needed.insert(id);
        }
      };
      for (const graph::Port& port : graph->outputs()) need(port.tensor);
      for (graph::CallId later = first; later < graph->calls().size(); ++later) {
        graph::for_each_dependency(graph->call(later), true, need);
      }
      const std::vector<graph::TensorId> feeds(needed.begin(), needed.end());
      SCOPED_TRACE("before " + graph::address_of(*graph, graph->call(first).outputs.front()));
      try {
        expect_round_trip(model.cut(addresses(*graph, feeds), {}, {.strict = false}),
                          folder / "tail.keras");
        ++written;
      } catch (const Error& error) {
        // A mask that is fed cannot be given to a layer that merges tensors.
        EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << error.what();
        EXPECT_THAT(error.message(), testing::AnyOf(testing::HasSubstr("cannot give the mask"),
                                                    testing::HasSubstr("took away")));
      }
    }
  }
  EXPECT_GT(written, 0);
}

INSTANTIATE_TEST_SUITE_P(Golden, RoundTrip, testing::Values(".keras", ".h5"),
                         [](const auto& tested) { return std::string(tested.param).substr(1); });

TEST(KerasWriter, LeavesAnOldFileWhereTheNewOneCannotBeWritten) {
  const TemporaryFolder folder;
  const auto models = test::golden_models(".keras");
  ASSERT_FALSE(models.empty());
  const Cut cut = Model::load(models.front()).whole();
  std::filesystem::create_directory(folder / "taken.keras");
  EXPECT_THROW(cut.write(folder / "taken.keras"), Error);
  EXPECT_THROW(cut.write(folder / "no/such/folder.keras"), Error);
  EXPECT_TRUE(std::filesystem::is_directory(folder / "taken.keras"));
}

}  // namespace
}  // namespace kerf
