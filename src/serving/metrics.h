#pragma once

#include <string>

#include "serving/snapshot.h"

namespace kerf::serving {

// The Content-Type of what follows.
inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// Appends, in Prometheus' text form (exposition format 0.0.4), what was counted of every model
// version that is served, by cut, and the state of this process. (Debian 12 has no library for it
// whose counters cost a request less than a lock.)
void write_metrics(const Snapshot& models, std::string& out);

}  // namespace kerf::serving
