#include "corbel/server/tls.h"

#include <openssl/err.h>
#include <sys/stat.h>

#include <boost/asio/ssl/context.hpp>
#include <string_view>

namespace corbel {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

/// Of what a client offers, HTTP/1.1: the only one that is spoken here.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
                    unsigned int offered_length, void*) {
  static constexpr std::string_view kHttp = "\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, length, reinterpret_cast<const unsigned char*>(kHttp.data()), kHttp.size(), offered,
                            offered_length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

Result<TlsIdentity::Context> make_context(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  error_code failed;
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1 |
                           ssl::context::no_compression,
                       failed);
  // Idle connections give their buffers back: 2 x 17 KB each. What is tried again may stand elsewhere by then.
  SSL_CTX_set_mode(context->native_handle(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Clients come back with a ticket, which costs nothing here; sessions of those that take none are not kept.
  SSL_CTX_set_session_cache_mode(context->native_handle(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context->native_handle(), 1);
  SSL_CTX_set_alpn_select_cb(context->native_handle(), choose_protocol, nullptr);
  if (!failed) context->use_certificate_chain_file(certificate.string(), failed);
  if (failed)
    return fail(Code::bad_file, cat("cannot use the certificate ", certificate.string(), ": ", failed.message(),
                                    "; expected PEM, the server's own first"));
  context->use_private_key_file(key.string(), ssl::context::pem, failed);
  if (failed)
    return fail(Code::bad_file, cat("cannot use the key ", key.string(), ": ", failed.message(),
                                    "; expected PEM without a passphrase, of the key in ", certificate.string()));
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    ERR_clear_error();
    return fail(Code::bad_file, cat("the key ", key.string(), " does not belong to ", certificate.string()));
  }
  return context;
}

}  // namespace

std::string TlsIdentity::versions() const {
  std::string text;
  for (const std::filesystem::path& path : {certificate_, key_}) {
    struct stat file{};
    if (::stat(path.c_str(), &file) != 0) continue;
    text += cat(file.st_ino, ' ', file.st_size, ' ', file.st_mtim.tv_sec, '.', file.st_mtim.tv_nsec, ';');
  }
  return text;
}

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(const std::filesystem::path& certificate,
                                                       const std::filesystem::path& key) {
  std::shared_ptr<TlsIdentity> identity(new TlsIdentity(certificate, key));
  CORBEL_TRY(identity->reload());
  return identity;
}

TlsIdentity::Context TlsIdentity::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

Result<void> TlsIdentity::reload() {
  std::string seen = versions();
  auto made = make_context(certificate_, key_);
  const std::lock_guard lock(mutex_);
  seen_ = std::move(seen);  // also of files that cannot be used: told once, not every time
  if (!made) return Failure{made.error()};
  context_ = *std::move(made);
  return {};
}

Result<bool> TlsIdentity::reload_if_changed() {
  const std::string now = versions();
  {
    const std::lock_guard lock(mutex_);
    if (now == seen_) return false;
  }
  CORBEL_TRY(reload());
  return true;
}

}  // namespace corbel
