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
        model = Model::load(folder / (name + ".keras")).with_precision(GetParam().precision);
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

INSTANTIATE_TEST_SUITE_P(All, PrecisionTest,
                         testing::Values(Case{Precision::kBfloat16, 0.02},
                                         Case{Precision::kInt8, 0.1}),
                         [](const auto& test) {
                           return std::string(precision_name(test.param.precision));
                         });

}  // namespace
}  // namespace kerf
