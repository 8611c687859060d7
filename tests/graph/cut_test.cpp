#include "graph/cut.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <random>
#include <set>

#include "kerf/error.h"
#include "tests/graph/make_graph.h"

namespace kerf::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Names = std::vector<std::string>;

std::string refusal(const std::shared_ptr<const Graph>& graph, const Names& feeds,
                    const Names& fetches) {
  try {
    cut(graph, feeds, fetches);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.message();
  }
  ADD_FAILURE() << "the cut was made";
  return {};
}

Names layers_of(const Cut& cut) {
  Names names;
  for (const CallId id : cut.calls) names.push_back(cut.graph->layer_of(cut.graph->call(id)).path);
  return names;
}

// image -> stem -> add_3 -> conv4_1 -> conv4_2 -> add_4 -> pool -> probs, with a skip from add_3
// through conv4_skip to add_4.
std::shared_ptr<const Graph> residual() {
  GraphMaker maker;
  const TensorId image = maker.input("image");
  const TensorId add_3 = maker.add("add_3", {maker.add("stem", {image})});
  const TensorId skip = maker.add("conv4_skip", {add_3});
  const TensorId deep = maker.add("conv4_2", {maker.add("conv4_1", {add_3})});
  const TensorId add_4 = maker.add("add_4", {deep, skip});
  maker.output("probs", maker.add("probs", {maker.add("pool", {add_4})}));
  return maker.build();
}

TEST(CutTest, TheWholeIsFromInputsToOutputs) {
  const auto graph = residual();
  const Cut all = whole(graph);
  EXPECT_EQ(all.calls.size(), graph->calls().size());
  EXPECT_EQ(cut(graph, Names{}, Names{}).calls, all.calls);
  EXPECT_EQ(cut(graph, Names{"image"}, Names{"probs"}).calls, all.calls);
}

TEST(CutTest, HeadMiddleAndTail) {
  const auto graph = residual();
  EXPECT_THAT(layers_of(cut(graph, Names{"image"}, Names{"add_3"})), ElementsAre("stem", "add_3"));
  EXPECT_THAT(layers_of(cut(graph, Names{"add_3"}, Names{"add_4"})),
              ElementsAre("conv4_skip", "conv4_1", "conv4_2", "add_4"));
  EXPECT_THAT(layers_of(cut(graph, Names{"add_4"}, Names{})), ElementsAre("pool", "probs"));
  EXPECT_THAT(layers_of(cut(graph, Names{"conv4_2", "conv4_skip"}, Names{"pool"})),
              ElementsAre("add_4", "pool"));
}

TEST(CutTest, SaysWhatIsMissingAndWhatWouldHelp) {
  EXPECT_EQ(refusal(residual(), {"conv4_2"}, {"probs"}),
            "cannot compute 'probs' from 'conv4_2': 'image' is also needed, through image -> stem "
            "-> add_3 -> conv4_skip -> add_4; feed 'conv4_skip' too, or cut at 'add_4'");
}

TEST(CutTest, AnIdentitySkipIsFedAtTheBlocksStart) {
  GraphMaker maker;
  const TensorId add_3 = maker.add("add_3", {maker.input("image")});
  const TensorId add_4 = maker.add("add_4", {maker.add("conv4", {add_3}), add_3});
  maker.output("probs", maker.add("probs", {add_4}));
  EXPECT_EQ(refusal(maker.build(), {"conv4"}, {"probs"}),
            "cannot compute 'probs' from 'conv4': 'image' is also needed, through image -> add_3 "
            "-> add_4; feed 'add_3' too, or cut at 'add_4'");
}

TEST(CutTest, TwoTowersNeedTheOtherTower) {
  GraphMaker maker;
  const TensorId user = maker.add("user_dense", {maker.input("user")});
  const TensorId item = maker.add("item_dense", {maker.input("item")});
  maker.output("score", maker.add("score", {maker.add("dot", {user, item})}));
  const auto graph = maker.build();
  EXPECT_EQ(refusal(graph, {"user_dense"}, {"score"}),
            "cannot compute 'score' from 'user_dense': 'item' is also needed, through item -> "
            "item_dense -> dot; feed 'item_dense' too, or cut at 'dot'");
  EXPECT_EQ(refusal(graph, {"user"}, {"dot"}),
            "cannot compute 'dot' from 'user': 'item' is also needed, through item -> item_dense "
            "-> dot; feed 'item_dense' too");
}

TEST(CutTest, LongPathsAreShortened) {
  GraphMaker maker;
  const TensorId a = maker.input("a");
  TensorId last = maker.input("b");
  for (int i = 0; i < 20; ++i) last = maker.add("d" + std::to_string(i), {last});
  maker.output("out", maker.add("out", {a, last}));
  EXPECT_THAT(refusal(maker.build(), {"a"}, {"out"}),
              HasSubstr("through b -> d0 -> d1 -> ... -> d18 -> d19 -> out;"));
}

TEST(CutTest, ACutHasToCarryTheMasks) {
  GraphMaker maker;
  const TensorId ids = maker.input("ids");
  const TensorId embedding = maker.add("embedding", {ids}, {.new_mask = true});
  const TensorId mask = maker.mask_of(embedding);
  const TensorId dense = maker.add("dense", {embedding}, {.mask = mask});
  const TensorId lstm = maker.add("lstm", {dense}, {.read_masks = {mask}});
  maker.output("lstm", lstm);
  const auto graph = maker.build();
  EXPECT_EQ(refusal(graph, {"dense"}, {"lstm"}),
            "cannot compute 'lstm' from 'dense': 'ids' is also needed, through ids -> "
            "embedding:mask -> lstm; feed 'embedding:mask' too");
  EXPECT_THAT(layers_of(cut(graph, Names{"dense", "embedding:mask"}, Names{"lstm"})),
              ElementsAre("lstm"));
  // A layer that lets the mask pass does not need it.
  EXPECT_THAT(layers_of(cut(graph, Names{"embedding"}, Names{"dense"})), ElementsAre("dense"));
  EXPECT_THAT(layers_of(cut(graph, Names{"ids"}, Names{"dense:mask"})), ElementsAre("embedding"));
}

TEST(CutTest, AFedFetchIsReturnedAsItCame) {
  const auto graph = residual();
  const Cut same = cut(graph, Names{"add_4"}, Names{"add_4", "probs", "add_4"});
  EXPECT_THAT(layers_of(same), ElementsAre("pool", "probs"));
  EXPECT_EQ(same.fetches.size(), 3U);
  EXPECT_EQ(same.fetches[0], same.feeds[0]);
  EXPECT_THAT(cut(graph, Names{"pool"}, Names{"pool"}).calls, IsEmpty());
}

TEST(CutTest, UnusedFeedsAreErrorsOrListed) {
  const auto graph = residual();
  EXPECT_EQ(refusal(graph, {"add_4", "image"}, {"probs"}),
            "'image' is fed, but 'probs' can be computed without; leave it out, or ask for a cut "
            "that is not strict");
  const Cut lenient = cut(graph, Names{"add_4", "image"}, Names{"probs"}, {.strict = false});
  EXPECT_THAT(lenient.unused_feeds, ElementsAre(resolve(*graph, "image")));
  EXPECT_EQ(lenient.feeds.size(), 2U);
}

TEST(CutTest, NothingIsFedTwice) {
  EXPECT_EQ(refusal(residual(), {"image", "image:0"}, {"probs"}), "'image' is fed twice");
}

TEST(CutTest, OnlyTheInputsThatFetchesNeedAreFedByDefault) {
  GraphMaker maker;
  const TensorId a = maker.input("a");
  const TensorId b = maker.input("b");
  maker.add("left", {a});
  maker.output("right", maker.add("right", {b}));
  const auto graph = maker.build();
  EXPECT_THAT(cut(graph, Names{}, Names{"left"}).feeds, ElementsAre(a));
  EXPECT_THAT(cut(graph, Names{}, Names{}).feeds, ElementsAre(b));
  // The whole model takes every input, as Keras does.
  EXPECT_THAT(whole(graph).feeds, ElementsAre(a, b));
  EXPECT_THAT(whole(graph).unused_feeds, ElementsAre(a));
}

TEST(CutTest, AnInputMayBeFetched) {
  GraphMaker maker;
  const TensorId a = maker.input("a");
  const TensorId b = maker.input("b");
  maker.output("out", maker.add("out", {a, b}));
  const auto graph = maker.build();
  EXPECT_THAT(cut(graph, Names{}, Names{"a"}).calls, IsEmpty());
  EXPECT_THAT(refusal(graph, {"a"}, {"b"}),
              HasSubstr("'b' is also needed, through b; feed 'b' too"));
}

TEST(CutTest, DoesNotAskForMasksOfWhichOnlyUnreadMasksAreMade) {
  GraphMaker maker;
  const TensorId ids = maker.input("ids");
  const TensorId embedding = maker.add("embedding", {ids}, {.new_mask = true});
  const TensorId mask = maker.mask_of(embedding);
  const TensorId sum = maker.add(
      "sum", {embedding}, {.new_mask = true, .read_masks = {mask}, .only_for_masks = {true}});
  maker.add("dense", {sum});
  const auto graph = maker.build();
  EXPECT_THAT(layers_of(cut(graph, Names{"embedding"}, Names{"dense"})),
              ElementsAre("sum", "dense"));
  EXPECT_EQ(refusal(graph, {"embedding"}, {"sum:mask"}),
            "cannot compute 'sum:mask' from 'embedding': 'ids' is also needed, through ids -> "
            "embedding:mask -> sum:mask; feed 'embedding:mask' too");
  EXPECT_EQ(dominators(*graph, std::vector<TensorId>{graph->calls().back().outputs[0]}).size(), 4U);
}

// A random graph of layers with one or two outputs, some with masks that some calls read.
std::shared_ptr<const Graph> random_graph(std::mt19937& random, std::size_t calls) {
  GraphMaker maker;
  std::vector<TensorId> made;
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (std::size_t i = 0; i <= below(3); ++i) made.push_back(maker.input("in" + std::to_string(i)));
  for (std::size_t i = 0; i < calls; ++i) {
    std::vector<TensorId> inputs;
    GraphMaker::Options options{.outputs = 1 + below(2), .new_mask = below(4) == 0};
    for (std::size_t n = 0; n <= below(2); ++n) {
      const std::size_t recent = std::min<std::size_t>(made.size(), 4);
      inputs.push_back(made[made.size() - 1 - below(recent)]);
      const GraphTensor& input = maker.builder().peek().tensor(inputs.back());
      const bool read = input.producer != kNone && below(2) == 0;
      options.read_masks.push_back(read ? maker.mask_of(inputs.back()) : kNone);
      options.only_for_masks.push_back(options.new_mask && below(2) == 0);
    }
    options.flops = static_cast<double>(1 + below(100));
    for (const TensorId t : maker.call(maker.layer("l" + std::to_string(i)), inputs, options)) {
      made.push_back(t);
    }
  }
  for (std::size_t i = 0; i <= below(2); ++i) {
    maker.output("out" + std::to_string(i),
                 made[made.size() - 1 - below(std::min(made.size(), std::size_t{3}))]);
  }
  return maker.build();
}

// The model inputs that the fetches need besides what is fed, by plain recursion.
void reach(const Graph& graph, TensorId tensor, const std::set<TensorId>& fed,
           std::set<TensorId>& seen, std::set<TensorId>& inputs) {
  if (fed.contains(tensor) || !seen.insert(tensor).second) return;
  const CallId producer = graph.tensor(tensor).producer;
  if (producer == kNone) {
    inputs.insert(tensor);
    return;
  }
  const Call& call = graph.call(producer);
  for (const TensorId input : call.inputs) reach(graph, input, fed, seen, inputs);
  for (std::size_t i = 0; i < call.implicit_masks.size(); ++i) {
    const bool read = graph.tensor(tensor).mask || !call.only_for_masks[i];
    const TensorId mask = call.implicit_masks[i];
    if (mask != kNone && read) reach(graph, mask, fed, seen, inputs);
  }
}

std::set<TensorId> missing(const Graph& graph, const std::set<TensorId>& fed,
                           std::span<const TensorId> fetches) {
  std::set<TensorId> seen;
  std::set<TensorId> inputs;
  for (const TensorId fetch : fetches) reach(graph, fetch, fed, seen, inputs);
  return inputs;
}

// The tensors in quotes before `word`.
std::set<std::string> quoted_before(const std::string& message, const std::string& word) {
  std::set<std::string> names;
  for (auto at = message.find(word); at != std::string::npos; at = message.find(word, at + 1)) {
    const auto end = message.rfind('\'', at);
    const auto start = message.rfind('\'', end - 1);
    names.insert(message.substr(start + 1, end - start - 1));
  }
  return names;
}

std::set<TensorId> advised(const Graph& graph, const std::string& message) {
  std::set<TensorId> extra;
  const auto start = message.find("; feed ");
  if (start == std::string::npos) return extra;
  const std::string part = message.substr(start, message.find(" too", start) - start);
  for (auto open = part.find('\''); open != std::string::npos; open = part.find('\'', open + 1)) {
    const auto close = part.find('\'', open + 1);
    extra.insert(resolve(graph, part.substr(open + 1, close - open - 1)));
    open = close;
  }
  return extra;
}

std::vector<TensorId> outputs_of(const Graph& graph) {
  std::vector<TensorId> outputs;
  for (const Port& port : graph.outputs()) outputs.push_back(port.tensor);
  return outputs;
}

TEST(RandomCutTest, ErrorsNameExactlyTheMissingInputsAndAdviceHelps) {
  std::mt19937 random(7);
  std::size_t refused = 0;
  for (int round = 0; round < 150; ++round) {
    const auto graph = random_graph(random, 3 + round % 12);
    const std::vector<TensorId> outputs = outputs_of(*graph);
    for (TensorId t = 0; t < graph->tensors().size(); ++t) {
      const std::set<TensorId> expected = missing(*graph, {t}, outputs);
      std::string message;
      try {
        cut(graph, std::vector<TensorId>{t}, outputs, {.strict = false});
      } catch (const Error& error) {
        message = error.message();
      }
      ASSERT_EQ(message.empty(), expected.empty());
      if (expected.empty()) continue;
      ++refused;
      std::set<std::string> names;
      for (const TensorId input : expected) names.insert(address_of(*graph, input));
      EXPECT_EQ(quoted_before(message, " is also needed"), names) << message;
      std::set<TensorId> fed = advised(*graph, message);
      ASSERT_FALSE(fed.empty()) << message;
      fed.insert(t);
      EXPECT_THAT(missing(*graph, fed, outputs), IsEmpty()) << message;
    }
  }
  EXPECT_GT(refused, 500U);
}

// No smaller set of tensors that do not come from the feed would do: all subsets are tried.
TEST(RandomCutTest, TheAdviceIsTheSmallestSet) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    const auto graph = random_graph(random, 6);
    const std::size_t count = graph->tensors().size();
    if (count > 14) continue;
    const std::vector<TensorId> outputs = outputs_of(*graph);
    for (TensorId t = 0; t < count; ++t) {
      if (missing(*graph, {t}, outputs).empty()) continue;
      const std::size_t size =
          advised(*graph,
                  [&] {
                    try {
                      cut(graph, std::vector<TensorId>{t}, outputs, {.strict = false});
                    } catch (const Error& error) {
                      return error.message();
                    }
                    return std::string();
                  }())
              .size();
      for (std::uint32_t subset = 0; subset < (1U << count); ++subset) {
        if (static_cast<std::size_t>(std::popcount(subset)) >= size) continue;
        std::set<TensorId> fed{t};
        bool allowed = true;
        for (TensorId other = 0; other < count; ++other) {
          if ((subset >> other & 1U) == 0) continue;
          fed.insert(other);
          // Computed from the feed, or fetched: of no use.
          std::set<TensorId> seen;
          std::set<TensorId> inputs;
          reach(*graph, other, {}, seen, inputs);
          allowed = allowed && !seen.contains(t) &&
                    (std::ranges::find(outputs, other) == outputs.end() ||
                     graph->tensor(other).producer == kNone);
        }
        EXPECT_FALSE(allowed && missing(*graph, fed, outputs).empty());
      }
    }
  }
}

TEST(RandomCutTest, DominatorsAreTheTensorsThatAreEnoughAlone) {
  std::mt19937 random(13);
  std::size_t found = 0;
  for (int round = 0; round < 200; ++round) {
    const auto graph = random_graph(random, 3 + round % 14);
    const std::vector<TensorId> outputs = outputs_of(*graph);
    double total = 0;
    for (const CallId id : whole(graph).calls) total += graph->call(id).flops;
    std::vector<TensorId> expected;
    for (TensorId t = 0; t < graph->tensors().size(); ++t) {
      if (missing(*graph, {t}, outputs).empty()) expected.push_back(t);
    }
    std::vector<TensorId> actual;
    for (const Dominator& dominator : dominators(*graph)) {
      actual.push_back(dominator.tensor);
      double before = 0;
      const std::vector<TensorId> one{dominator.tensor};
      std::vector<TensorId> inputs;
      for (const TensorId t : missing(*graph, {}, one)) inputs.push_back(t);
      for (const CallId id : cut(graph, inputs, one).calls) before += graph->call(id).flops;
      EXPECT_EQ(dominator.flops_before, before);
      EXPECT_EQ(dominator.flops_after, total - before);
    }
    std::ranges::sort(actual);
    EXPECT_EQ(actual, expected);
    found += actual.size();
  }
  EXPECT_GT(found, 200U);
}

TEST(DominatorTest, CountsBytesOfWhatIsKnown) {
  GraphMaker maker;
  const TensorId x = maker.input("x", {Shape::kUnknown, Shape::kUnknown, 3});
  maker.output("y", maker.add("y", {x}, {.shape = {Shape::kUnknown, 5}}));
  const auto points = dominators(*maker.build());
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].bytes_per_sample, 12);
  EXPECT_EQ(points[1].bytes_per_sample, 20);
}

// A model of thousands of layers is cut, refused and described in no time to speak of; with work
// per layer that grows with the model this would take minutes.
TEST(CutTest, LargeGraphsAreNoTrouble) {
  GraphMaker maker;
  TensorId last = maker.input("x");
  for (int i = 0; i < 20'000; ++i) {
    last = i % 2 == 0 ? maker.add("conv" + std::to_string(i), {last})
                      : maker.add("add" + std::to_string(i), {last, last - 1});
  }
  maker.output("y", last);
  const auto graph = maker.build();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(resolve(*graph, "y"), last);
  EXPECT_EQ(cut(graph, Names{}, Names{}).calls.size(), 20'000U);
  EXPECT_THAT(dominators(*graph), Not(IsEmpty()));
  EXPECT_THAT(refusal(graph, {"conv10000"}, {"y"}), HasSubstr("'x' is also needed"));
}

}  // namespace
}  // namespace kerf::graph
