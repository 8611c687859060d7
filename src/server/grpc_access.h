#pragma once

#include <grpcpp/security/auth_metadata_processor.h>

#include "serving/access.h"
#include "serving/published.h"

namespace kerf::server {

// Looks at the key of every gRPC call, of whichever service, before anything else does. It sees no
// messages: a key that is good for some models only is good for none here. gRPC's threads call it.
class GrpcAccess final : public grpc::AuthMetadataProcessor {
 public:
  explicit GrpcAccess(const serving::Published<serving::Access>& access) : access_(access) {}

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* consumed, OutputMetadata* response) override;

 private:
  const serving::Published<serving::Access>& access_;
};

}  // namespace kerf::server
