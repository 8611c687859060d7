#include <gtest/gtest.h>

#include <set>

#include "kerf/error.h"
#include "kerf/model.h"
#include "tests/golden/golden.h"

// Every golden model in the rounded precisions against real Keras, which computed in float32. How
// far they may be apart is what is promised for small models: docs/tuning.md.
namespace kerf {
namespace {

using golden::Golden;

struct Case {
  Precision precision;
  double tolerance;
};

class PrecisionTest : public testing::TestWithParam<Case> {};

TEST_P(PrecisionTest, StaysNearKeras) {
  std::set<std::string> seen;
  std::size_t checked = 0;
  for (const auto& folder : golden::folders()) {
    for (const std::string& name : golden::names(folder)) {
      if (!seen.insert(name).second) continue;
      const Golden golden = golden::read(folder, name);
      std::vector<Tensor> inputs;
      for (const golden::Truth& input : golden.inputs) inputs.push_back(golden.array(input));
      std::vector<Tensor> outputs;
      Model model;
      try {
        model = Model::load(folder / (name + ".keras"), {.precision = GetParam().precision});
        outputs = model.whole().run(inputs);
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ErrorCode::kUnsupported) << name << ": " << error.what();
        continue;
      }
      EXPECT_EQ(model.precision(), GetParam().precision);
      for (std::size_t i = 0; i < outputs.size(); ++i) {
        EXPECT_LE(golden::distance(outputs[i], golden.array(golden.outputs[i])),
                  GetParam().tolerance)
            << name << ", output " << model.outputs()[i].name;
      }
      ++checked;
    }
  }
  EXPECT_GT(checked, 0U);
}

// The precisions of one model do not disturb each other, and a model that is loaded in one of them
// holds no more than that.
TEST(PrecisionOfModel, IsItsOwnOrThatOfACopy) {
  const Golden golden = golden::read(golden::folders().front(), "mini_vit");
  std::vector<Tensor> inputs;
  for (const golden::Truth& input : golden.inputs) inputs.push_back(golden.array(input));
  const auto file = golden.folder / (golden.name + ".keras");

  const Model exact = Model::load(file);
  const Model rounded = exact.with_precision(Precision::kInt8);
  const Tensor from_copy = rounded.whole().run(inputs).front();
  const Tensor truth = golden.array(golden.outputs.front());
  EXPECT_LE(golden::distance(exact.whole().run(inputs).front(), truth), 1e-5);
  EXPECT_GT(golden::distance(from_copy, truth), 1e-5);
  EXPECT_EQ(golden::distance(exact.with_precision(Precision::kInt8).whole().run(inputs).front(),
                             from_copy),
            0);

  std::vector<std::size_t> bytes;
  for (const Precision precision : {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    const Model model = Model::load(file, {.precision = precision});
    model.whole().run(inputs);
    bytes.push_back(model.memory_bytes());
  }
  EXPECT_LT(bytes[1], bytes[0]);
  EXPECT_LT(bytes[2], bytes[1]);
}

INSTANTIATE_TEST_SUITE_P(All, PrecisionTest,
                         testing::Values(Case{Precision::kBfloat16, 0.02},
                                         Case{Precision::kInt8, 0.1}),
                         [](const auto& test) {
                           return std::string(precision_name(test.param.precision));
                         });

}  // namespace
}  // namespace kerf
