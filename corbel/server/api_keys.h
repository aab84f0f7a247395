#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corbel {

/// The keys that requests may come with. Only their SHA-256 is kept; a given key is compared with all of them, in a
/// time that does not tell how much of it agrees.
class ApiKeys {
 public:
  struct Key {
    std::array<std::uint8_t, 32> hash{};
    std::string name;  // the hash's first eight hex digits: what logs say of it
    std::string salt;  // all of them: apart for each key
  };
  /// Each once.
  void add(std::string_view key);
  bool empty() const { return keys_.empty(); }
  std::size_t size() const { return keys_.size(); }
  /// Null: it is none of them.
  const Key* find(std::string_view given) const;

 private:
  std::vector<Key> keys_;
};

}  // namespace corbel
