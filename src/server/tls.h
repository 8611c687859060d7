#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>

#include "server/server.h"

namespace kerf::server {

// Certificates, and how they are used. Immutable, shared by all threads.
class TlsContext {
 public:
  // Throws Error(kInvalidArgument) that names the file which cannot be used.
  static std::shared_ptr<const TlsContext> load(const TlsOptions& options);

  SSL_CTX* get() const noexcept { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

// One encrypted connection, without its socket: bytes from the client go in at received(), and come
// out at read(); what is to be sent to it stands in output(). The handshake is made by the way.
// One thread at a time.
class TlsStream {
 public:
  // Throws std::bad_alloc.
  explicit TlsStream(const TlsContext& context);

  // Bytes as they came from the socket.
  void received(std::span<const char> bytes);
  enum class State { kBytes, kWantsMore, kEnded };
  // Takes decrypted bytes, `count` of them. kEnded: by the client, or because what came is not TLS
  // or its certificate is not good; output() may hold the alert that says so.
  State read(std::span<char> to, std::size_t& count);
  // Encrypts; the result is good until the next call of anything here.
  std::span<const char> encrypt(std::span<const char> bytes);
  // Says goodbye, so that the client knows that nothing was cut off.
  std::span<const char> end();

  // What has to be sent before more is read. Cleared by sent().
  std::span<const char> output() const;
  void sent() noexcept;

 private:
  struct Free {
    void operator()(SSL* stream) const noexcept { SSL_free(stream); }
  };
  std::unique_ptr<SSL, Free> stream_;
  BIO* in_ = nullptr;  // both are the stream's
  BIO* out_ = nullptr;
};

}  // namespace kerf::server
