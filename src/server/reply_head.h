#pragma once

#include <span>
#include <string_view>

#include "protocol/message.h"

namespace kerf::server {

struct ReplyHead {
  bool keep_alive = true;
  bool http_1_0 = false;
  std::string_view more;      // further headers, with their line ends
  bool without_body = false;  // the reply to HEAD: its Content-Length says what GET would bring
};

// Writes the reply's HTTP head into the room before its body. Returns head and body, to be sent as
// one.
std::span<const char> write_head(protocol::Reply& reply, const ReplyHead& head);

}  // namespace kerf::server
