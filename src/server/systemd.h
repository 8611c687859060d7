#pragma once

#include <optional>
#include <string_view>

namespace kerf::server {

// What passes between a service and systemd (sd_notify(3), sd_listen_fds(3)), which needs no
// library: two environment variables and a datagram.

// Tells the service manager a state, as "READY=1"; does nothing where there is none. Any thread.
void notify_systemd(std::string_view state) noexcept;

// The listening socket that systemd has opened for this process, if it has.
std::optional<int> systemd_socket() noexcept;

}  // namespace kerf::server
