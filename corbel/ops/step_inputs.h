#pragma once
#include <array>
#include <cstdint>

#include "corbel/tensor/view.h"

namespace corbel {

/// Tokens per cache page.
inline constexpr std::int64_t kPageTokens = 64;
/// Attention updates maximum and sum once per block of keys, at absolute positions.
inline constexpr std::int64_t kKeyBlockTokens = 128;
/// Blocks per attention chunk (1,024 tokens); chunks are merged in ascending order.
inline constexpr std::int64_t kChunkBlocks = 8;
inline constexpr int kMaxCacheGroups = 4;

/// What one step works on, in device memory at fixed addresses: a ragged set of rows. Rows of prefill spans come first,
/// span after span; then the decode rows, one per sequence. Counts are known to the host; contents only to the device.
struct StepInputs {
  std::int64_t rows = 0;           // all rows of the step
  std::int64_t prefill_spans = 0;  // spans before the decode rows
  std::int64_t prefill_rows = 0;   // rows of those spans; rows prefill_rows .. rows-1 are decode rows
  std::int64_t logit_rows = 0;     // rows whose logits are wanted

  TensorView ids;           // i32 [rows]           token of the row
  TensorView positions;     // i32 [rows, axes]     rotary position(s); axes is 1 for text
  TensorView rope_lengths;  // i32 [rows]           sequence length that length-dependent rotary scalings go by
  TensorView sequences;     // i32 [rows]           row of the page table that the row's sequence has
  TensorView slots;         // i32 [rows]           place in the sequence's cache; the row sees slots 0 .. slot
  TensorView spans;         // i32 [prefill_spans, 3]  {sequence, first row, rows}
  TensorView logit_index;   // i32 [logit_rows]     row of each wanted logit row, ascending
  /// i32 [sequences, max_pages]: page of each 64 slots, per cache group.
  std::array<TensorView, kMaxCacheGroups> page_tables;
};

/// The pages of one layer in a cache group. Opaque bytes: only kv_append, the attention ops, kv_copy and kv_export know
/// the layout.
struct KvLayer {
  std::byte* pages = nullptr;  // page p of this layer begins at pages + p * page_stride_bytes
  std::int64_t page_stride_bytes = 0;
  TensorView page_table;  // i32 [sequences, max_pages]
};

/// Layout of a page on the host (reference and cpu): keys [kv_heads, 64, head_dim], then values of the same shape.
struct KvPageSpec {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  DType dtype = DType::f32;  // f32 or bf16

  std::int64_t half_bytes() const noexcept { return kv_heads * kPageTokens * head_dim * dtype_bytes(dtype); }
  std::int64_t page_bytes() const noexcept { return 2 * half_bytes(); }
  /// Byte offset of a token's key; its value is half_bytes() further on.
  std::int64_t key_offset(std::int64_t kv_head, std::int64_t token_in_page) const noexcept {
    return (kv_head * kPageTokens + token_in_page) * head_dim * dtype_bytes(dtype);
  }
};

}  // namespace corbel
