#pragma once

#include <filesystem>
#include <string>
#include <vector>

// Models that real people saved, with what Keras computes for them: a folder with verdicts.json, a
// list of {"zoo": FILE, "verdict": "serve" | "refuse", "truth": BASE of .npz and .json, "reason"}.
namespace kerf::test {

struct ZooResult {
  enum class Outcome {
    kServed,         // with the outputs that Keras computes
    kRefused,        // for the reason for which it must be
    kRefusedOddly,   // as it must be, but for another reason
    kServable,       // refused, though it could be served
    kServedBlindly,  // served, though it must be refused
    kWrong,          // with other outputs
  };
  std::string name;
  Outcome outcome = Outcome::kWrong;
  std::string detail;     // why it was refused, or what is wrong
  std::string converted;  // of a served one: "same", or what became of it as a .keras file
  bool right() const { return outcome == Outcome::kServed || outcome == Outcome::kRefused; }
};

// Tries every model. What is expected and what is found is told apart only by the verdicts.
std::vector<ZooResult> try_zoo(const std::filesystem::path& folder);

// A line for each, and a summary.
std::string table_of(const std::vector<ZooResult>& results);

}  // namespace kerf::test
