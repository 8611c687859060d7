#include "protocol/trace.h"

#include <gtest/gtest.h>

#include <string>

namespace kerf::protocol {
namespace {

// The example of the W3C's recommendation.
const std::string kHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Trace, GoesOnInTheClientsTrace) {
  const auto first = continue_trace(kHeader);
  const auto second = continue_trace(kHeader);
  ASSERT_TRUE(first && second);
  const std::string text(first->begin(), first->end());
  EXPECT_EQ(text.substr(0, 36), kHeader.substr(0, 36));
  EXPECT_EQ(text.substr(52), "-01");
  EXPECT_NE(text.substr(36, 16), kHeader.substr(36, 16));
  EXPECT_NE(*first, *second);
}

TEST(Trace, IgnoresWhatIsNone) {
  for (const char* header : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
                             "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                             "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                             "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                             "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                             "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                             "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"}) {
    EXPECT_FALSE(continue_trace(header)) << header;
  }
  // A version that is not known yet may say more.
  EXPECT_TRUE(continue_trace("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"));
}

}  // namespace
}  // namespace kerf::protocol
