#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::serving {

// The SHA-256 of a secret. Secrets are long random texts, so a plain hash hides them.
using KeyHash = std::array<std::uint8_t, 32>;
KeyHash hash_key(std::string_view secret);

// A secret that clients show as bearer token or API key, by its hash, and what it is good for.
struct AccessKey {
  std::string name;  // for logs
  KeyHash hash{};
  std::optional<std::chrono::system_clock::time_point> expires;
  std::vector<std::string> models;  // it may use; empty: all
  double requests_per_second = 0;   // it may make, in bursts of a second's worth; 0: any number
  bool may_control = false;         // it may load and unload models

  bool operator==(const AccessKey&) const = default;
};

// What somebody wants to do.
enum class Operation : std::uint8_t { kHealth, kMetrics, kMetadata, kInfer, kControl };

// Who may do what. Any thread may call.
class Access {
 public:
  enum class Verdict : std::uint8_t {
    kGranted,
    kUnauthenticated,  // HTTP 401: no key, or one that is not known or no longer good
    kForbidden,        // HTTP 403: not with this key
    kTooMany,          // HTTP 429: not now
  };
  struct Decision {
    Verdict verdict = Verdict::kGranted;
    std::string_view reason;         // for the client; says nothing about keys that are not its
    const AccessKey* key = nullptr;  // that was shown, if it is good
  };

  // Without keys everybody may do everything.
  Access() = default;
  explicit Access(std::vector<AccessKey> keys, bool open_health = true, bool open_metrics = false);

  bool open() const noexcept { return keys_.empty(); }
  // Whether a client that shows `secret` (empty: nothing) may do this, to `model` if it is about
  // one. Counts as one request of the key. Takes the same time whatever of a secret is right.
  Decision check(std::string_view secret, Operation operation, std::string_view model) const;

 private:
  struct Entry;
  const Entry* find(std::string_view secret) const;

  std::vector<std::shared_ptr<const Entry>> keys_;
  bool open_health_ = true;
  bool open_metrics_ = false;
};

// The token of an "Authorization: Bearer TOKEN" header's value; empty for other schemes.
std::string_view bearer_token(std::string_view authorization) noexcept;

}  // namespace kerf::serving
