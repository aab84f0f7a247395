#include "corbel/hub/content_hash.h"

#include <openssl/evp.h>

#include <array>

#include "corbel/base/cat.h"
#include "corbel/base/check.h"

namespace corbel {

std::string_view hash_kind_name(HashKind kind) { return kind == HashKind::sha256 ? "SHA-256" : "git's SHA-1"; }

void RunningHash::Free::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

RunningHash::RunningHash(HashKind kind, std::int64_t bytes) : context_(EVP_MD_CTX_new()) {
  const EVP_MD* const algorithm = kind == HashKind::sha256 ? EVP_sha256() : EVP_sha1();
  const bool ready = context_ != nullptr && EVP_DigestInit_ex(context_.get(), algorithm, nullptr) == 1;
  CORBEL_CHECK(ready, "OpenSSL gives no ", hash_kind_name(kind));
  if (kind == HashKind::sha256) return;
  const std::string head = cat("blob ", bytes);
  add(std::as_bytes(std::span(head.c_str(), head.size() + 1)));  // with its zero
}

void RunningHash::add(std::span<const std::byte> part) noexcept {
  CORBEL_CHECK(EVP_DigestUpdate(context_.get(), part.data(), part.size()) == 1, "OpenSSL does not hash");
}

std::string RunningHash::hexadecimal() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned size = 0;
  CORBEL_CHECK(EVP_DigestFinal_ex(context_.get(), raw.data(), &size) == 1, "OpenSSL does not end a hash");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[raw[i] >> 4];
    text += kDigits[raw[i] & 15];
  }
  return text;
}

}  // namespace corbel
