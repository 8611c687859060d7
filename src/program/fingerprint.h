#pragma once

#include <array>
#include <cstdint>
#include <string_view>

// The hashes that TensorFlow's string functions are made of, and whose values files depend on.
// They never change. Any thread may call.
namespace kerf::program {

// FarmHash's Fingerprint64: tf.strings.to_hash_bucket_fast.
std::uint64_t fingerprint(std::string_view text) noexcept;

// SipHash-2-4 under a key: tf.strings.to_hash_bucket_strong.
using HashKey = std::array<std::uint64_t, 2>;
std::uint64_t keyed_hash(std::string_view text, const HashKey& key) noexcept;

// How tf.sparse.cross_hashed joins the fingerprints of several features, beginning with this one.
inline constexpr std::uint64_t kFirstFingerprint = 0xDECAFCAFFE;
std::uint64_t join_fingerprints(std::uint64_t a, std::uint64_t b) noexcept;

}  // namespace kerf::program
