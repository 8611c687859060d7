#include <gmock/gmock.h>

#include "graph/cut.h"
#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"
#include "tests/support/run_graph.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

TEST(EmbeddingTest, LooksRowsUpAndMasksZero) {
  LayerCase layer{.class_name = "Embedding",
                  .config = R"({"input_dim": 3, "output_dim": 2, "mask_zero": true})",
                  .inputs = {ints({1, 3}, {2, 0, 1})},
                  .weights = {{"embeddings", {1, 2, 3, 4, 5, 6}}}};
  const LayerResult result = run_layer(layer);
  expect_tensor(result.outputs[0], {1, 3, 2}, Floats{5, 6, 1, 2, 3, 4});
  expect_mask(result.masks[0], {1, 3}, {true, false, true});
  // Ids that come as floats are truncated.
  layer.inputs = {floats({1, 3}, {2.9F, 0, 1})};
  expect_tensor(run_layer(layer).outputs[0], {1, 3, 2}, Floats{5, 6, 1, 2, 3, 4});
  layer.config = R"({"input_dim": 3, "output_dim": 2})";
  EXPECT_FALSE(run_layer(layer).masks[0].has_value());
}

TEST(EmbeddingTest, RefusesIdsOutsideItsTable) {
  for (const std::int32_t id : {3, -1, 2'000'000'000}) {
    const Error error = refusal_of({.class_name = "Embedding",
                                    .config = R"({"input_dim": 3, "output_dim": 2})",
                                    .inputs = {ints({1, 1}, {id})},
                                    .weights = {{"embeddings", {1, 2, 3, 4, 5, 6}}}});
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr(std::to_string(id)));
    EXPECT_THAT(error.where(), HasSubstr("layer"));
  }
}

TEST(MaskingTest, ZeroesStepsThatAreTheValueInEveryChannel) {
  const LayerCase layer{.class_name = "Masking",
                        .config = R"({"mask_value": -1.0})",
                        .inputs = {floats({1, 3, 2}, {-1, -1, -1, 2, 0, 0})}};
  const LayerResult result = run_layer(layer);
  expect_tensor(result.outputs[0], {1, 3, 2}, Floats{0, 0, -1, 2, 0, 0});
  expect_mask(result.masks[0], {1, 3}, {false, true, true});
}

TEST(MaskTest, PassesThroughWhatLooksAtEachStepAlone) {
  const Tensor x = floats({1, 2, 2}, {1, 2, -9, -9});
  struct Passing {
    std::string name;
    std::string config;
    std::map<std::string, Floats> weights;
  };
  const Floats two{1, 1};
  for (const Passing& p : std::vector<Passing>{
           {"Dense", R"({"units": 1, "use_bias": false})", {{"kernel", {1, 1}}}},
           {"Dropout", R"({"rate": 0.5})", {}},
           {"SpatialDropout1D", R"({"rate": 0.5})", {}},
           {"GaussianNoise", R"({"stddev": 0.5})", {}},
           {"Activation", R"({"activation": "tanh"})", {}},
           {"LeakyReLU", "{}", {}},
           {"PReLU", R"({"shared_axes": [1]})", {{"alpha", two}}},
           {"BatchNormalization",
            "{}",
            {{"gamma", two}, {"beta", two}, {"moving_mean", two}, {"moving_variance", two}}},
           {"LayerNormalization", "{}", {{"gamma", two}, {"beta", two}}}}) {
    const LayerResult result = run_layer({.class_name = p.name,
                                          .config = p.config,
                                          .inputs = {x},
                                          .weights = p.weights,
                                          .masked_value = -9});
    expect_mask(result.masks[0], {1, 2}, {true, false});
  }
  for (const auto& [name, config] :
       {std::pair{"Flatten", "{}"}, std::pair{"Reshape", R"({"target_shape": [2, 2]})"},
        std::pair{"Permute", R"({"dims": [2, 1]})"}, std::pair{"MaxPooling1D", "{}"}}) {
    EXPECT_FALSE(
        run_layer({.class_name = name, .config = config, .inputs = {x}, .masked_value = -9})
            .masks[0]
            .has_value())
        << name;
  }
}

// Keras 3 writes the mask of an embedding into the graph as an operation beside it, and gives that
// to whoever reads the mask. It is the embedding's mask all the same.
TEST(MaskTest, WrittenOutByKeras3ItIsStillTheOneThatTravels) {
  const std::string tensor =
      R"({"class_name": "__keras_tensor__", "config": {"keras_history": ["%", 0, 0]}})";
  const auto of = [&](const std::string& name) {
    std::string text = tensor;
    return text.replace(text.find('%'), 1, name);
  };
  const std::string config =
      R"({"class_name": "Functional", "config": {"name": "m", "layers": [
    {"class_name": "InputLayer", "name": "ids", "config": {"batch_shape": [null, 3],
     "dtype": "int32"}, "inbound_nodes": []},
    {"module": "keras.layers", "class_name": "Embedding", "name": "embedding",
     "config": {"input_dim": 4, "output_dim": 2, "mask_zero": true},
     "inbound_nodes": [{"args": [)" +
      of("ids") + R"(], "kwargs": {}}]},
    {"module": "keras.src.ops.numpy", "class_name": "NotEqual", "name": "not_equal",
     "config": {"name": "not_equal"},
     "inbound_nodes": [{"args": [)" +
      of("ids") + R"(, 0], "kwargs": {}}]},
    {"module": "keras.layers", "class_name": "Dense", "name": "dense", "config": {"units": 2},
     "inbound_nodes": [{"args": [)" +
      of("embedding") + R"(], "kwargs": {}}]},
    {"module": "keras.layers", "class_name": "GRU", "name": "gru",
     "config": {"units": 2, "reset_after": true},
     "inbound_nodes": [{"args": [)" +
      of("dense") + R"(], "kwargs": {"mask": )" + of("not_equal") + R"(, "initial_state": null}}]}],
    "input_layers": ["ids", 0, 0], "output_layers": ["gru", 0, 0]}})";
  std::mt19937 random(5);
  const auto graph = testing_support::make_model(config, testing_support::random_weights(random));
  program::ConstantCache cache;
  const std::vector<Tensor> ids{ints({2, 3}, {1, 0, 2, 3, 3, 0})};
  const Tensor whole = testing_support::run(graph::whole(graph), ids, cache).front();
  const std::vector<std::string> middle{"dense", "embedding:mask"};
  const std::vector<Tensor> features =
      testing_support::run(graph::cut(graph, {}, middle), ids, cache);
  expect_mask(features[1], {2, 3}, {true, false, true, true, true, false});
  const Tensor tail = testing_support::run(graph::cut(graph, middle, {}), features, cache).front();
  expect_tensor(tail, whole.shape(), whole.as<float>());
  // The operation can be asked for, as any layer.
  const std::vector<std::string> operation{"not_equal"};
  EXPECT_EQ(testing_support::run(graph::cut(graph, {}, operation), ids, cache)[0].dtype(),
            DType::kBool);
}

TEST(MaskTest, ASumNeedsNoMasksWhereNothingReadsItsOwn) {
  const std::string tensor =
      R"({"class_name": "__keras_tensor__", "config": {"keras_history": ["e", 0, 0]}})";
  const auto graph = testing_support::make_model(
      R"({"class_name": "Functional", "config": {"name": "m", "layers": [
          {"class_name": "InputLayer", "name": "x", "config": {"batch_shape": [null, 3],
           "dtype": "int32"}, "inbound_nodes": []},
          {"class_name": "Embedding", "name": "e", "module": "keras.layers", "config": {
           "input_dim": 3, "output_dim": 1, "mask_zero": true}, "inbound_nodes": [{"args": [
           {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}],
           "kwargs": {}}]},
          {"class_name": "Add", "name": "a", "module": "keras.layers", "config": {},
           "inbound_nodes": [{"args": [[)" +
          tensor + ", " + tensor +
          R"(]], "kwargs": {}}]}], "input_layers": [["x", 0, 0]],
             "output_layers": [["a", 0, 0]]}})",
      [](const std::string&, const Shape& shape) {
        return floats(shape, {1, 2, 3});
      });
  const std::vector<std::string> embedding{"e"};
  program::ConstantCache cache;
  const Tensor x = floats({1, 3, 1}, {1, 2, 3});
  const std::vector<std::string> sum{"a"};
  expect_tensor(testing_support::run(graph::cut(graph, embedding, sum), {&x, 1}, cache).front(),
                {1, 3, 1}, Floats{2, 4, 6});
  const std::vector<std::string> mask{"a:mask"};
  EXPECT_THROW(graph::cut(graph, embedding, mask), Error);
}

}  // namespace
}  // namespace kerf::layers
