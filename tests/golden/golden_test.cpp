#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "formats/reader.h"
#include "graph/address.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "layers/registry.h"
#include "tests/golden/golden.h"

// Every golden model against real Keras: the model's outputs and the output of every layer, from
// the .keras and from the .h5 file.
namespace kerf {
namespace {

using golden::Golden;
using golden::Truth;
using testing::HasSubstr;

struct Case {
  std::filesystem::path folder;
  std::string name;
  std::string extension;
  friend void PrintTo(const Case& value, std::ostream* out) {
    *out << value.name << value.extension;
  }
};

std::vector<Case> cases() {
  std::vector<Case> result;
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& folder : golden::folders()) {
    for (const std::string& name : golden::names(folder)) {
      for (const char* extension : {".keras", ".h5"}) {
        const bool there = std::filesystem::exists(folder / (name + extension));
        if (there && seen.emplace(name, extension).second) {
          result.push_back({.folder = folder, .name = name, .extension = extension});
        }
      }
    }
  }
  return result;
}

// Classes of the model's layers that no file of src/layers/keras/ registers.
std::set<std::string> unknown_classes(const Golden& golden) {
  std::set<std::string> unknown;
  for (const Truth& layer : golden.layers) {
    const std::string& name = layer.class_name;
    const layers::Registry& registry = layers::Registry::instance();
    if (name != "Functional" && name != "Sequential" && registry.find(name, false) == nullptr &&
        registry.find(name, true) == nullptr) {
      // The one class that .keras files do not call as Python does.
      unknown.insert(name == "GroupedQueryAttention" ? "QueryAttention" : name);
    }
  }
  return unknown;
}

// Whether a model was refused for an operation that kerf does not know although it knows the layer
// of that name.
bool refuses_operation(const Golden& golden, const Error& error) {
  return error.code() == ErrorCode::kUnsupported &&
         std::ranges::any_of(golden.layers, [&](const Truth& layer) {
           const std::string& name = layer.class_name;
           const std::string message = error.what();
           return layers::Registry::instance().find(name, true) == nullptr &&
                  message.find("the operation " + name + " ") != std::string::npos;
         });
}

// What rounding to the coarsest dtype of the model may do to everything after it.
double tolerance(const Golden& golden) {
  double result = 0;
  for (const Truth& layer : golden.layers) {
    result = std::max(result, golden::tolerance(layer.dtype));
  }
  return result;
}

class GoldenTest : public testing::TestWithParam<Case> {};

TEST_P(GoldenTest, EqualsKeras) {
  const Golden golden = golden::read(GetParam().folder, GetParam().name);
  const std::filesystem::path file = golden.folder / (golden.name + GetParam().extension);
  const std::set<std::string> unknown = unknown_classes(golden);
  if (!unknown.empty()) {
    try {
      Model::load(file);
      ADD_FAILURE() << "the model was loaded, although it has a " << *unknown.begin();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      for (const std::string& name : unknown) EXPECT_THAT(error.what(), HasSubstr(name));
    }
    return;
  }

  std::optional<Model> loaded;
  try {
    loaded = Model::load(file);
  } catch (const Error& error) {
    // Operations bear the names of layers; the golden set does not tell which is meant.
    EXPECT_TRUE(refuses_operation(golden, error)) << error.what();
    return;
  }
  const Model& model = *loaded;
  ASSERT_EQ(model.inputs().size(), golden.inputs.size());
  ASSERT_EQ(model.outputs().size(), golden.outputs.size());
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < golden.inputs.size(); ++i) {
    inputs.push_back(golden.array(golden.inputs[i]));
    // Keras numbers the unnamed input of a Sequential model anew in every process.
    if (!golden.inputs[i].path.starts_with("keras_tensor")) {
      EXPECT_EQ(model.inputs()[i].name, golden.inputs[i].path);
    }
    EXPECT_TRUE(model.inputs()[i].shape.accepts(inputs[i].shape()));
  }
  const std::vector<Tensor> outputs = model.whole().run(inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_LE(golden::distance(outputs[i], golden.array(golden.outputs[i])), tolerance(golden))
        << "output " << model.outputs()[i].name;
    EXPECT_TRUE(model.outputs()[i].shape.accepts(outputs[i].shape()));
  }

  // Each layer's output alone, from the inputs it needs.
  const auto graph = formats::read_model(file);
  for (const Truth& layer : golden.layers) {
    const std::string address = graph::address_of(*graph, golden::tensor_of(*graph, layer));
    const Cut cut = model.cut({}, std::vector<std::string>{address});
    std::vector<Tensor> fed;
    for (const TensorInfo& feed : cut.feeds()) {
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (model.inputs()[i].name == feed.name) fed.push_back(inputs[i]);
      }
    }
    const Tensor result = cut.run(fed).front();
    EXPECT_LE(golden::distance(result, golden.array(layer)), tolerance(golden))
        << address << " (" << layer.class_name << ") has the shape " << result.shape().to_string();
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(cases()), [](const auto& test) {
  return test.param.name + "_" + test.param.extension.substr(1);
});

// What the repository ships has to run: a layer that is lost cannot hide behind a refusal.
TEST(GoldenSetTest, EveryModelOfTheRepositoryIsSupported) {
  const std::filesystem::path folder = golden::folders().front();
  EXPECT_GE(golden::names(folder).size(), 34U);
  for (const std::string& name : golden::names(folder)) {
    EXPECT_TRUE(unknown_classes(golden::read(folder, name)).empty()) << name;
  }
}

}  // namespace
}  // namespace kerf
