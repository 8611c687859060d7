#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <cmath>
#include <map>

#include "formats/reader.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tensor/npy.h"
#include "tests/formats/support.h"

// Models that real people saved, of every age of Keras, with what Keras computes for them. They
// must not be redistributed, so they are beside the repository on the project's machines only.
namespace kerf {
namespace {

namespace json = boost::json;

const std::filesystem::path kZoo = std::filesystem::path(KERF_SOURCE_DIR) / "../shared/zoo";

void expect_close(const Tensor& computed, const Tensor& truth, double tolerance) {
  const Tensor a = computed.cast(DType::kFloat32);
  const Tensor b = truth.cast(DType::kFloat32);
  ASSERT_EQ(a.shape(), b.shape());
  double largest = 1e-6;
  double difference = 0;
  for (std::size_t i = 0; i < a.as<float>().size(); ++i) {
    const float x = a.as<float>()[i];
    const float y = b.as<float>()[i];
    if (std::isnan(y) || std::isinf(y)) {
      ASSERT_EQ(std::isnan(x), std::isnan(y)) << "element " << i;
      continue;
    }
    ASSERT_FALSE(std::isnan(x)) << "element " << i;
    largest = std::max<double>(largest, std::abs(y));
    difference = std::max<double>(difference, std::abs(x - y));
  }
  EXPECT_LE(difference / largest, tolerance);
}

void expect_truth(const std::filesystem::path& file, const std::filesystem::path& truth_base) {
  const Model model = Model::load(file);
  const json::value info = json::parse(test::read_text(truth_base.string() + ".json"));
  std::map<std::string, Tensor> arrays;
  for (auto& [name, tensor] : read_npz(truth_base.string() + ".npz")) arrays[name] = tensor;
  std::vector<Tensor> feeds;
  for (const json::value& input : info.at("inputs").as_array()) {
    feeds.push_back(arrays.at(std::string(input.at("key").as_string())));
  }
  const std::vector<Tensor> outputs = model.whole().run(feeds);
  const json::array& expected = info.at("outputs").as_array();
  ASSERT_EQ(outputs.size(), expected.size());
  double tolerance = 1e-4;
  if (const json::value* sensitivity = info.as_object().if_contains("sensitivity")) {
    if (sensitivity->is_number()) tolerance += 10 * sensitivity->to_number<double>();
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    SCOPED_TRACE(expected[i].at("name").as_string().c_str());
    expect_close(outputs[i], arrays.at(std::string(expected[i].at("key").as_string())), tolerance);
  }
}

// What kerf reads, it computes as Keras does; what it does not, it refuses and says why.
TEST(Zoo, IsComputedAsByKerasOrRefused) {
  if (!std::filesystem::exists(kZoo)) GTEST_SKIP() << "there is no zoo beside this repository";
  const json::value verdicts = json::parse(test::read_text(kZoo / "verdicts.json"));
  int served = 0;
  for (const json::value& record : verdicts.as_array()) {
    const std::string name(record.at("zoo").as_string());
    SCOPED_TRACE(name);
    const std::vector<std::string> reasons = formats::problems(kZoo / name);
    const bool serve = record.at("verdict").as_string() == "serve";
    EXPECT_TRUE(serve || !reasons.empty());
    if (!reasons.empty()) {
      try {
        formats::read_model(kZoo / name);
        ADD_FAILURE() << "it has problems but can be read";
      } catch (const Error& error) {
        // A good model that kerf cannot serve is not a bad file.
        EXPECT_TRUE(!serve || error.code() == ErrorCode::kUnsupported) << error.what();
      }
    } else if (serve) {
      expect_truth(kZoo / name, kZoo / std::string(record.at("truth").as_string()));
      ++served;
    }
  }
  EXPECT_GT(served, 20);
}

}  // namespace
}  // namespace kerf
