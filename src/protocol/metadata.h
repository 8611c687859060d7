#pragma once

#include "protocol/buffer.h"
#include "serving/snapshot.h"

namespace kerf::protocol {

// The bodies of the endpoints that describe: as the Open Inference Protocol prints them.

void write_server_metadata(Buffer& out);
void write_model_metadata(Buffer& out, const serving::ServedModel& model,
                          const serving::Snapshot& models);
// {"models": [names]}.
void write_model_list(Buffer& out, const serving::Snapshot& models);
// One entry per version, with its state and, where there is one, the reason for it.
void write_repository_index(Buffer& out, const serving::Snapshot& models);

}  // namespace kerf::protocol
