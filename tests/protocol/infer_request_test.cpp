#include "protocol/infer_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kerf/error.h"

namespace kerf::protocol {
namespace {

using testing::HasSubstr;

// A body whose padding is there, and whose memory is no longer than that.
struct Body {
  explicit Body(const std::string& text, const std::string& blobs = {})
      : bytes(text.begin(), text.end()), json_size(text.size()), size(text.size() + blobs.size()) {
    bytes.insert(bytes.end(), blobs.begin(), blobs.end());
    bytes.resize(size + kBodyPadding, '"');
  }
  std::vector<char> bytes;
  std::size_t json_size;
  std::size_t size;

  InferRequest read() const {
    InferRequest request;
    read_infer_request({bytes.data(), size}, json_size, request);
    return request;
  }
  std::string error() const {
    try {
      read();
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kInvalidArgument ||
                  error.code() == ErrorCode::kUnsupported);
      return error.what();
    }
    return "no error";
  }
};

std::string error_of(const std::string& json) { return Body(json).error(); }

// The example of the protocol's specification.
TEST(InferRequest, ReadsTheSpecificationsExample) {
  const Body body(R"({
    "id" : "42",
    "inputs" : [
      { "name" : "input0", "shape" : [ 2, 2 ], "datatype" : "UINT32", "data" : [ 1, 2, 3, 4 ] },
      { "name" : "input1", "shape" : [ 3 ], "datatype" : "BOOL", "data" : [ true ] }
    ],
    "outputs" : [ { "name" : "output0" } ]
  })");
  const InferRequest request = body.read();
  EXPECT_EQ(request.id, "42");
  ASSERT_EQ(request.inputs.size(), 2U);
  EXPECT_EQ(request.inputs[0].name, "input0");
  EXPECT_EQ(request.inputs[0].shape, (Shape{2, 2}));
  EXPECT_EQ(request.inputs[0].datatype, DType::kUInt32);
  EXPECT_EQ(request.inputs[0].json, "[ 1, 2, 3, 4 ]");
  EXPECT_EQ(request.inputs[1].datatype, DType::kBool);
  ASSERT_EQ(request.outputs.size(), 1U);
  EXPECT_EQ(request.outputs[0].name, "output0");
  EXPECT_FALSE(request.outputs[0].binary);
  EXPECT_FALSE(request.binary_output);
}

// The example of the binary tensor data extension: 16 and 3 bytes follow.
TEST(InferRequest, ReadsTheBinaryExtensionsExample) {
  const Body body(R"({"model_name" : "mymodel",
    "inputs" : [
      { "name" : "input0", "shape" : [ 2, 2 ], "datatype" : "UINT32",
        "parameters" : { "binary_data_size" : 16 } },
      { "name" : "input1", "shape" : [ 3 ], "datatype" : "BOOL",
        "parameters" : { "binary_data_size" : 3 } } ],
    "outputs" : [ { "name" : "output0", "parameters" : { "binary_data" : true } },
                  { "name" : "output1", "parameters" : { "binary_data" : false } },
                  { "name" : "output2" } ],
    "parameters" : { "binary_data_output" : true, "sequence_id" : 5, "priority" : 1,
                     "timeout" : 2500 }
  })",
                  std::string(16, '\1') + std::string(3, '\0'));
  const InferRequest request = body.read();
  EXPECT_EQ(request.inputs[0].binary.size(), 16U);
  EXPECT_EQ(request.inputs[1].binary.size(), 3U);
  EXPECT_EQ(request.inputs[1].binary[0], std::byte{0});
  EXPECT_EQ(request.outputs[0].binary, true);
  EXPECT_EQ(request.outputs[1].binary, false);
  EXPECT_EQ(request.outputs[2].binary, std::nullopt);
  EXPECT_TRUE(request.binary_output);
  EXPECT_EQ(request.priority, 1U);
  EXPECT_EQ(request.timeout, std::chrono::microseconds(2500));
  EXPECT_FALSE(request.id);
}

TEST(InferRequest, TakesFieldsInAnyOrderAndIgnoresUnknownOnes) {
  const Body body(R"({"x":{"y":[1,{"z":null}]},"outputs":[],"inputs":[{"data":[1],"extra":[[]],)"
                  R"("datatype":"FP32","shape":[1],"name":"a"}],"model_name":"m","id":"i"})");
  const InferRequest request = body.read();
  EXPECT_EQ(request.inputs[0].name, "a");
  EXPECT_EQ(request.inputs[0].json, "[1]");
  EXPECT_TRUE(request.outputs.empty());
  EXPECT_EQ(request.id, "i");
}

TEST(InferRequest, TakesNullForAbsent) {
  const InferRequest request =
      Body(R"({"id":null,"parameters":null,"outputs":null,"inputs":[{"name":"a","shape":[1],)"
           R"("datatype":"FP32","parameters":null,"data":[1]}]})")
          .read();
  EXPECT_FALSE(request.id);
  EXPECT_TRUE(request.outputs.empty());
  EXPECT_THAT(error_of(R"({"inputs":null})"), HasSubstr("inputs: the field is missing"));
}

TEST(InferRequest, UnescapesStrings) {
  const Body body(
      R"({"inputs":[{"name":"a\"b\\\u00e9","shape":[],"datatype":"\u0046P32","data":[1]}],)"
      R"("id":"\n"})");
  const InferRequest request = body.read();
  EXPECT_EQ(request.inputs[0].name, "a\"b\\é");
  EXPECT_EQ(request.inputs[0].datatype, DType::kFloat32);
  EXPECT_EQ(request.inputs[0].shape.rank(), 0U);
  EXPECT_EQ(request.id, "\n");
}

TEST(InferRequest, EmptyTensorsNeedNoData) {
  EXPECT_EQ(
      Body(R"({"inputs":[{"name":"a","shape":[0,3],"datatype":"FP32"}]})").read().inputs[0].shape,
      (Shape{0, 3}));
  EXPECT_EQ(Body(R"({"inputs":[{"name":"a","shape":[0],"datatype":"FP32",)"
                 R"("parameters":{"binary_data_size":0}}]})")
                .read()
                .inputs[0]
                .binary.size(),
            0U);
}

TEST(InferRequest, RefusesWhatIsNoJson) {
  for (const char* json :
       {"", " ", "{", "}", "[", "{\"inputs\":", "{\"inputs\":[}", "{'inputs':[]}",
        "{\"inputs\":[{\"name\":\"a\" \"shape\":[]}]}", "\xff\xfe", "nonsense", "{\"inputs\":[]}}",
        "{\"inputs\":[{\"name\":\"a\\q\"}]}"}) {
    EXPECT_NE(error_of(json), "no error") << json;
  }
  EXPECT_THAT(error_of("{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"FP32\","
                       "\"data\":[1]}]} x"),
              HasSubstr("not JSON"));
  EXPECT_THAT(error_of("{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"FP32\","
                       "\"data\":[1]}]} {}"),
              HasSubstr("not JSON"));
}

TEST(InferRequest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(error_of("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(error_of("{}"), HasSubstr("inputs: the field is missing"));
  EXPECT_THAT(error_of(R"({"inputs":[]})"), HasSubstr("inputs: must name at least one tensor"));
  EXPECT_THAT(error_of(R"({"inputs":{}})"), HasSubstr("inputs: must be an array"));
  EXPECT_THAT(error_of(R"({"inputs":[5]})"), HasSubstr("must be an object"));
  EXPECT_THAT(error_of(R"({"inputs":[{}]})"), HasSubstr("inputs[].name: the field is missing"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":5}]})"), HasSubstr("inputs[].name: must be a string"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a"}]})"),
              HasSubstr("input a, shape: the field is missing"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[1]}]})"),
              HasSubstr("input a, datatype: the field is missing"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[1],"datatype":"FP32"}]})"),
              HasSubstr("input a, data: the field is missing"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[1],"datatype":"fp32","data":[1]}]})"),
              HasSubstr("'fp32' is not a datatype of the protocol"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[-1],"datatype":"FP32","data":[1]}]})"),
              HasSubstr("a dimension is -1"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[1.5],"datatype":"FP32","data":[1]}]})"),
              HasSubstr("inputs[].shape: must be an array of integers"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":"1","datatype":"FP32","data":[1]}]})"),
              HasSubstr("inputs[].shape"));
  EXPECT_THAT(
      error_of(
          R"({"inputs":[{"name":"a","shape":[1,1,1,1,1,1,1,1,1],"datatype":"FP32","data":[1]}]})"),
      HasSubstr("at most 8 dimensions"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":1}]})"),
              HasSubstr("inputs[].data: must be an array"));
  EXPECT_THAT(error_of(R"({"id":5,"inputs":[]})"), HasSubstr("id: must be a string"));
  EXPECT_THAT(error_of(R"({"outputs":[{}],"inputs":[]})"), HasSubstr("outputs[].name"));
  EXPECT_THAT(error_of(R"({"outputs":["a"],"inputs":[]})"), HasSubstr("must be an object"));
  EXPECT_THAT(error_of(R"({"parameters":{"binary_data_output":1},"inputs":[]})"),
              HasSubstr("binary_data_output: must be true or false"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":[1]}],)"
                       R"("inputs":[]})"),
              HasSubstr("inputs: stands there twice"));
}

TEST(InferRequest, RefusesBlobsThatDoNotFit) {
  const std::string input = R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32",)"
                            R"("parameters":{"binary_data_size":8}}]})";
  EXPECT_THAT(Body(input, "1234").error(),
              HasSubstr("input a: binary_data_size is 8, but 4 bytes of the body are left"));
  EXPECT_THAT(Body(input, "123456789").error(), HasSubstr("unexpected additional input data"));
  EXPECT_THAT(Body(R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2],)"
                   R"("parameters":{"binary_data_size":8}}]})",
                   "12345678")
                  .error(),
              HasSubstr("both data and binary_data_size"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32",)"
                       R"("parameters":{"binary_data_size":-8}}]})"),
              HasSubstr("binary_data_size: must be an integer from 0"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32",)"
                       R"("parameters":{"binary_data_size":18446744073709551615}}]})"),
              HasSubstr("0 bytes of the body are left"));
  EXPECT_THAT(error_of(R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32","data":[1,2],)"
                       R"("parameters":{"shared_memory_region":"r"}}]})"),
              HasSubstr("both data and shared_memory_region"));
}

TEST(InferRequest, RefusesDeepNesting) {
  std::string deep = R"({"x":)" + std::string(5000, '[') + std::string(5000, ']') + "}";
  EXPECT_NE(error_of(deep), "no error");
}

TensorInfo info(const char* name, const Shape& shape) {
  return {.name = name, .dtype = DType::kFloat32, .shape = shape};
}

TEST(InferRequest, ReadsRawBodies) {
  const std::vector<char> body(48, 0);
  InferRequest request;
  const std::vector<TensorInfo> one{info("x", {-1, 3})};
  read_raw_request(body, one, request);
  EXPECT_EQ(request.inputs[0].shape, (Shape{4, 3}));
  EXPECT_TRUE(request.binary_output);
  const std::vector<TensorInfo> fixed{info("x", {3, 4})};
  read_raw_request(body, fixed, request);
  EXPECT_EQ(request.inputs[0].shape, (Shape{3, 4}));
  // Several unknown dimensions: one sample.
  const std::vector<TensorInfo> sequence{info("x", {-1, -1, 2})};
  read_raw_request(body, sequence, request);
  EXPECT_EQ(request.inputs[0].shape, (Shape{1, 6, 2}));

  const std::vector<TensorInfo> image{info("x", {-1, -1, -1, 3})};
  EXPECT_THROW(read_raw_request(body, image, request), Error);
  const std::vector<TensorInfo> two{info("x", {-1}), info("y", {-1})};
  EXPECT_THROW(read_raw_request(body, two, request), Error);
  const std::vector<TensorInfo> uneven{info("x", {-1, 5})};
  EXPECT_THROW(read_raw_request(body, uneven, request), Error);
  EXPECT_THROW(read_raw_request({}, one, request), Error);
}

}  // namespace
}  // namespace kerf::protocol
