#pragma once
#include <cstddef>

#include "corbel/ops/step_inputs.h"

namespace corbel {

/// Zeroes what one layer's page holds behind its first `tokens` tokens (0 to 64): what earlier users of the page, or
/// tokens taken back, left there. `page` has page.page_bytes() bytes in the host's layout.
void clear_page_tail(const KvPageSpec& page, std::int64_t tokens, std::byte* bytes) noexcept;

}  // namespace corbel
