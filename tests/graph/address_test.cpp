#include "graph/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kerf/error.h"
#include "tests/graph/make_graph.h"

namespace kerf::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Error refusal(const Graph& graph, const std::string& address) {
  try {
    resolve(graph, address);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << address << " was accepted";
  return {ErrorCode::kInternal, ""};
}

TEST(AddressTest, ALayerCalledOnceWithOneOutputIsItsName) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  const TensorId dense = maker.add("dense_1", {x});
  maker.output("probs", dense);
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, x), "x");
  EXPECT_EQ(address_of(*graph, dense), "dense_1");
  // As TensorFlow, and as Keras itself writes it; and the output's own name.
  for (const char* address : {"dense_1", "dense_1:0", "dense_1:0:0", "probs", "probs:0"}) {
    EXPECT_EQ(resolve(*graph, address), dense) << address;
  }
  for (const char* address : {"x", "x:0", "x:0:0"}) EXPECT_EQ(resolve(*graph, address), x);
  EXPECT_THAT(graph->addresses().of(dense),
              ElementsAre("dense_1", "dense_1:0", "dense_1:0:0", "probs"));
}

TEST(AddressTest, SeveralOutputsAreNumbered) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  const auto lstm = maker.call(maker.layer("lstm", "LSTM"), {x}, {.outputs = 3});
  maker.output("lstm_1", lstm[2]);
  const auto graph = maker.build();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(address_of(*graph, lstm[i]), "lstm:" + std::to_string(i));
    EXPECT_EQ(resolve(*graph, "lstm:0:" + std::to_string(i)), lstm[i]);
  }
  const Error bare = refusal(*graph, "lstm");
  EXPECT_EQ(bare.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(bare.message(), "'lstm' is ambiguous; it may be 'lstm:0', 'lstm:1', 'lstm:2'");
  const Error beyond = refusal(*graph, "lstm:3");
  EXPECT_EQ(beyond.code(), ErrorCode::kNotFound);
  EXPECT_EQ(beyond.message(),
            "there is no tensor 'lstm:3'; 'lstm' has 'lstm:0', 'lstm:1', 'lstm:2'");
}

TEST(AddressTest, CallsOfASharedLayerAreNumbered) {
  GraphMaker maker;
  const TensorId a = maker.input("a");
  const TensorId b = maker.input("b");
  const LayerId shared = maker.layer("shared");
  const TensorId first = maker.call(shared, {a}, {.index = 0}).front();
  const TensorId second = maker.call(shared, {b}, {.index = 1}).front();
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, first), "shared:0:0");
  EXPECT_EQ(address_of(*graph, second), "shared:1:0");
  EXPECT_EQ(resolve(*graph, "shared:1:0"), second);
  EXPECT_EQ(refusal(*graph, "shared").message(),
            "'shared' is ambiguous; it may be 'shared:0:0', 'shared:1:0'");
  // Output 0 of either call, or the first call: not ours to guess.
  EXPECT_EQ(refusal(*graph, "shared:0").code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal(*graph, "shared:1").message(),
            "'shared:1' names no tensor by itself; it may be 'shared:1:0'");
}

TEST(AddressTest, NestedModelsArePaths) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  const ScopeId encoder = maker.builder().add_scope("encoder", 0, kNone, {{"image", x}});
  const TensorId conv = maker.add("encoder/conv2d", {x}, {.scope = encoder});
  const ScopeId block = maker.builder().add_scope("block", 0, encoder, {{"y", conv}});
  const TensorId deep = maker.add("encoder/block/conv2d", {conv}, {.scope = block});
  maker.builder().set_scope_outputs(block, {deep}, {kNone});
  maker.builder().set_scope_outputs(encoder, {deep}, {kNone});
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, conv), "encoder/conv2d");
  EXPECT_EQ(address_of(*graph, deep), "encoder/block/conv2d");
  for (const char* address : {"encoder", "encoder:0", "encoder/block", "encoder/block:0:0",
                              "encoder:0/block:0/conv2d", "encoder/block/conv2d:0"}) {
    EXPECT_EQ(resolve(*graph, address), deep) << address;
  }
  EXPECT_EQ(resolve(*graph, "encoder/image"), x);
  EXPECT_EQ(resolve(*graph, "encoder/block/y"), conv);
  EXPECT_EQ(address_of(*graph, x), "x");
}

TEST(AddressTest, CallsOfANestedModelAreNumberedInThePath) {
  GraphMaker maker;
  const TensorId a = maker.input("a");
  const TensorId b = maker.input("b");
  const LayerId conv = maker.layer("encoder/conv2d", "Conv2D");
  std::vector<TensorId> tensors;
  for (const TensorId x : {a, b}) {
    const auto index = static_cast<std::uint32_t>(tensors.size());
    const ScopeId scope = maker.builder().add_scope("encoder", index, kNone, {{"image", x}});
    tensors.push_back(maker.call(conv, {x}, {.scope = scope}).front());
    maker.builder().set_scope_outputs(scope, {tensors.back()}, {kNone});
  }
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, tensors[1]), "encoder:1/conv2d");
  EXPECT_EQ(resolve(*graph, "encoder:1:0"), tensors[1]);
  EXPECT_EQ(resolve(*graph, "encoder:0/image"), a);
  EXPECT_EQ(refusal(*graph, "encoder/conv2d").message(),
            "'encoder/conv2d' is ambiguous; it may be 'encoder:0/conv2d', 'encoder:1/conv2d'");
  EXPECT_EQ(refusal(*graph, "encoder").code(), ErrorCode::kInvalidArgument);
}

TEST(AddressTest, MasksStandBesideTheirTensors) {
  GraphMaker maker;
  const TensorId ids = maker.input("ids");
  const TensorId embedding = maker.add("embedding", {ids}, {.new_mask = true});
  const TensorId mask = maker.mask_of(embedding);
  const TensorId dense = maker.add("dense", {embedding}, {.mask = mask});
  const TensorId flat = maker.add("flatten", {dense});
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, mask), "embedding:mask");
  for (const char* address : {"embedding:mask", "embedding:0:mask", "dense:mask"}) {
    EXPECT_EQ(resolve(*graph, address), mask) << address;
  }
  EXPECT_EQ(resolve(*graph, "flatten"), flat);
  const Error none = refusal(*graph, "flatten:mask");
  EXPECT_EQ(none.code(), ErrorCode::kNotFound);
  EXPECT_THAT(none.message(), HasSubstr("no mask travels beside 'flatten'"));
}

TEST(AddressTest, MasksOfASharedLayerAreNumberedToo) {
  GraphMaker maker;
  const TensorId ids = maker.input("ids");
  const LayerId shared = maker.layer("embedding", "Embedding");
  const TensorId first = maker.call(shared, {ids}, {.index = 0, .new_mask = true}).front();
  const TensorId second = maker.call(shared, {ids}, {.index = 1, .new_mask = true}).front();
  const TensorId mask = maker.mask_of(second);
  EXPECT_NE(mask, maker.mask_of(first));
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, mask), "embedding:1:mask");
  EXPECT_EQ(resolve(*graph, "embedding:1:0:mask"), mask);
  EXPECT_EQ(refusal(*graph, "embedding:mask").message(),
            "'embedding:mask' is ambiguous; it may be 'embedding:0:mask', 'embedding:1:mask'");
}

TEST(AddressTest, UnknownNamesAreRefusedWithTheNearest) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  const ScopeId encoder = maker.builder().add_scope("encoder", 0, kNone, {});
  const TensorId conv = maker.add("encoder/conv2d", {x}, {.scope = encoder});
  maker.builder().set_scope_outputs(encoder, {conv}, {kNone});
  maker.add("dense_final", {maker.add("dense_first", {conv})});
  const auto graph = maker.build();
  const Error typo = refusal(*graph, "dense_finel");
  EXPECT_EQ(typo.code(), ErrorCode::kNotFound);
  EXPECT_EQ(typo.message(),
            "there is no tensor 'dense_finel'; the nearest names are 'dense_final', 'dense_first'");
  EXPECT_THAT(refusal(*graph, "conv2d").message(), HasSubstr("'encoder/conv2d'"));
  EXPECT_THAT(refusal(*graph, "something else").message(), HasSubstr("kerf inspect"));
  EXPECT_EQ(refusal(*graph, "").code(), ErrorCode::kNotFound);
  EXPECT_LT(refusal(*graph, std::string(100'000, 'd')).message().size(), 400U);
  for (const char* odd : {":", ":0", "/", "x/", ":mask", "x:", "x::0", "x:-1", "x:0:0:0",
                          "x:99999999999999999999", "dense_first:mask:0"}) {
    EXPECT_EQ(refusal(*graph, odd).code(), ErrorCode::kNotFound) << odd;
  }
}

TEST(AddressTest, InsideALayerThereIsNoTensor) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  const ScopeId inner = maker.builder().add_scope("inner", 0, kNone, {});
  maker.call(maker.layer("inner/td", "TimeDistributed"), {x}, {.scope = inner});
  const LayerId lstm = maker.layer("lstm", "LSTM");
  maker.call(lstm, {x}, {.outputs = 3, .index = 0});
  maker.call(lstm, {x}, {.outputs = 3, .index = 1});
  const auto graph = maker.build();
  EXPECT_EQ(refusal(*graph, "lstm/lstm_cell").message(),
            "'lstm/lstm_cell' lies inside the layer 'lstm' (LSTM), where no tensor has a batch of "
            "its own; feed or fetch the layer itself");
  for (const char* address : {"lstm:1/cell:0", "inner/td/dense", "inner/td/model/dense"}) {
    EXPECT_THAT(refusal(*graph, address).message(), HasSubstr("lies inside the layer")) << address;
    EXPECT_EQ(refusal(*graph, address).code(), ErrorCode::kNotFound);
  }
  EXPECT_THAT(refusal(*graph, "inner/dt").message(), Not(HasSubstr("lies inside")));
}

TEST(AddressTest, TheModelsOwnNamesWin) {
  GraphMaker maker;
  const TensorId image = maker.input("image");
  const TensorId a = maker.add("a", {image});
  const TensorId b = maker.add("b", {a});
  maker.output("a", b);      // as a dict of outputs may call them
  maker.output("image", a);  // an autoencoder's output is called as its input
  const auto graph = maker.build();
  EXPECT_EQ(resolve(*graph, "a"), b);
  EXPECT_EQ(resolve(*graph, "a:0"), a);
  EXPECT_EQ(address_of(*graph, a), "a:0");
  EXPECT_EQ(resolve(*graph, "image", Role::kFeed), image);
  EXPECT_EQ(resolve(*graph, "image", Role::kFetch), a);
  EXPECT_EQ(address_of(*graph, image), "image:0");
}

TEST(AddressTest, NamesMayHoldSlashesAndColons) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  const TensorId old = maker.add("block1/conv/Conv2D:1", {x});
  const auto graph = maker.build();
  EXPECT_EQ(address_of(*graph, old), "block1/conv/Conv2D:1");
  EXPECT_EQ(resolve(*graph, "block1/conv/Conv2D:1"), old);
  EXPECT_EQ(resolve(*graph, "block1/conv/Conv2D:1:0"), old);
}

TEST(AddressTest, EveryAddressShownIsTaken) {
  GraphMaker maker;
  const TensorId x = maker.input("x");
  TensorId last = x;
  for (std::uint32_t i = 0; i < 3; ++i) {
    const ScopeId outer = maker.builder().add_scope("outer", i, kNone, {{"in", last}});
    const ScopeId inner = maker.builder().add_scope("inner", 0, outer, {{"in", last}});
    const auto made = maker.call(maker.layer("outer/inner/many" + std::to_string(i)), {last},
                                 {.outputs = 2, .scope = inner, .new_mask = true});
    maker.builder().set_scope_outputs(inner, {made[1]}, {maker.mask_of(made[1])});
    maker.builder().set_scope_outputs(outer, {made[0], made[1]}, {kNone, kNone});
    last = made[0];
  }
  const auto graph = maker.build();
  for (TensorId t = 0; t < graph->tensors().size(); ++t) {
    for (const std::string& address : graph->addresses().of(t)) {
      EXPECT_EQ(resolve(*graph, address, Role::kFeed), t) << address;
      EXPECT_EQ(resolve(*graph, address, Role::kFetch), t) << address;
    }
  }
}

}  // namespace
}  // namespace kerf::graph
