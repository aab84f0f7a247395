#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

/// The room of the hub: model repositories that are downloaded into the Hugging Face cache. Speaks HTTP, knows no
/// model.
namespace corbel {

/// How the hub names a file's content.
enum class HashKind {
  sha256,    // of the content: large files (Git LFS); 64 hexadecimal digits
  git_blob,  // SHA-1 of "blob SIZE\0" and the content: all others; 40 digits
};

/// "SHA-256", "git's SHA-1".
std::string_view hash_kind_name(HashKind kind);

/// Hash of a content that comes in parts. `bytes` is the size of the whole: git's hash begins with it.
class RunningHash {
 public:
  RunningHash(HashKind kind, std::int64_t bytes);
  void add(std::span<const std::byte> part) noexcept;
  std::string hexadecimal();  // of all that was added; nothing more may be

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace corbel
