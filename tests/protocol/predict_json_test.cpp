#include "protocol/predict_json.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "kerf/error.h"
#include "protocol/tensor_data.h"

namespace kerf::protocol {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

serving::Signature signature(const char* name) {
  return {.name = name,
          .inputs = {{.name = "x", .dtype = DType::kFloat32, .shape = Shape{-1, 2}},
                     {.name = "text", .dtype = DType::kString, .shape = Shape{-1}}},
          .outputs = {}};
}

struct Read {
  InferRequest request;
  std::vector<char> body;
  bool row = false;

  explicit Read(const std::string& text, const serving::Signature& signature)
      : body(text.begin(), text.end()) {
    const std::size_t size = body.size();
    body.resize(size + kBodyPadding, 'x');
    const PredictJson json = read_predict_json({body.data(), size});
    row = json.row;
    read_predict_tensors(json, signature, request);
  }
  std::vector<std::string> strings(std::size_t input) const {
    const RequestInput& tensor = request.inputs[input];
    std::vector<std::string_view> views(static_cast<std::size_t>(tensor.shape.element_count()));
    read_binary_data(tensor.binary, DType::kString, DType::kString, views.size(),
                     reinterpret_cast<std::byte*>(views.data()));
    return {views.begin(), views.end()};
  }
};

std::string error_of(const std::string& text, const serving::Signature& with) {
  try {
    const Read read(text, with);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(PredictJson, ReadsRowsWithStrings) {
  const Read read(R"({"instances":[{"text":"a\"b","x":[1,2]},)"
                  R"({"x":[3,4],"text":{"b64":"AAEC"}}]})",
                  signature("cut"));
  EXPECT_TRUE(read.row);
  ASSERT_EQ(read.request.inputs.size(), 2U);
  EXPECT_EQ(read.request.inputs[0].name, "x");
  EXPECT_EQ(read.request.inputs[0].shape, (Shape{2, 2}));
  EXPECT_EQ(read.request.inputs[0].json, "[[1,2],[3,4]]");
  EXPECT_EQ(read.request.inputs[1].shape, (Shape{2}));
  EXPECT_THAT(read.strings(1), ElementsAre("a\"b", std::string("\0\1\2", 3)));
}

TEST(PredictJson, ReadsColumnsAndScalars) {
  const Read read(R"({"inputs":{"text":[["a"],["b"]],"x":7}})", signature("cut"));
  EXPECT_FALSE(read.row);
  EXPECT_EQ(read.request.inputs[0].shape, Shape());
  EXPECT_EQ(read.request.inputs[0].json, "[7]");
  EXPECT_EQ(read.request.inputs[1].shape, (Shape{2, 1}));
}

TEST(PredictJson, InfersShapes) {
  const serving::Signature one{
      .name = "one", .inputs = {{.name = "x", .shape = Shape{-1, -1, 2}}}, .outputs = {}};
  const auto shape = [&](const std::string& data) {
    return Read("{\"inputs\":" + data + "}", one).request.inputs[0].shape;
  };
  EXPECT_EQ(shape("[[[1,2],[3,4],[5,6]]]"), (Shape{1, 3, 2}));
  EXPECT_EQ(shape(" [ [ [1 , 2] ] , [ [3,4] ] ] "), (Shape{2, 1, 2}));
  EXPECT_EQ(shape("[]"), (Shape{0}));
  EXPECT_EQ(shape("[[],[]]"), (Shape{2, 0}));
  EXPECT_EQ(shape("[1,2,3]"), (Shape{3}));
  EXPECT_EQ(shape("5"), Shape());
}

TEST(PredictJson, HoldsANamedCutToItsInputs) {
  EXPECT_THAT(error_of(R"({"inputs":{"x":[[1,2]]}})", signature("cut")),
              HasSubstr("also needs input 'text'"));
  EXPECT_THAT(error_of(R"({"inputs":{"x":[],"text":[],"y":[]}})", signature("cut")),
              HasSubstr("has no input 'y'"));
  // The whole model may be cut.
  const Read read(R"({"inputs":{"z":[[1]],"y":[2]}})", signature(serving::kDefaultSignature));
  EXPECT_EQ(read.request.inputs[0].name, "y");
  EXPECT_EQ(read.request.inputs[1].name, "z");
}

TEST(PredictJson, SaysWhatIsWrong) {
  for (const char* bad :
       {R"({"inputs":{"x":[[1,2]],"text":[["a"],"b"]}})", R"({"inputs":{"x":1,"text":{"b64":1}}})",
        R"({"inputs":{"x":1,"text":{"b64":"A"}}})", R"({"inputs":{"x":1,"text":{"b64":"A?=="}}})",
        R"({"inputs":{"x":1,"text":[{"b64":"","b64":""}]}})", R"({"inputs":{"x":1,"text":[1]}})",
        R"({"inputs":{"x":1,"x":1,"text":"a"}})", R"({"instances":[{"x":1,"text":""},1]})",
        R"({"instances":{"x":1}})", R"({"inputs":[1]})", R"([])", R"({"inputs":)"}) {
    EXPECT_NE(error_of(bad, signature("cut")), "no error") << bad;
  }
}

TEST(PredictJson, WritesRowsAndColumns) {
  const float x[] = {1, 2.5F, 3, 0.2F};
  const std::string_view texts[] = {"a", "b"};
  const std::vector<InferTensors::Output> outputs{
      {.name = "x",
       .datatype = DType::kFloat32,
       .shape = Shape{2, 2},
       .data = reinterpret_cast<const std::byte*>(x),
       .count = 4},
      {.name = "t_bytes",
       .datatype = DType::kString,
       .shape = Shape{2},
       .data = reinterpret_cast<const std::byte*>(texts),
       .count = 2}};
  const auto written = [](std::span<const InferTensors::Output> tensors, bool row) {
    Buffer out;
    write_predict_json(out, tensors, row);
    return std::string(out.view());
  };
  EXPECT_EQ(written(std::span(outputs).first(1), true), R"({"predictions":[[1.0,2.5],[3.0,0.2]]})");
  EXPECT_EQ(written(std::span(outputs).first(1), false), R"({"outputs":[[1.0,2.5],[3.0,0.2]]})");
  EXPECT_EQ(written(outputs, true), R"({"predictions":[{"x":[1.0,2.5],"t_bytes":{"b64":"YQ=="}},)"
                                    R"({"x":[3.0,0.2],"t_bytes":{"b64":"Yg=="}}]})");
  EXPECT_EQ(written(outputs, false),
            R"({"outputs":{"x":[[1.0,2.5],[3.0,0.2]],"t_bytes":[{"b64":"YQ=="},{"b64":"Yg=="}]}})");
}

}  // namespace
}  // namespace kerf::protocol
