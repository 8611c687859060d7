#include "tests/layers/applications.h"

#include <gtest/gtest.h>

#include "formats/graph_reader.h"
#include "formats/json.h"
#include "graph/address.h"

namespace kerf::layers {
namespace {

// Published with Keras: https://keras.io/api/applications, and summary() where that rounds.
struct Published {
  const char* name;
  std::string (*network)();
  std::int64_t parameters;
};

class ApplicationTest : public testing::TestWithParam<Published> {};

// The whole graph is read, every layer's shapes and code are made: only the weights are not there.
TEST_P(ApplicationTest, HasThePublishedNumberOfParameters) {
  const boost::json::value config = formats::parse_json(GetParam().network(), "config");
  formats::Problems problems("config");
  const formats::ModelSpec spec = formats::read_spec(config.as_object(), "config");
  const formats::Skeleton skeleton = formats::read_graph(spec, {3, 15}, problems);
  ASSERT_TRUE(problems.empty()) << problems.all().what();
  std::int64_t parameters = 0;
  for (const auto& [layer, weights] : skeleton.weights) {
    for (const WeightSpec& weight : weights) parameters += weight.shape.element_count();
  }
  EXPECT_EQ(parameters, GetParam().parameters);
  const graph::Graph& graph = skeleton.builder.peek();
  ASSERT_EQ(graph.outputs().size(), 1U);
  EXPECT_EQ(graph.tensor(graph.outputs()[0].tensor).shape, (Shape{Shape::kUnknown, 1000}));
}

INSTANTIATE_TEST_SUITE_P(
    All, ApplicationTest,
    testing::Values(Published{"VGG16", applications::vgg16, 138'357'544},
                    Published{"ResNet50", applications::resnet50, 25'636'712},
                    Published{"ResNet50V2", applications::resnet50_v2, 25'613'800},
                    Published{"MobileNet", applications::mobilenet, 4'253'864},
                    Published{"MobileNetV2", applications::mobilenet_v2, 3'538'984},
                    Published{"MobileNetV3Large", applications::mobilenet_v3_large, 5'507'432},
                    Published{"EfficientNetB0", applications::efficientnet_b0, 5'330'571},
                    Published{"EfficientNetV2B0", applications::efficientnet_v2_b0, 7'200'312},
                    Published{"DenseNet121", applications::densenet121, 8'062'504},
                    Published{"InceptionV3", applications::inception_v3, 23'851'784},
                    Published{"Xception", applications::xception, 22'910'480},
                    Published{"NASNetMobile", applications::nasnet_mobile, 5'326'716},
                    Published{"ConvNeXtTiny", applications::convnext_tiny, 28'589'128}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kerf::layers
