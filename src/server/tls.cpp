#include "server/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <string>
#include <string_view>

#include "kerf/error.h"

namespace kerf::server {
namespace {

// What OpenSSL says went wrong, first of all.
std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "it cannot be used" : reason;
}

void check(bool good, const std::filesystem::path& file, std::string_view what) {
  if (good) return;
  throw Error(ErrorCode::kInvalidArgument, std::string(what) + ": " + openssl_error(),
              file.string());
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void*) {
  static constexpr unsigned char kHttp[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp, sizeof kHttp - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int clamped(std::size_t size) noexcept {
  return static_cast<int>(std::min<std::size_t>(size, std::numeric_limits<int>::max()));
}

}  // namespace

std::shared_ptr<const TlsContext> TlsContext::load(const TlsOptions& options) {
  auto loaded = std::make_shared<TlsContext>();
  loaded->context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = loaded->get();
  if (context == nullptr) throw std::bad_alloc();
  ERR_clear_error();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(
      context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  check(SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) == 1,
        options.certificate, "this is not a certificate in PEM form");
  check(SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) == 1,
        options.key, "this is not the certificate's private key in PEM form");
  if (!options.client_ca.empty()) {
    const char* file = options.client_ca.c_str();
    check(SSL_CTX_load_verify_file(context, file) == 1, options.client_ca,
          "these are not certificates in PEM form");
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    static constexpr unsigned char kId[] = "kerf";
    SSL_CTX_set_session_id_context(context, kId, sizeof kId - 1);
  }
  return loaded;
}

TlsStream::TlsStream(const TlsContext& context) : stream_(SSL_new(context.get())) {
  in_ = BIO_new(BIO_s_mem());
  out_ = BIO_new(BIO_s_mem());
  if (!stream_ || in_ == nullptr || out_ == nullptr) {
    BIO_free(in_);
    BIO_free(out_);
    throw std::bad_alloc();
  }
  BIO_set_mem_eof_return(in_, -1);  // empty means "later", not the end
  SSL_set_bio(stream_.get(), in_, out_);
  SSL_set_accept_state(stream_.get());
}

void TlsStream::received(std::span<const char> bytes) {
  if (BIO_write(in_, bytes.data(), clamped(bytes.size())) != clamped(bytes.size())) {
    throw std::bad_alloc();
  }
}

TlsStream::State TlsStream::read(std::span<char> to, std::size_t& count) {
  count = 0;
  ERR_clear_error();
  if (SSL_read_ex(stream_.get(), to.data(), to.size(), &count) == 1) return State::kBytes;
  const int error = SSL_get_error(stream_.get(), 0);
  ERR_clear_error();
  return error == SSL_ERROR_WANT_READ ? State::kWantsMore : State::kEnded;
}

std::span<const char> TlsStream::encrypt(std::span<const char> bytes) {
  ERR_clear_error();
  sent();
  // Memory takes all that is written at once.
  std::size_t written = 0;
  if (!bytes.empty() && SSL_write_ex(stream_.get(), bytes.data(), bytes.size(), &written) != 1) {
    ERR_clear_error();
    return {};
  }
  return output();
}

std::span<const char> TlsStream::end() {
  ERR_clear_error();
  SSL_shutdown(stream_.get());
  ERR_clear_error();
  return output();
}

std::span<const char> TlsStream::output() const {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  return {bytes, size < 0 ? 0 : static_cast<std::size_t>(size)};
}

void TlsStream::sent() noexcept { (void)BIO_reset(out_); }

}  // namespace kerf::server
