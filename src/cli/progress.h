#pragma once

#include <chrono>
#include <cstdio>
#include <string>

namespace kerf::cli {

// A bar on the last line of a terminal for work that turns out to take long:
//
//   reading resnet50.keras  [=========>           ]  43%
//
// Nothing is shown in the first half second, nor if `stream` is no terminal; the line is erased in
// the end. Used by one thread.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // Draws on `stream` if it is a terminal.
  explicit Progress(std::string label, std::FILE* stream = stderr);
  // For tests: whether it is a terminal, and when the work began, are given.
  Progress(std::string label, std::FILE* stream, bool terminal, Clock::time_point start);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `share` of the work is done, 0 to 1. Cheap enough to call at will.
  void update(double share) { update(share, Clock::now()); }
  void update(double share, Clock::time_point now);

 private:
  std::string label_;
  std::FILE* stream_;
  bool terminal_;
  Clock::time_point next_;  // when the bar may be drawn again
  bool drawn_ = false;
};

}  // namespace kerf::cli
