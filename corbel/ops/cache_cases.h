#pragma once
#include <array>
#include <string>
#include <vector>

#include "corbel/ops/attention.h"

/// What the cases of the cache and attention ops share. Internal to this folder.
namespace corbel {

inline constexpr std::array kCaseHeadDims = {8, 16, 24, 80, 96, 128, 256};

/// Several sequences whose pages lie in shuffled order among pages of nobody, at a stride that may exceed the page.
struct CachePlan {
  KvPageSpec page;
  std::vector<std::int64_t> tokens;  // valid ones per sequence
  std::int64_t extra_stride_bytes = 0;
  bool hostile = false;
  std::int64_t nan_slot = -1;  // of sequence 0: its key is NaN
};

inline constexpr std::array kCacheTypes = {DType::f32, DType::bf16, DType::i8};

struct PageNumbers {
  std::int64_t pages = 0;
  std::int64_t columns = 0;
  std::vector<std::int32_t> table;  // [sequences, columns]; -1 where a sequence has no page
};

/// A span of a prefill: rows at slots first .. first + rows - 1 of a sequence.
struct Span {
  std::int64_t sequence;
  std::int64_t first;
  std::int64_t rows;
};

/// Tokens per sequence that the spans of a step leave in the cache.
std::vector<std::int64_t> tokens_of(const std::vector<Span>& spans);

PageNumbers place_pages(const std::vector<std::int64_t>& tokens);
KvLayer view_layer(const CachePlan& plan, const PageNumbers& numbers, void* pages, CaseMemory& memory);

/// Random keys and values at the valid slots, zeros behind them in their page, and NaN in pages of nobody.
KvLayer make_filled_cache(const CachePlan& plan, CaseMemory& memory);

/// "kv=8x128 bf16"
std::string describe(const CachePlan& plan);

}  // namespace corbel
