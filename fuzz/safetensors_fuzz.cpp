// A header that is accepted describes spans that tile the data inside the file, each as long as its shape and dtype
// say.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <utility>
#include <vector>

#include "corbel/format/safetensors.h"

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const corbel::Result<corbel::SafetensorsHeader> header = corbel::parse_safetensors_header(file, "fuzz");
  if (!header) {
    require(!header.error().message.empty());
    return 0;
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
  for (const auto& [name, entry] : header->entries) {
    require(entry.begin >= 8 && entry.begin <= entry.end && entry.end <= size);
    const auto elements = static_cast<std::uint64_t>(entry.shape.elements());
    require(elements <= 2 * (entry.end - entry.begin) && (entry.end - entry.begin) <= 8 * elements);
    spans.emplace_back(entry.begin, entry.end);
  }
  std::sort(spans.begin(), spans.end());
  for (std::size_t i = 1; i < spans.size(); ++i) require(spans[i - 1].second == spans[i].first);
  if (!spans.empty()) require(spans.back().second == size);
  return 0;
}
