#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include "corbel/base/result.h"

namespace boost::asio::ssl {
class context;
}

namespace corbel {

/// Who a server is, to TLS: a certificate (with those between it and a root) and its key, in PEM files, read again when
/// they change. Connections keep what they began with. TLS 1.2 and 1.3. Any thread.
class TlsIdentity {
 public:
  using Context = std::shared_ptr<boost::asio::ssl::context>;
  /// Refused: files that are not there, are no PEM, or do not belong to each other.
  static Result<std::shared_ptr<TlsIdentity>> load(const std::filesystem::path& certificate,
                                                   const std::filesystem::path& key);
  /// For the next connection.
  Context context() const;
  /// Reads the files again; what they were before stays when they cannot be used.
  Result<void> reload();
  /// The same when one of them has changed since; true: it was read.
  Result<bool> reload_if_changed();

 private:
  TlsIdentity(std::filesystem::path certificate, std::filesystem::path key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}
  std::string versions() const;  // of the files: time and size of each

  std::filesystem::path certificate_, key_;
  mutable std::mutex mutex_;
  std::string seen_;
  Context context_;
};

}  // namespace corbel
