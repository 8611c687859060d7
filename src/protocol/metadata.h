#pragma once

#include "protocol/buffer.h"
#include "serving/snapshot.h"

namespace kerf::protocol {

// The bodies of the endpoints that describe: as the Open Inference Protocol prints them.

void write_model_metadata(Buffer& out, const serving::ServedModel& model,
                          const serving::Snapshot& models);
// {"models": [names]}.
void write_model_list(Buffer& out, const serving::Snapshot& models);

}  // namespace kerf::protocol
