#include <cstdint>
#include <string_view>

#include "corbel/text/gzip.h"
#include "corbel/text/vocab_merges.h"

// Lines of merges of any bytes are refused or taken; so is a gzip file of any bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  corbel::Vocabulary vocabulary;
  std::int32_t id = 0;
  for (const std::string_view token : {"a", "b", "ab", "aab", "aa", "bab"}) {
    if (!vocabulary.add(token, id++, "v")) return 0;
  }
  corbel::BpeModel model(std::move(vocabulary), {});
  if (corbel::read_merge_lines(bytes, "merges.txt", model)) {
    model.finish();
    std::vector<std::int32_t> ids;
    if (!bytes.empty()) static_cast<void>(model.encode(bytes.substr(0, 1024), ids));
  }
  static_cast<void>(corbel::gunzip(bytes, "fuzz.gz", 1 << 20));
  return 0;
}
