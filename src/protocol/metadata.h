#pragma once

#include "protocol/buffer.h"
#include "serving/repository.h"

namespace kerf::protocol {

// The bodies of the endpoints that describe: as the Open Inference Protocol prints them.

void write_server_metadata(Buffer& out);
void write_model_metadata(Buffer& out, const serving::ServedModel& model,
                          const serving::Repository& repository);
// {"models": [names]}.
void write_model_list(Buffer& out, const serving::Repository& repository);
// One entry per version, all READY: a server starts with all of its models or not at all.
void write_repository_index(Buffer& out, const serving::Repository& repository);

}  // namespace kerf::protocol
