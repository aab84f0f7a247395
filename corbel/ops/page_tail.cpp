#include "corbel/ops/page_tail.h"

#include <cstring>

namespace corbel {

void clear_page_tail(const KvPageSpec& page, std::int64_t tokens, std::byte* bytes) noexcept {
  const auto element = static_cast<std::size_t>(page.element_bytes());
  for (std::int64_t head = 0; head < page.kv_heads; ++head) {
    std::byte* const keys = bytes + page.keys_offset(head);
    std::byte* const values = bytes + page.values_offset(head);
    std::byte* const scales = bytes + page.scales_offset(head);
    for (std::int64_t token = tokens; token < kPageTokens; ++token) {
      for (std::int64_t d = 0; d < page.head_dim; ++d) {
        std::memset(keys + page.key_place(token, d), 0, element);
        std::memset(values + page.value_place(token, d), 0, element);
      }
      if (page.dtype != DType::i8) continue;
      std::memset(scales + KvPageSpec::key_scale_place(token), 0, 2);
      std::memset(scales + KvPageSpec::value_scale_place(token), 0, 2);
    }
  }
}

}  // namespace corbel
