#include "corbel/server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace corbel {
namespace {

ApiKeys::Key hashed(std::string_view text) {
  ApiKeys::Key key;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), key.hash.data());
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const std::uint8_t byte : key.hash) {
    key.salt += kHex[byte >> 4];
    key.salt += kHex[byte & 15];
  }
  key.name = key.salt.substr(0, 8);
  return key;
}

}  // namespace

void ApiKeys::add(std::string_view key) {
  if (find(key) == nullptr) keys_.push_back(hashed(key));
}

const ApiKeys::Key* ApiKeys::find(std::string_view given) const {
  const Key wanted = hashed(given);
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (CRYPTO_memcmp(key.hash.data(), wanted.hash.data(), key.hash.size()) == 0) found = &key;
  }
  return found;
}

}  // namespace corbel
