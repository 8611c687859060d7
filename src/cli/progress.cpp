#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace kerf::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{500};
constexpr std::chrono::milliseconds kInterval{50};
constexpr int kWidth = 30;

}  // namespace

Progress::Progress(std::string label, std::FILE* stream)
    : Progress(std::move(label), stream, ::isatty(::fileno(stream)) == 1, Clock::now()) {}

Progress::Progress(std::string label, std::FILE* stream, bool terminal, Clock::time_point start)
    : label_(std::move(label)), stream_(stream), terminal_(terminal), next_(start + kPatience) {}

Progress::~Progress() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stream_);
  std::fflush(stream_);
}

void Progress::update(double share, Clock::time_point now) {
  if (!terminal_ || now < next_) return;
  next_ = now + kInterval;
  drawn_ = true;
  share = std::clamp(share, 0.0, 1.0);
  const int done = static_cast<int>(share * kWidth);
  const std::string bar = std::string(done, '=') + (done < kWidth ? ">" : "");
  const std::string line =
      fmt::format("\r{}  [{:<{}}] {:3.0f}%\x1b[K", label_, bar, kWidth, share * 100);
  std::fputs(line.c_str(), stream_);
  std::fflush(stream_);
}

}  // namespace kerf::cli
