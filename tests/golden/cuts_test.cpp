#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "formats/reader.h"
#include "graph/cut.h"
#include "kerf/error.h"
#include "tests/golden/golden.h"
#include "tests/support/make_model.h"
#include "tests/support/run_graph.h"

// Every cut of every model: tail(head(x)) is whole(x), or the error names exactly what is missing.
namespace kerf {
namespace {

using graph::CallId;
using graph::Graph;
using graph::kNone;
using graph::TensorId;
using testing_support::random_tensor;

// A model with inputs for it.
struct Subject {
  std::shared_ptr<const Graph> graph;
  std::vector<Tensor> inputs;  // in the order of graph->inputs()
};

// Masks that travel from an embedding and from a Masking layer through layers that hand them on,
// merge them and read them, beside an explicit mask; a shared layer and a nested model.
const char* const kMasked = R"({"class_name": "Functional", "config": {"name": "masked", "layers": [
  {"class_name": "InputLayer", "name": "ids", "config": {"name": "ids", "dtype": "int32",
   "batch_shape": [null, 5]}, "inbound_nodes": []},
  {"class_name": "InputLayer", "name": "x", "config": {"name": "x", "dtype": "float32",
   "batch_shape": [null, 5, 3]}, "inbound_nodes": []},
  {"class_name": "Embedding", "name": "embedding", "config": {"name": "embedding", "input_dim": 7,
   "output_dim": 3, "mask_zero": true}, "inbound_nodes": [[["ids", 0, 0, {}]]]},
  {"class_name": "Masking", "name": "masking", "config": {"name": "masking", "mask_value": 0.0},
   "inbound_nodes": [[["x", 0, 0, {}]]]},
  {"class_name": "Dense", "name": "shared", "config": {"name": "shared", "units": 4,
   "activation": "tanh"},
   "inbound_nodes": [[["embedding", 0, 0, {}]], [["masking", 0, 0, {}]]]},
  {"class_name": "Add", "name": "add", "config": {"name": "add"},
   "inbound_nodes": [[["shared", 0, 0, {}], ["shared", 1, 0, {}]]]},
  {"class_name": "LSTM", "name": "lstm", "config": {"name": "lstm", "units": 2,
   "return_sequences": true, "return_state": true}, "inbound_nodes": [[["add", 0, 0, {}]]]},
  {"class_name": "Functional", "name": "inner", "config": {"name": "inner", "layers": [
    {"class_name": "InputLayer", "name": "y", "config": {"name": "y", "dtype": "float32",
     "batch_shape": [null, 5, 2]}, "inbound_nodes": []},
    {"class_name": "Dropout", "name": "dropout", "config": {"name": "dropout", "rate": 0.5},
     "inbound_nodes": [[["y", 0, 0, {}]]]},
    {"class_name": "GRU", "name": "gru", "config": {"name": "gru", "units": 3,
     "reset_after": true}, "inbound_nodes": [[["dropout", 0, 0, {}]]]}],
    "input_layers": [["y", 0, 0]], "output_layers": [["gru", 0, 0]]},
   "inbound_nodes": [[["lstm", 0, 0, {}]]]},
  {"class_name": "GlobalAveragePooling1D", "name": "pool", "config": {"name": "pool"},
   "inbound_nodes": [[["shared", 0, 0, {}]]]},
  {"class_name": "Concatenate", "name": "joined", "config": {"name": "joined", "axis": -1},
   "inbound_nodes": [[["inner", 1, 0, {}], ["pool", 0, 0, {}], ["lstm", 0, 2, {}]]]},
  {"class_name": "Dense", "name": "final", "config": {"name": "final", "units": 2,
   "activation": "softmax"}, "inbound_nodes": [[["joined", 0, 0, {}]]]}],
  "input_layers": [["ids", 0, 0], ["x", 0, 0]], "output_layers": [["final", 0, 0]]}})";

Subject masked(formats::KerasVersion version) {
  std::mt19937 random(3);
  Subject subject{.graph = testing_support::make_model(
                      kMasked, testing_support::random_weights(random), version),
                  .inputs = {}};
  const std::vector<std::int32_t> ids{1, 2, 0, 0, 3, 4, 5, 6, 1, 0, 0, 0, 2, 1, 0};
  subject.inputs.push_back(Tensor::of<std::int32_t>(DType::kInt32, {3, 5}, ids));
  const Tensor x = random_tensor({3, 5, 3}, random);
  std::vector<float> values(x.as<float>().begin(), x.as<float>().end());
  std::fill(values.begin() + 6, values.begin() + 12, 0.0F);
  subject.inputs.push_back(Tensor::floats({3, 5, 3}, values));
  return subject;
}

struct Case {
  std::string name;
  std::function<Subject()> make;
  friend void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }
};

std::vector<Case> cases() {
  std::vector<Case> result{{"masks_of_keras_2",
                            [] {
                              return masked({2, 15});
                            }},
                           {"masks_of_keras_3", [] {
                              return masked({3, 15});
                            }}};
  const std::filesystem::path folder = golden::folders().front();
  for (const std::string& name : golden::names(folder)) {
    for (const char* extension : {".keras", ".h5"}) {
      result.push_back({name + "_" + (extension + 1), [=] {
                          const golden::Golden golden = golden::read(folder, name);
                          Subject subject{formats::read_model(folder / (name + extension)), {}};
                          for (const auto& input : golden.inputs) {
                            subject.inputs.push_back(golden.array(input));
                          }
                          return subject;
                        }});
    }
  }
  return result;
}

std::vector<TensorId> outputs_of(const Graph& graph) {
  std::vector<TensorId> outputs;
  for (const graph::Port& port : graph.outputs()) outputs.push_back(port.tensor);
  return outputs;
}

template <typename Visit>
void for_each_read(const graph::Call& call, const Visit& visit) {
  for (const TensorId input : call.inputs) visit(input);
  for (const TensorId mask : call.implicit_masks) {
    if (mask != kNone) visit(mask);
  }
}

// The model inputs that `fetches` need when `fed` is fed: a walk that shares nothing with cut().
void reach(const Graph& graph, TensorId tensor, const std::set<TensorId>& fed,
           std::set<TensorId>& seen, std::set<TensorId>& missing) {
  if (fed.contains(tensor) || !seen.insert(tensor).second) return;
  const CallId producer = graph.tensor(tensor).producer;
  if (producer == kNone) {
    missing.insert(tensor);
  } else {
    for_each_read(graph.call(producer),
                  [&](TensorId input) { reach(graph, input, fed, seen, missing); });
  }
}

class EveryCutTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    subject_ = GetParam().make();
    whole_ = run(graph::whole(subject_.graph));
  }

  const Graph& graph() const { return *subject_.graph; }

  // Runs a cut whose feeds are model inputs.
  std::vector<Tensor> run(const graph::Cut& cut) {
    std::vector<Tensor> feeds;
    for (const TensorId feed : cut.feeds) {
      for (std::size_t i = 0; i < subject_.inputs.size(); ++i) {
        if (graph().inputs()[i].tensor == feed) feeds.push_back(subject_.inputs[i]);
      }
    }
    return testing_support::run(cut, feeds, cache_);
  }

  std::vector<std::string> names_of(std::span<const TensorId> tensors) const {
    std::vector<std::string> names;
    for (const TensorId tensor : tensors) names.push_back(graph::address_of(graph(), tensor));
    return names;
  }

  void expect_whole(const std::vector<Tensor>& outputs, const std::string& how) const {
    ASSERT_EQ(outputs.size(), whole_.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_LE(golden::distance(outputs[i], whole_[i]), 1e-6)
          << "output " << i << ", cut at " << how;
    }
  }

  Subject subject_;
  std::vector<Tensor> whole_;
  program::ConstantCache cache_;
};

TEST_P(EveryCutTest, AtASingleTensor) {
  const std::vector<TensorId> outputs = outputs_of(graph());
  std::set<TensorId> expected_points;
  for (TensorId tensor = 0; tensor < graph().tensors().size(); ++tensor) {
    const std::vector<std::string> address = names_of(std::vector{tensor});
    std::set<TensorId> seen;
    std::set<TensorId> missing;
    for (const TensorId output : outputs) reach(graph(), output, {tensor}, seen, missing);
    if (missing.empty()) {
      expected_points.insert(tensor);
      const graph::Cut head = graph::cut(subject_.graph, {}, address);
      const graph::Cut tail = graph::cut(subject_.graph, address, {});
      expect_whole(testing_support::run(tail, run(head), cache_), address.front());
      continue;
    }
    try {
      graph::cut(subject_.graph, address, {});
      ADD_FAILURE() << "the cut at " << address.front() << " was made";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      std::set<std::string> named;
      const std::string& message = error.message();
      constexpr std::string_view kAfter = "' is also needed, through ";
      for (auto at = message.find(kAfter); at != std::string::npos;
           at = message.find(kAfter, at + 1)) {
        const auto start = message.rfind('\'', at - 1) + 1;
        named.insert(message.substr(start, at - start));
      }
      std::set<std::string> expected;
      for (const TensorId input : missing) expected.insert(graph::address_of(graph(), input));
      EXPECT_EQ(named, expected) << message;
    }
  }
  std::set<TensorId> points;
  for (const graph::Dominator& point : graph::dominators(graph())) points.insert(point.tensor);
  EXPECT_EQ(points, expected_points);
}

// Calls are taken one by one in a random order that respects what they need; the tensors that lead
// out of those taken so far separate the model in two. Two such places make a head, a middle and a
// tail.
TEST_P(EveryCutTest, AtRandomSeparators) {
  std::mt19937 random(17);
  const graph::Cut whole = graph::whole(subject_.graph);
  const std::vector<TensorId> outputs = outputs_of(graph());
  const std::size_t count = whole.calls.size();
  const auto frontier = [&](const std::vector<bool>& taken) {
    std::set<TensorId> tensors;
    const auto crosses = [&](TensorId tensor) {
      const CallId producer = graph().tensor(tensor).producer;
      if (producer == kNone || taken[producer]) tensors.insert(tensor);
    };
    for (const CallId id : whole.calls) {
      if (!taken[id]) for_each_read(graph().call(id), crosses);
    }
    for (const TensorId output : outputs) crosses(output);
    return std::vector<TensorId>(tensors.begin(), tensors.end());
  };
  for (int round = 0; round < 8; ++round) {
    const std::size_t first = random() % (count + 1);
    const std::size_t second = first + random() % (count + 1 - first);
    std::vector<bool> taken(graph().calls().size());
    std::vector<TensorId> places[2];
    for (std::size_t n = 0; n <= count; ++n) {
      if (n == first) places[0] = frontier(taken);
      if (n == second) places[1] = frontier(taken);
      std::vector<CallId> ready;
      for (const CallId id : whole.calls) {
        bool possible = !taken[id];
        for_each_read(graph().call(id), [&](TensorId input) {
          const CallId producer = graph().tensor(input).producer;
          possible = possible && (producer == kNone || taken[producer]);
        });
        if (possible) ready.push_back(id);
      }
      if (!ready.empty()) taken[ready[random() % ready.size()]] = true;
    }
    const std::vector<std::string> head_names = names_of(places[0]);
    const std::vector<std::string> tail_names = names_of(places[1]);
    const graph::Cut head = graph::cut(subject_.graph, {}, head_names);
    const graph::Cut middle = graph::cut(subject_.graph, head_names, tail_names);
    const graph::Cut tail = graph::cut(subject_.graph, tail_names, {});
    const std::vector<Tensor> features = run(head);
    expect_whole(testing_support::run(tail, testing_support::run(middle, features, cache_), cache_),
                 testing::PrintToString(head_names) + " and " + testing::PrintToString(tail_names));
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryCutTest, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace kerf
