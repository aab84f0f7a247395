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
  /// The last layer leaves out what is not wanted: behind it `hidden` has the wanted rows alone, from row 0 on.
  bool keeps_wanted_rows = false;

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

/// Layout of a page on the host (reference and cpu).
///
/// f32   keys [kv_heads, 64, head_dim], then values of the same shape
/// bf16  per kv head, one behind the other:
///   keys    4 bricks of 16 tokens; brick [ceil(head_dim / 2) lines of 64 bytes]; line i holds of each of the 16 tokens
///           the pair of elements 2i, 2i + 1 (the second is zero where head_dim is odd)
///   values  ceil(head_dim / 16) bricks of 16 elements; brick [32 lines of 64 bytes]; line i holds of each of the 16
///           elements the pair of tokens 2i, 2i + 1 (zeros where head_dim is no multiple of 16)
/// i8    per kv head as bf16, with bytes for elements (lines of 32 bytes), and behind the values
///   scales  bf16 [64] of the tokens' keys, bf16 [64] of their values
/// A line is one register of 16 pairs, so that a step of 16 scores, or of 16 outputs, is one load and no rearrangement.
struct KvPageSpec {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  DType dtype = DType::f32;  // f32, bf16 or i8

  static constexpr std::int64_t kBrick = 16;  // tokens of a key brick, elements of a value brick
  static constexpr std::int64_t kBrickTokens = kPageTokens / kBrick;

  std::int64_t element_bytes() const noexcept { return dtype == DType::f32 ? 4 : dtype == DType::bf16 ? 2 : 1; }
  std::int64_t line_bytes() const noexcept { return 2 * kBrick * element_bytes(); }  // not of f32
  std::int64_t key_lines() const noexcept { return (head_dim + 1) / 2; }             // of a brick
  std::int64_t value_bricks() const noexcept { return (head_dim + kBrick - 1) / kBrick; }

  /// Bytes of one head's keys, of its values, of its scales.
  std::int64_t keys_bytes() const noexcept {
    return dtype == DType::f32 ? kPageTokens * head_dim * 4 : kBrickTokens * key_lines() * line_bytes();
  }
  std::int64_t values_bytes() const noexcept {
    return dtype == DType::f32 ? kPageTokens * head_dim * 4 : value_bricks() * (kPageTokens / 2) * line_bytes();
  }
  std::int64_t scales_bytes() const noexcept { return dtype == DType::i8 ? 2 * kPageTokens * 2 : 0; }
  std::int64_t head_bytes() const noexcept { return keys_bytes() + values_bytes() + scales_bytes(); }
  std::int64_t page_bytes() const noexcept { return kv_heads * head_bytes(); }

  /// Where one head's keys, values and scales begin in a page.
  std::int64_t keys_offset(std::int64_t kv_head) const noexcept {
    return dtype == DType::f32 ? kv_head * keys_bytes() : kv_head * head_bytes();
  }
  std::int64_t values_offset(std::int64_t kv_head) const noexcept {
    return dtype == DType::f32 ? (kv_heads + kv_head) * keys_bytes() : keys_offset(kv_head) + keys_bytes();
  }
  std::int64_t scales_offset(std::int64_t kv_head) const noexcept { return values_offset(kv_head) + values_bytes(); }
  /// Byte of element d of a token's key behind keys_offset(), of its value behind values_offset().
  std::int64_t key_place(std::int64_t token_in_page, std::int64_t d) const noexcept {
    if (dtype == DType::f32) return (token_in_page * head_dim + d) * 4;
    const std::int64_t line = token_in_page / kBrick * key_lines() + d / 2;
    return line * line_bytes() + (token_in_page % kBrick * 2 + d % 2) * element_bytes();
  }
  std::int64_t value_place(std::int64_t token_in_page, std::int64_t d) const noexcept {
    if (dtype == DType::f32) return (token_in_page * head_dim + d) * 4;
    const std::int64_t line = d / kBrick * (kPageTokens / 2) + token_in_page / 2;
    return line * line_bytes() + (d % kBrick * 2 + token_in_page % 2) * element_bytes();
  }
  /// Byte of the scale of a token's key, and of its value, behind scales_offset().
  static constexpr std::int64_t key_scale_place(std::int64_t token_in_page) noexcept { return token_in_page * 2; }
  static constexpr std::int64_t value_scale_place(std::int64_t token_in_page) noexcept {
    return (kPageTokens + token_in_page) * 2;
  }
};

}  // namespace corbel
