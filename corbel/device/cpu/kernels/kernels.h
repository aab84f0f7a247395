#pragma once
#include <stdint.h>

#include "corbel/device/cpu/kernels/packed.h"
#include "corbel/device/cpu/kernels/strips.h"

/// What the kernels of one ISA level offer, as plain functions on plain memory. Kernels work on the calling thread, on
/// the ranges they are given, in exactly the order of operations that the ops' headers state.
namespace corbel::cpu {

/// lanes[row][output] of x . W^T: for each of `rows` rows and `outputs` weights rows, one dot product of length `in`.
struct DotArgs {
  const void* x = nullptr;  // f32; for bf16 arithmetic as the kernel says; any alignment
  int64_t x_stride_bytes = 0;
  int64_t rows = 0;
  const void* weight = nullptr;  // first of the weight's rows, any alignment
  int64_t weight_stride_bytes = 0;
  int64_t outputs = 0;
  int64_t in = 0;
  float* out = nullptr;
  int64_t out_stride = 0;  // floats between rows of out
};

enum class Function : int32_t { silu, gelu_tanh, relu };

/// Attention of a tile of queries that share one key head, over a range of key blocks of one chunk or several.
struct AttendArgs {
  // Queries: `tokens` rows x `heads` heads.
  const float* q = nullptr;  // [tokens][heads][head_dim], strides in floats
  int64_t q_token_stride = 0;
  int64_t q_head_stride = 0;
  float* out = nullptr;  // same shape; may be q
  int64_t out_token_stride = 0;
  int64_t out_head_stride = 0;
  int64_t tokens = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  const int32_t* first_slot = nullptr;  // [tokens] first visible slot
  const int32_t* last_slot = nullptr;   // [tokens] last visible slot
  float scale = 0.0F;
  // Keys and values of this head.
  const unsigned char* pages = nullptr;  // already moved to the head's first key
  int64_t page_stride_bytes = 0;
  int64_t value_offset_bytes = 0;
  int64_t scale_offset_bytes = 0;
  const int32_t* page_table = nullptr;  // pages of this sequence
  float* scratch = nullptr;             // attend_scratch_floats()
  int32_t fetches_ahead = 0;            // memory is to be asked for the next block while one is in work,
  // or, where this is not null, for the same block of a call that follows: its pages, page table and last slot
  const unsigned char* following_pages = nullptr;
  const int32_t* following_page_table = nullptr;
  int64_t following_last_slot = 0;
  // Only the chunks first_chunk <= c < end_chunk, each into parts + (c - first_chunk) * part_floats, for join_parts;
  // nothing goes to out. Null: all of them, finished.
  float* parts = nullptr;
  int64_t part_floats = 0;  // at least attend_part_floats()
  int64_t first_chunk = 0;
  int64_t end_chunk = 0;
};

constexpr int64_t kAttendQueries = 96;  // most tokens * heads of one call
constexpr int64_t kAttendBlock = 128;   // kKeyBlockTokens
constexpr int64_t kAttendPage = 64;     // kPageTokens
constexpr int64_t kAttendChunk = 1024;  // kKeyBlockTokens * kChunkBlocks

/// f32: per query q, the weights of one block, output of chunk and total; one block of keys. bf16: per query q and its
/// two states of maximum, sum and output; per row of a tile scores, weights, output.
constexpr int64_t attend_scratch_floats(int64_t head_dim) {
  const int64_t padded = (head_dim + 15) / 16 * 16;
  return kAttendQueries * (kAttendBlock + 3 * padded + 64) + kAttendBlock * padded;
}

/// Maximum, sum and output of one chunk of a call's queries.
constexpr int64_t attend_part_floats(int64_t queries, int64_t head_dim) {
  return queries * (32 + (head_dim + 15) / 16 * 16);
}

/// Where a row of a block goes.
struct EncodedRow {
  uint8_t* codes = nullptr;        // [256]; w8: four bytes every 64
  uint8_t* multipliers = nullptr;  // [groups]; not of w8
  uint16_t* scale = nullptr;       // bfloat16; of w8 a float
  float* errors = nullptr;         // EncodeErrors
};

/// Rows of one block into a packed format (corbel/ops/encode_packed.h).
struct EncodeBlockArgs {
  int32_t rows = 0;
  const float* x[16] = {};  // [256] each
  EncodedRow out[16];
  const float* importance = nullptr;  // [256]; null: ones
  int32_t code_bits = 0;              // 4, 5, 6; 8: w8
  int32_t group = 0;                  // columns: 8 or 16
  const int8_t* codes = nullptr;
  const int8_t* multipliers = nullptr;
  int32_t multiplier_count = 0;
  const float* factors = nullptr;  // [candidates] scale / largest magnitude
  int32_t candidates = 0;
  int32_t refits = 0;
  float smallest = 0.0F;  // kSmallestEncoded
};

/// A way to read memory: all of `bytes` bytes (a multiple of 4096), all their bits or-ed together.
struct ReadLoop {
  const char* name = nullptr;
  uint64_t (*read)(const void* data, int64_t bytes) = nullptr;
};

/// Measures of what the level's instructions can do; see corbel/device/limits.h.
struct ProbeKernels {
  static constexpr int kReadLoops = 6;
  ReadLoop read_loops[kReadLoops];
  // Run `rounds` rounds and return the number of operations (multiplications and additions) done.
  int64_t (*f32_operations)(int64_t rounds) = nullptr;
  int64_t (*bf16_operations)(int64_t rounds) = nullptr;  // null: the level has no such instruction
  int64_t (*int8_operations)(int64_t rounds) = nullptr;
};

/// Peaks of AMX tiles; filled only where the machine and its kernel offer them.
struct TileProbes {
  bool (*enable)() = nullptr;  // asks the system for tile registers, for all threads of the process
  int64_t (*bf16_operations)(int64_t rounds) = nullptr;
  int64_t (*int8_operations)(int64_t rounds) = nullptr;
};

struct Kernels {
  const char* level;
  void (*dot_f32)(const DotArgs&);       // f32 weights, f32 arithmetic
  void (*dot_bf16_f32)(const DotArgs&);  // bf16 weights, f32 arithmetic
  void (*dot_f16_f32)(const DotArgs&);
  void (*dot_bf16_pairs)(const DotArgs&);  // bf16 weights and x, bf16 arithmetic; null: no such instruction
  void (*dot_bf16_split)(const DotArgs&);  // the same bits from x as split_bf16 lays it out
  void (*apply)(Function function, float* values, int64_t count);
  void (*add)(const float* a, const float* b, float* out, int64_t count);
  void (*multiply)(const float* a, const float* b, float* out, int64_t count);
  void (*to_bf16)(const float* from, int64_t count, void* to);
  void (*split_bf16)(const float* from, int64_t count, float* to);  // to: a multiple of 32 elements
  void (*from_bf16)(const void* from, int64_t count, float* to);
  void (*rms_norm)(const float* x, const float* gamma, float* out, int64_t hidden, float eps, int plus_one);
  void (*layer_norm)(const float* x, const float* gamma, const float* beta, float* out, int64_t hidden, float eps);
  void (*rope_half)(float* head, const float* cosines, const float* sines, int64_t half);
  void (*rope_interleaved)(float* head, const float* cosines, const float* sines, int64_t half);
  void (*attend_f32)(const AttendArgs&);
  void (*attend_bf16)(const AttendArgs&);
  void (*attend_int8)(const AttendArgs&);
  /// Integers of a key or value of an int8 cache, and its scale as bf16 bits; zeros and 0x7fc0 where x is not finite.
  uint16_t (*quantize_kv)(const float* x, int64_t count, int8_t* integers);
  void (*encode_block)(const EncodeBlockArgs&);
  PackedKernels packed;
  StripKernels strips;
  /// Joins `count` parts, ascending, into the first of them; with `finishes` that is divided by its sum into args.out.
  void (*join_parts)(const AttendArgs& args, float* parts, int64_t count, int finishes);
  ProbeKernels probes;
};

}  // namespace corbel::cpu

// The families of one level, joined by table.cpp into the one symbol that the level exports.
#ifdef CORBEL_ISA
namespace corbel::cpu::CORBEL_ISA {
void add_linear(Kernels& table);
void add_rows(Kernels& table);
void add_attention(Kernels& table);
void add_attention_bf16(Kernels& table);
void add_attention_int8(Kernels& table);
void add_encode(Kernels& table);
void add_probes(Kernels& table);
void add_packed(Kernels& table);
void add_packed_imports(Kernels& table);
void add_packed_indexed(Kernels& table);
void add_packed_w8(Kernels& table);
void add_strip_fp8(Kernels& table);
void add_strip_lanes(Kernels& table);
Kernels make_kernels();
}  // namespace corbel::cpu::CORBEL_ISA
#endif
