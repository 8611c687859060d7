#include "cli/progress.h"

#include <gmock/gmock.h>

#include <cstdio>
#include <memory>
#include <string>

namespace kerf::cli {
namespace {

using std::chrono::milliseconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ProgressTest : public ::testing::Test {
 protected:
  std::string written() {
    std::fflush(stream_.get());
    const long size = std::ftell(stream_.get());
    std::rewind(stream_.get());
    std::string text(static_cast<std::size_t>(size), '\0');
    EXPECT_EQ(std::fread(text.data(), 1, text.size(), stream_.get()), text.size());
    std::fseek(stream_.get(), 0, SEEK_END);
    return text;
  }

  std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream_{std::tmpfile(), std::fclose};
  Progress::Clock::time_point start_ = Progress::Clock::now();
};

TEST_F(ProgressTest, ShowsNothingInTheFirstHalfSecond) {
  {
    Progress progress("reading m.keras", stream_.get(), true, start_);
    progress.update(0.2, start_ + milliseconds(100));
    progress.update(0.9, start_ + milliseconds(499));
  }
  EXPECT_THAT(written(), IsEmpty());
}

TEST_F(ProgressTest, ShowsNothingWhereThereIsNoTerminal) {
  {
    Progress progress("reading m.keras", stream_.get(), false, start_);
    progress.update(0.5, start_ + milliseconds(5000));
  }
  EXPECT_THAT(written(), IsEmpty());
}

TEST_F(ProgressTest, ShowsTheShareAndErasesItselfInTheEnd) {
  {
    Progress progress("reading m.keras", stream_.get(), true, start_);
    progress.update(0.5, start_ + milliseconds(600));
    EXPECT_THAT(written(), HasSubstr("reading m.keras  [===============>              ]  50%"));
    progress.update(1, start_ + milliseconds(800));
    EXPECT_THAT(written(), HasSubstr("[==============================] 100%"));
  }
  EXPECT_THAT(written(), EndsWith("\r\x1b[K"));
}

TEST_F(ProgressTest, IsRedrawnAtMostTwentyTimesASecond) {
  Progress progress("reading m.keras", stream_.get(), true, start_);
  progress.update(0.5, start_ + milliseconds(600));
  const std::string before = written();
  progress.update(0.6, start_ + milliseconds(610));
  EXPECT_EQ(written(), before);
}

}  // namespace
}  // namespace kerf::cli
