#include "kerf/extensions.h"

#include <gmock/gmock.h>

#include <cmath>

#include "layers/user_definitions.h"
#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kPlugins = KERF_TEST_PLUGINS;

Extensions aliases(std::initializer_list<const char*> texts) {
  Extensions extensions;
  for (const char* text : texts) extensions.alias(text);
  return extensions;
}

Extensions plugin(const std::string& name) {
  Extensions extensions;
  extensions.plugin(kPlugins + "/" + name + ".so");
  return extensions;
}

// A layer of a class that is not Keras'.
LayerCase custom(const std::string& class_name, const Extensions& extensions,
                 std::vector<Tensor> inputs, const std::string& config = "{}") {
  return {.class_name = class_name,
          .config = config,
          .inputs = std::move(inputs),
          .module = "their.module",
          .extensions = extensions};
}

Tensor run(const LayerCase& layer) { return run_layer(layer).outputs.at(0); }

std::string message_of(const char* alias) {
  try {
    aliases({alias});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  ADD_FAILURE() << alias << " was accepted";
  return {};
}

TEST(AliasTest, StandsForAnExpression) {
  const Tensor x = floats({1, 3}, {-1, 0, 2});
  Floats expected;
  for (const float v : {-1.0F, 0.0F, 2.0F}) expected.push_back(v / (1 + std::exp(-1.702F * v)));
  for (const char* name : {"my>Gelu2", "Gelu2"}) {
    const Extensions extensions =
        aliases({(std::string(name) + " = x * sigmoid(1.702 * x)").c_str()});
    expect_tensor(run(custom("my>Gelu2", extensions, {x})), {1, 3}, expected);
    expect_tensor(run(custom("Gelu2", extensions, {x})), {1, 3}, expected);
  }
  EXPECT_THAT(refusal_of(custom("Gelu2", aliases({"Other=x"}), {x})).what(),
              AllOf(HasSubstr("Gelu2"), HasSubstr("alias or a plug-in")));
}

TEST(AliasTest, ReadsConfigurationInputsAndWeights) {
  const Tensor a = floats({1, 2}, {1, 2});
  const Tensor b = floats({1, 2}, {10, 20});
  expect_tensor(run(custom("Mix", aliases({"Mix=share * x[0] + (1 - share) * x[1]"}), {a, b},
                           R"({"share": 0.25})")),
                {1, 2}, Floats{7.75F, 15.5F});
  LayerCase scale = custom("Scale", aliases({"Scale=x * weight('gamma', (x.shape[-1],))"}), {a});
  scale.weights["gamma"] = {3, 5};
  expect_tensor(run(scale), {1, 2}, Floats{3, 10});
  LayerCase keyword = custom("Add2", aliases({"Add2=x - other"}), {a, b});
  keyword.arguments = R"({"args": [$0], "kwargs": {"other": $1}})";
  expect_tensor(run(keyword), {1, 2}, Floats{-9, -18});
  const LayerResult both = run_layer(custom("Split", aliases({"Split=(x[:, :1], x[:, 1:])"}), {a}));
  EXPECT_EQ(both.outputs.size(), 2);
}

TEST(AliasTest, StandsForAClassOfKeras) {
  LayerCase dense =
      custom("my>MyDense", aliases({"my>MyDense = Dense(units=dim, activation='relu')"}),
             {floats({1, 2}, {1, 2})}, R"({"dim": 2})");
  dense.weights = {{"kernel", {1, -1, 1, -1}}, {"bias", {0.5F, 0.5F}}};
  expect_tensor(run(dense), {1, 2}, Floats{3.5F, 0});
  expect_tensor(run(custom("Flat", aliases({"Flat=Flatten"}), {floats({1, 2, 2}, {1, 2, 3, 4})})),
                {1, 4}, Floats{1, 2, 3, 4});
}

TEST(AliasTest, DoesNotChangeWhatIsKeras) {
  LayerCase relu = custom("ReLU", aliases({"ReLU=x * 0"}), {floats({1, 2}, {-1, 2})});
  relu.module = "keras.layers";
  expect_tensor(run(relu), {1, 2}, Floats{0, 2});
  relu.module = "their.module";
  expect_tensor(run(relu), {1, 2}, Floats{0, 0});
}

TEST(AliasTest, StandsForActivationsAndFunctionsOfLambdas) {
  const Tensor x = floats({1, 2}, {-1, 2});
  LayerCase activation{.class_name = "Activation",
                       .config = R"({"activation": "my>double"})",
                       .inputs = {x},
                       .extensions = aliases({"my>double=2 * x"})};
  expect_tensor(run(activation), {1, 2}, Floats{-2, 4});
  LayerCase lambda{.class_name = "Lambda",
                   .config = R"({"function": {"module": "builtins", "class_name": "function",
                                 "config": "Custom>sampling"}, "arguments": {"by": 3}})",
                   .inputs = {x, x},
                   .extensions = aliases({"sampling=x[0] * by"})};
  expect_tensor(run(lambda), {1, 2}, Floats{-3, 6});
  lambda.extensions = aliases({"layer=x[1]"});  // by the name of the layer
  expect_tensor(run(lambda), {1, 2}, Floats{-1, 2});
}

TEST(AliasTest, IsInsideOfWrappersToo) {
  LayerCase wrapped{.class_name = "TimeDistributed",
                    .config = R"({"layer": {"module": "their", "class_name": "Twice",
                                  "config": {"name": "twice"}}})",
                    .inputs = {floats({1, 2, 1}, {1, 2})},
                    .extensions = aliases({"Twice=2 * x"})};
  expect_tensor(run(wrapped), {1, 2, 1}, Floats{2, 4});
}

TEST(AliasTest, HasTheExpressionsOfPython) {
  const Tensor x = floats({1, 3}, {1, 2, 4});
  const auto value = [&](const std::string& expression) {
    Extensions extensions;
    extensions.alias("F", expression);
    return run(custom("F", extensions, {x}, R"({"n": 2, "mode": "a"})"));
  };
  expect_tensor(value("-x ** 2 + 3 * x % 2"), {1, 3}, Floats{0, -4, -16});
  expect_tensor(value("2 ** -1 * x"), {1, 3}, Floats{0.5F, 1, 2});
  expect_tensor(value("x[:, ::2]"), {1, 2}, Floats{1, 4});
  expect_tensor(value("x[..., None]"), {1, 3, 1}, Floats{1, 2, 4});
  expect_tensor(value("x * n if mode == 'a' else x"), {1, 3}, Floats{2, 4, 8});
  expect_tensor(value("x if mode in ['b', 'c'] or not n else x // n"), {1, 3}, Floats{0, 1, 2});
  expect_tensor(value("x if mode not in ('a', 'b') else -x"), {1, 3}, Floats{-1, -2, -4});
  expect_tensor(value("sum(x, axis=-1, keepdims=True) - max(x, axis=-1)"), {1, 1}, Floats{3});
  expect_tensor(value("K.clip(x, 1.5, 3) + tf.nn.relu(-x) + ops.mean(x)"), {1, 3},
                Floats{1.5F + 7.0F / 3, 2 + 7.0F / 3, 3 + 7.0F / 3});
  expect_tensor(value("x + len(x.shape) + 1e1 + .5 + (1, 2)[1]"), {1, 3},
                Floats{15.5F, 16.5F, 18.5F});
  expect_tensor(value("where(x > 1 if n is not None else x, x, 0)"), {1, 3}, Floats{0, 2, 4});
}

TEST(AliasTest, SaysWhatIsWrong) {
  EXPECT_THAT(message_of("nothing"), HasSubstr("no '='"));
  EXPECT_THAT(message_of("=x"), HasSubstr("no name"));
  EXPECT_THAT(message_of("a=x +"), HasSubstr("it ends here"));
  EXPECT_THAT(message_of("a=x )"), HasSubstr("character 3"));
  EXPECT_THAT(message_of("a=(x"), HasSubstr("')' is missing"));
  EXPECT_THAT(message_of("a=lambda y: y"), HasSubstr("functions cannot be defined"));
  EXPECT_THAT(message_of("a=f(y=1, x)"), HasSubstr("follows one by name"));
  EXPECT_THAT(message_of("a='x"), HasSubstr("no end"));
  EXPECT_THAT(message_of("a=1e999"), HasSubstr("out of range"));
  EXPECT_THAT(message_of("a=Denser(units=3)"), AllOf(HasSubstr("Denser"), HasSubstr("no class")));
  EXPECT_THAT(message_of(("a=" + std::string(300, '(')).c_str()), HasSubstr("nested too deeply"));
  const Tensor x = floats({1, 1}, {1});
  EXPECT_THAT(refusal_of(custom("a", aliases({"a=x * missing"}), {x})).what(),
              AllOf(HasSubstr("layer 'layer' (a)"), HasSubstr("'missing'")));
  EXPECT_THAT(refusal_of(custom("a", aliases({"a=os.system('ls')"}), {x})).what(),
              HasSubstr("'os'"));
  EXPECT_THROW(aliases({"a=x", "a=2 * x"}), Error);
}

TEST(PluginTest, SaysWhatLayersCompute) {
  const Extensions extensions = plugin("example_layers");
  LayerCase tanh = custom("example>DynamicTanh", extensions, {floats({1, 2}, {1, -2})});
  tanh.weights = {{"alpha", {0.5F}}, {"gamma", {2, 3}}, {"beta", {0.25F, -1}}};
  expect_tensor(run(tanh), {1, 2}, Floats{2 * std::tanh(0.5F) + 0.25F, 3 * std::tanh(-1.0F) - 1});
  const LayerCase positions =
      custom("example>Positions", extensions, {floats({1, 3, 4}, Floats(12))},
             R"({"max_wavelength": 10000})");
  Floats expected;
  for (int step = 0; step < 3; ++step) {
    for (int i = 0; i < 4; ++i) {
      const double angle = step * std::pow(10000.0, -2.0 * (i % 2) / 4);
      expected.push_back(static_cast<float>(i < 2 ? std::sin(angle) : std::cos(angle)));
    }
  }
  expect_tensor(run(positions), {1, 3, 4}, expected);
  EXPECT_THAT(
      refusal_of(custom("example>Positions", extensions, {floats({1, 3}, Floats(3))})).what(),
      AllOf(HasSubstr("layer 'layer'"), HasSubstr("needs an input of steps of channels")));
}

TEST(PluginTest, IsHeldToWhatItMayDo) {
  const Extensions extensions = plugin("broken_plugin");
  const Tensor x = floats({1, 2}, {1, 2});
  const auto refusal = [&](const char* name) {
    return std::string(refusal_of(custom(name, extensions, {x})).what());
  };
  EXPECT_THAT(refusal("test>Nothing"), HasSubstr("gives it no output"));
  EXPECT_THAT(refusal("test>UnknownTensor"), HasSubstr("a tensor that is not there"));
  EXPECT_THAT(refusal("test>UnknownInput"), HasSubstr("at least 4 input tensors"));
  EXPECT_THAT(refusal("test>Expression"), HasSubstr("\"x +* 2\" is wrong"));
  EXPECT_THAT(refusal("test>Shape"), HasSubstr("a dimension of -3"));
  EXPECT_THAT(refusal("test>Failing"), HasSubstr("cannot be in the mood"));
}

TEST(PluginTest, IsRefusedWhereItIsNone) {
  const auto message = [](const std::string& name) {
    try {
      plugin(name);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("it was loaded");
  };
  EXPECT_THAT(message("missing"), HasSubstr("no such plug-in"));
  EXPECT_THAT(message("no_plugin"), HasSubstr("no function kerf_plugin_entry"));
  EXPECT_THAT(message("wrong_version"), HasSubstr("of version 2, and this kerf loads those of"));
  Extensions extensions;
  EXPECT_THROW(extensions.plugin(__FILE__), Error);  // a text
}

}  // namespace
}  // namespace kerf::layers
