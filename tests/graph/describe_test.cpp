#include "graph/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "tests/graph/make_graph.h"

namespace kerf::graph {
namespace {

using testing::HasSubstr;

std::shared_ptr<const Graph> example() {
  GraphMaker maker;
  const TensorId ids = maker.input("ids", {Shape::kUnknown, 7});
  const LayerId table = maker.layer("embedding", "Embedding");
  maker.builder().layer(table).weights.push_back(
      {.name = "embeddings", .value = Tensor::floats({5, 2}, std::vector<float>(10))});
  const TensorId embedding =
      maker.call(table, {ids}, {.new_mask = true, .shape = {Shape::kUnknown, 7, 2}}).front();
  const auto lstm = maker.call(maker.layer("lstm \"a\"", "LSTM", {{"stateful", true}}), {embedding},
                               {.outputs = 3,
                                .read_masks = {maker.mask_of(embedding)},
                                .shape = {Shape::kUnknown, 3},
                                .flops = 42});
  maker.output("out", lstm[0]);
  return maker.build();
}

TEST(DescribeTest, JsonListsLayersTensorsAndCutPoints) {
  const boost::json::object json = describe_json(*example());
  EXPECT_EQ(json.at("name").as_string(), "made");
  EXPECT_EQ(json.at("parameters").as_int64(), 10);
  EXPECT_EQ(boost::json::serialize(json.at("inputs")),
            R"([{"name":"ids","datatype":"FP32","shape":[-1,7]}])");
  EXPECT_EQ(boost::json::serialize(json.at("outputs")),
            R"([{"name":"out","datatype":"FP32","shape":[-1,3]}])");
  const boost::json::array& layers = json.at("layers").as_array();
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(boost::json::serialize(layers[0]),
            R"({"name":"embedding","class":"Embedding","parameters":10,"calls":[)"
            R"({"inputs":["ids"],"masks":[],"outputs":["embedding"],"flops":1E0}]})");
  EXPECT_EQ(layers[1].at("calls").at(0).at("masks").at(0).as_string(), "embedding:mask");
  EXPECT_THAT(std::string(layers[1].at("note").as_string()), HasSubstr("initial state"));
  const boost::json::array& tensors = json.at("tensors").as_array();
  ASSERT_EQ(tensors.size(), 6U);
  EXPECT_EQ(boost::json::serialize(tensors[2]),
            R"({"address":"embedding:mask","addresses":["embedding:mask","embedding:0:mask",)"
            R"("embedding:0:0:mask"],"datatype":"BOOL","shape":[-1,4],"mask":true})");
  const boost::json::array& points = json.at("cut_points").as_array();
  ASSERT_EQ(points.size(), 2U);  // ids and the output; beside the embedding goes its mask
  EXPECT_EQ(boost::json::serialize(points[1]),
            R"({"address":"lstm \"a\":0","datatype":"FP32","shape":[-1,3],"bytes_per_sample":12,)"
            R"("flops_before":4.3E1,"flops_after":0E0})");
}

TEST(DescribeTest, TextIsATableWithTheCutPoints) {
  const std::string text = describe_text(*example());
  for (const char* line :
       {"embedding       Embedding  (?, 7, 2)            10  ids",
        "embedding:mask             bool (?, 4)",
        "lstm \"a\":0      LSTM       (?, 3)                0  embedding, embedding:mask",
        "lstm \"a\":2                 (?, 3)", "parameters: 10", "outputs: out",
        "lstm \"a\":0  (?, 3)              12            43            0"}) {
    EXPECT_THAT(text, HasSubstr(line)) << text;
  }
  EXPECT_THAT(text, HasSubstr("stateful in Keras"));
}

TEST(DescribeTest, DotQuotesNames) {
  const std::string dot = describe_dot(*example());
  EXPECT_THAT(dot, HasSubstr("digraph \"made\" {"));
  EXPECT_THAT(dot, HasSubstr("lstm \\\"a\\\":0"));
  EXPECT_THAT(dot, HasSubstr("t1 -> t3"));
}

}  // namespace
}  // namespace kerf::graph
