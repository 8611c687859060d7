#pragma once

#include <string>
#include <vector>

#include "protocol/message.h"
#include "protocol/route.h"
#include "server/server.h"
#include "serving/access.h"
#include "serving/published.h"

namespace kerf::server {

// Who may come in: looks at each request of a connection before it is answered. One thread at a
// time.
class Gate {
 public:
  Gate(const serving::Published<serving::Access>& access, const CorsOptions& cors)
      : access_(access), cors_(cors) {}

  // True if the request may go on to be answered; otherwise the reply says why it may not, or
  // answers a browser that asks what it may do.
  bool admit(const protocol::Request& request, protocol::Reply& reply);
  // The headers that let the page that sent this request read the reply; empty for other clients.
  std::string_view cors_headers(const protocol::Request& request);
  void rest() noexcept { access_.rest(); }

 private:
  bool answers_preflight(const protocol::Request& request, protocol::Reply& reply) const;

  serving::Published<serving::Access>::Reader access_;
  const CorsOptions& cors_;
  protocol::Route route_;
  std::string headers_;
};

}  // namespace kerf::server
