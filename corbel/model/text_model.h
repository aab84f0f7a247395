#pragma once
#include <memory>
#include <string>
#include <vector>

#include "corbel/blocks/block.h"
#include "corbel/blocks/weights.h"

/// What a model must offer to the floors above, how families are found, and the loader. Owns no model.
namespace corbel {

/// One group of a model's caches: layers that share a page table and a page size.
struct CacheGroup {
  enum class Kind : std::uint8_t { paged, windowed };
  Kind kind = Kind::paged;
  std::int64_t window = 0;  // windowed: tokens that stay visible
  KvPageSpec page;          // per layer
  std::vector<int> layers;  // of the model, ascending

  /// Bytes of one page id: all layers of the group.
  std::int64_t page_bytes() const { return page.page_bytes() * static_cast<std::int64_t>(layers.size()); }
};

/// What memory a model's sequences need.
struct CacheSpec {
  std::vector<CacheGroup> groups;
  std::int64_t bytes_per_page() const;  // 64 tokens of one sequence, all groups
};

/// Multiplications and additions, by the arithmetic they are done in.
struct Operations {
  std::int64_t f32 = 0;
  std::int64_t bf16 = 0;
  std::int64_t int8 = 0;
};

struct TextModelInfo {
  std::string family;        // folder of models/
  std::string architecture;  // config.json "architectures"
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  int layers = 0;
  std::int64_t max_positions = 0;          // tokens the model was made for
  Strategy strategy = Strategy::balanced;  // how it is run: moves bits
  bool rope_by_length = false;             // rotary scaling looks at the sequence's length (dynamic, longrope)
  std::int64_t weight_bytes = 0;           // mapped
  std::int64_t owned_bytes = 0;            // private copies (norms, biases)
  std::int64_t parameters = 0;
  // What a step must do at least: for limits that measurements are held against.
  std::int64_t step_read_bytes = 0;  // weights that any step reads (all but an untied embedding table)
  Operations ops_per_row;            // all layers' linear ops, per row
  Operations ops_per_logit_row;      // the head
  Operations ops_per_wanted_row;     // of ops_per_row: only where the row's logits are wanted
  Operations attention_ops_per_key;  // all layers, per row and visible key
  CacheSpec cache;
  std::vector<WeightUse> weights;  // every tensor of the checkpoint that is used
};

/// A language model on a device: the only thing the engine knows about models. Immutable; steps are noexcept.
class TextModel {
 public:
  virtual ~TextModel() = default;
  virtual const TextModelInfo& info() const = 0;

  /// Token ids of the step to hidden f32 [rows, hidden].
  virtual void embed(const StepInputs& step, const TensorView& hidden, RunContext& context) const noexcept = 0;
  /// Layers first .. first + count - 1, in place. Where the step keeps its wanted rows alone, the last layer leaves
  /// those in hidden's rows 0 .. logit_rows - 1.
  virtual void run_layers(int first, int count, const StepInputs& step, const TensorView& hidden,
                          const CacheView& cache, RunContext& context) const noexcept = 0;
  /// The step's wanted rows after the final norm: f32 [logit_rows, hidden]. What head() makes logits of.
  virtual void final_hidden(const StepInputs& step, const TensorView& hidden, const TensorView& rows,
                            RunContext& context) const noexcept = 0;
  /// Final norm and logits f32 [logit_rows, vocab] of the step's wanted rows.
  virtual void head(const StepInputs& step, const TensorView& hidden, const TensorView& logits,
                    RunContext& context) const noexcept = 0;

  /// Where the matrices lie. Whoever replaces an address, between steps, keeps the same bytes there, at a multiple of
  /// 64 where they were at one.
  virtual std::vector<WeightBase*> weight_bases() { return {}; }

  /// embed, all layers, head. Rows whose logits are not wanted end with the last layer's keys and values, unless
  /// somebody watches.
  void forward(const StepInputs& step, const CacheView& cache, const TensorView& logits,
               RunContext& context) const noexcept;
  /// embed, all layers, final_hidden: rows f32 [logit_rows, hidden].
  void forward_hidden(const StepInputs& step, const CacheView& cache, const TensorView& rows,
                      RunContext& context) const noexcept;
};

}  // namespace corbel
