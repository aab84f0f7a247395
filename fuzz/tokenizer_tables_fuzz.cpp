#include <cstdint>
#include <string>
#include <string_view>

#include "corbel/text/tokenizer_tables.h"
#include "fuzz/round_trip.h"

namespace {

/// A tokenizer.json that stays as it is, and tables whose arrays are any bytes.
class Files final : public corbel::NamedFiles {
 public:
  explicit Files(std::string tables) : tables_(std::move(tables)) {}
  static constexpr std::string_view kJson =
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})";
  corbel::Result<std::optional<corbel::FileBytes>> find(std::string_view name, std::int64_t) const override {
    if (name == "tokenizer.json") return std::optional(corbel::FileBytes(std::string(kJson)));
    if (name == corbel::kTokenizerTables) return std::optional(corbel::FileBytes(tables_));
    return std::optional<corbel::FileBytes>();
  }
  bool has(std::string_view name) const override {
    return name == "tokenizer.json" || name == corbel::kTokenizerTables;
  }
  std::vector<std::string> names() const override { return {"tokenizer.json", "tokenizer.tables"}; }
  std::string description() const override { return "fuzz"; }
  std::string where(std::string_view name) const override { return std::string(name); }

 private:
  std::string tables_;
};

}  // namespace

// Tables of any bytes behind the right magic and checksum are refused, or make a tokenizer that encodes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string whole = **corbel::make_tokenizer_tables(Files::kJson, "fuzz");
  constexpr std::size_t kHead = 64;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // The first byte says whether the input replaces what follows the head, or alters single bytes of it.
  std::string tables = whole;
  if (size > 0 && data[0] % 2 == 0) {
    tables = whole.substr(0, kHead) + std::string(bytes.substr(1));
  } else {
    for (std::size_t i = 1; i + 2 < size; i += 3)
      tables[kHead + (data[i] + data[i + 1] * 256U) % (tables.size() - kHead)] = static_cast<char>(data[i + 2]);
  }
  const auto tokenizer = corbel::Tokenizer::load(Files(tables));
  if (tokenizer)
    static_cast<void>(tokenizer->encode(bytes.substr(0, 512), {.invalid_utf8 = corbel::InvalidUtf8::replace}));
  return 0;
}
