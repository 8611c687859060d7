#include "tests/formats/zoo.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <cmath>
#include <map>
#include <optional>

#include "formats/reader.h"
#include "kerf/error.h"
#include "kerf/model.h"
#include "tensor/npy.h"
#include "tests/formats/support.h"

namespace kerf::test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using Outcome = ZooResult::Outcome;

// What differs between two tensors, or nothing.
std::optional<std::string> difference(const Tensor& computed, const Tensor& truth,
                                      double tolerance) {
  if (truth.dtype() == DType::kString || computed.dtype() == DType::kString) return std::nullopt;
  const Tensor a = computed.cast(DType::kFloat32);
  const Tensor b = truth.cast(DType::kFloat32);
  if (a.shape() != b.shape()) {
    return fmt::format("the shape {}, not {}", a.shape().to_string(), b.shape().to_string());
  }
  double largest = 1e-6;
  double difference = 0;
  for (std::size_t i = 0; i < a.as<float>().size(); ++i) {
    const float x = a.as<float>()[i];
    const float y = b.as<float>()[i];
    if (std::isnan(x) != std::isnan(y)) return fmt::format("{} at {}, not {}", x, i, y);
    if (std::isnan(y) || std::isinf(y)) continue;
    largest = std::max<double>(largest, std::abs(y));
    difference = std::max<double>(difference, std::abs(x - y));
  }
  if (difference / largest <= tolerance) return std::nullopt;
  return fmt::format("off by {:.2g} of the largest", difference / largest);
}

struct Truth {
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
  double tolerance = 1e-4;
};

Truth read_truth(const fs::path& base) {
  const json::value info = json::parse(read_text(base.string() + ".json"));
  std::map<std::string, Tensor> arrays;
  for (auto& [name, tensor] : read_npz(base.string() + ".npz")) arrays[name] = tensor;
  Truth truth;
  const auto collect = [&](const char* list, std::vector<Tensor>& to) {
    for (const json::value& entry : info.at(list).as_array()) {
      if (const json::value* strings = entry.as_object().if_contains("strings")) {
        std::vector<std::string_view> texts;
        for (const json::value& text : strings->as_array()) texts.emplace_back(text.as_string());
        to.push_back(Tensor::of_strings({std::ssize(texts)}, texts));
        continue;
      }
      to.push_back(arrays.at(std::string(entry.at("key").as_string())));
    }
  };
  collect("inputs", truth.inputs);
  collect("outputs", truth.outputs);
  if (const json::value* sensitivity = info.as_object().if_contains("sensitivity")) {
    if (sensitivity->is_number()) truth.tolerance += 10 * sensitivity->to_number<double>();
  }
  return truth;
}

std::string compare(const fs::path& file, const Truth& truth) {
  const std::vector<Tensor> outputs = Model::load(file).whole().run(truth.inputs);
  if (outputs.size() != truth.outputs.size()) return "another number of outputs";
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (const auto wrong = difference(outputs[i], truth.outputs[i], truth.tolerance)) return *wrong;
  }
  return {};
}

// Words of kerf's own for each reason of the verdicts.
bool says(const std::string& message, const std::string& reason) {
  static const std::map<std::string, std::vector<const char*>> kWords{
      {"custom code", {"own Python code", "Python function"}},
      {"lambda not simple", {"Lambda"}},
      {"no graph in file (subclassed)", {"graph of layers"}},
      {"plain SavedModel without Keras metadata", {"SavedModel"}},
      {"vocabulary missing", {"vocabulary"}}};
  const auto words = kWords.find(reason);
  return words == kWords.end() || std::ranges::any_of(words->second, [&](const char* word) {
           return message.find(word) != std::string::npos;
         });
}

ZooResult try_model(const fs::path& folder, const json::object& record) {
  ZooResult result{.name = std::string(record.at("zoo").as_string())};
  const bool serve = record.at("verdict").as_string() == "serve";
  std::string refusal;
  try {
    Model::load(folder / result.name);
  } catch (const Error& error) {
    refusal = error.what();
  }
  if (formats::problems(folder / result.name).empty() != refusal.empty()) {
    result.detail = "problems() and read_model() differ: " + refusal;
    return result;
  }
  if (const std::string prefix = folder.string() + "/"; refusal.starts_with(prefix)) {
    refusal.erase(0, prefix.size());
  }
  if (!refusal.empty()) {
    const json::value* reason = record.if_contains("reason");
    result.detail = refusal;
    const bool right = reason == nullptr || says(refusal, std::string(reason->as_string()));
    result.outcome = serve   ? Outcome::kServable
                     : right ? Outcome::kRefused
                             : Outcome::kRefusedOddly;
    return result;
  }
  if (!serve) {
    result.outcome = Outcome::kServedBlindly;
    return result;
  }
  try {
    const Truth truth = read_truth(folder / std::string(record.at("truth").as_string()));
    result.detail = compare(folder / result.name, truth);
    if (!result.detail.empty()) return result;
    result.outcome = Outcome::kServed;
    const TemporaryFolder scratch;
    try {
      Model::load(folder / result.name).whole().write(scratch / "converted.keras");
      const std::string wrong = compare(scratch / "converted.keras", truth);
      result.converted = wrong.empty() ? "same" : "WRONG: " + wrong;
    } catch (const Error& error) {
      result.converted = fmt::format("refused: {}", error.what());
    }
  } catch (const std::exception& error) {
    result.outcome = Outcome::kWrong;
    result.detail = error.what();
  }
  return result;
}

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kServed:
      return "served right";
    case Outcome::kRefused:
      return "refused right";
    case Outcome::kRefusedOddly:
      return "REFUSED ODDLY";
    case Outcome::kServable:
      return "NOT SERVED";
    case Outcome::kServedBlindly:
      return "SERVED BLINDLY";
    case Outcome::kWrong:
      return "WRONG";
  }
  return "";
}

}  // namespace

std::vector<ZooResult> try_zoo(const fs::path& folder) {
  const json::value verdicts = json::parse(read_text(folder / "verdicts.json"));
  std::vector<ZooResult> results;
  for (const json::value& record : verdicts.as_array()) {
    results.push_back(try_model(folder, record.as_object()));
  }
  return results;
}

std::string table_of(const std::vector<ZooResult>& results) {
  std::string table;
  std::map<std::string, int> counts;
  int converted = 0;
  for (const ZooResult& result : results) {
    const bool same = result.converted.empty() || result.converted == "same";
    converted += result.converted == "same" ? 1 : 0;
    ++counts[name_of(result.outcome)];
    table += fmt::format("{:<14}  {}\n", name_of(result.outcome), result.name);
    if (!result.detail.empty()) table += fmt::format("{:16}{}\n", "", result.detail.substr(0, 300));
    if (!same) table += fmt::format("{:16}converted: {}\n", "", result.converted.substr(0, 300));
  }
  table += fmt::format("\n{} models:", results.size());
  for (const auto& [name, count] : counts) table += fmt::format(" {} {},", count, name);
  table += fmt::format(" {} the same after `kerf convert`\n", converted);
  return table;
}

}  // namespace kerf::test
