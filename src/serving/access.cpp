#include "serving/access.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

namespace kerf::serving {
namespace {

using Steady = std::chrono::steady_clock;

// Lets requests through at a rate, as many at once as make up a second (the generic cell rate
// algorithm): `due_` is when the next one would be, if all had come evenly.
class RateLimit {
 public:
  explicit RateLimit(double per_second)
      : interval_(per_second > 0 ? static_cast<std::int64_t>(1e9 / per_second) : 0) {}

  bool admit() noexcept {
    if (interval_ == 0) return true;
    constexpr std::int64_t kSecond = 1'000'000'000;
    const std::int64_t now = Steady::now().time_since_epoch() / std::chrono::nanoseconds(1);
    const std::int64_t ahead = std::max(interval_, kSecond);  // at least one may always come
    std::int64_t due = due_.load(std::memory_order_relaxed);
    for (;;) {
      const std::int64_t next = std::max(due, now) + interval_;
      if (next - now > ahead) return false;
      if (due_.compare_exchange_weak(due, next, std::memory_order_relaxed)) return true;
    }
  }

 private:
  std::int64_t interval_;  // ns
  std::atomic<std::int64_t> due_ = 0;
};

}  // namespace

KeyHash hash_key(std::string_view secret) {
  KeyHash hash;
  ::SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), hash.data());
  return hash;
}

struct Access::Entry {
  explicit Entry(AccessKey given) : key(std::move(given)), rate(key.requests_per_second) {}
  AccessKey key;
  mutable RateLimit rate;
};

Access::Access(std::vector<AccessKey> keys, bool open_health, bool open_metrics)
    : open_health_(open_health), open_metrics_(open_metrics) {
  for (AccessKey& key : keys) keys_.push_back(std::make_shared<const Entry>(std::move(key)));
}

const Access::Entry* Access::find(std::string_view secret) const {
  const KeyHash hash = hash_key(secret);
  const Entry* found = nullptr;
  for (const std::shared_ptr<const Entry>& entry : keys_) {
    if (CRYPTO_memcmp(entry->key.hash.data(), hash.data(), hash.size()) == 0) found = entry.get();
  }
  return found;
}

Access::Decision Access::check(std::string_view secret, Operation operation,
                               std::string_view model) const {
  if (open() || (operation == Operation::kHealth && open_health_) ||
      (operation == Operation::kMetrics && open_metrics_)) {
    return {};
  }
  if (secret.empty()) {
    return {.verdict = Verdict::kUnauthenticated,
            .reason =
                "this server wants a key: send it as 'Authorization: Bearer KEY' or as "
                "'X-API-Key: KEY'"};
  }
  const Entry* entry = find(secret);
  if (entry == nullptr) {
    return {.verdict = Verdict::kUnauthenticated, .reason = "this key is not known"};
  }
  const AccessKey& key = entry->key;
  if (key.expires && *key.expires <= std::chrono::system_clock::now()) {
    return {.verdict = Verdict::kUnauthenticated, .reason = "this key has expired"};
  }
  if (operation == Operation::kControl && !key.may_control) {
    return {.verdict = Verdict::kForbidden, .reason = "this key may not load and unload models"};
  }
  if (!model.empty() && !key.models.empty() &&
      std::ranges::find(key.models, model) == key.models.end()) {
    return {.verdict = Verdict::kForbidden, .reason = "this key is not good for this model"};
  }
  if (!entry->rate.admit()) {
    return {.verdict = Verdict::kTooMany,
            .reason = "this key has made as many requests as it may; try again in a moment"};
  }
  return {.verdict = Verdict::kGranted, .reason = {}, .key = &key};
}

std::string_view bearer_token(std::string_view authorization) noexcept {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size()) return {};
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = authorization[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
  }
  authorization.remove_prefix(kScheme.size());
  const std::size_t start = authorization.find_first_not_of(' ');
  return start == std::string_view::npos ? std::string_view() : authorization.substr(start);
}

}  // namespace kerf::serving
