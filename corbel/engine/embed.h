#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "corbel/engine/page_pool.h"
#include "corbel/engine/step_runner.h"

namespace corbel {

/// How a text's hidden states (after the final norm) become one vector.
enum class Pooling : std::uint8_t {
  last,  // that of the last token, which has seen all others
  mean,  // the mean over all tokens
};
/// "last", "mean".
std::string_view pooling_name(Pooling pooling);

struct EmbedOptions {
  Pooling pooling = Pooling::last;
  bool normalize = true;        // to length 1, after cutting
  std::int64_t dimensions = 0;  // the first so many of the model's (Matryoshka); 0: all
};

/// One text to embed.
struct EmbedRequest {
  std::vector<std::int32_t> ids;  // special tokens included
  EmbedOptions options;
  std::function<void(std::vector<float> embedding)> on_end;  // once, unless the request fails
  std::function<void(const Error& error)> on_error;          // once, instead
};

/// Embeds many texts at once: ragged steps of rows of several texts, long texts in pieces. A vector depends on its text
/// alone, to the last bit: not on its company, on chunks or on threads. Rotary scalings that look at the sequence's
/// length go by the text's own. One thread; callbacks come from step(). The runner outlives it and serves nobody else.
class Embedder {
 public:
  /// Refused: a runner that cannot give hidden states of all rows of a step (RunnerLimits::hidden_rows).
  static Result<Embedder> make(StepRunner& runner);

  /// What submit() would refuse: no tokens, ids outside the vocabulary, more tokens than the context (nothing is cut
  /// off in silence) or than the cache's pages hold, more dimensions than the model has.
  Result<void> check(const EmbedRequest& request) const;
  /// Queues the text.
  Result<void> submit(EmbedRequest request);

  /// Runs one step, of at most `most_rows` rows (0: as many as the runner takes); false when there is nothing to run.
  /// What fails the whole step ends all texts in it with the error; values that are not finite end their own.
  bool step(const std::atomic<bool>* cancel = nullptr, std::int64_t most_rows = 0);

  /// Ends every text with Code::cancelled.
  void cancel_all();

  std::int64_t waiting() const noexcept { return std::ssize(waiting_); }
  std::int64_t running() const noexcept { return std::ssize(running_); }
  std::int64_t steps() const noexcept { return steps_; }

 private:
  /// A row of the page tables, with what one text needs while it runs. Kept from text to text.
  struct Slot {
    EmbedRequest request;
    SequencePages pages;
    std::vector<double> sum;  // [hidden]
    std::int64_t done = 0;    // tokens that were run
    std::int64_t waited = 0;  // steps without a row
    std::int32_t row = 0;     // of the page tables
    std::int64_t left() const noexcept { return std::ssize(request.ids) - done; }
  };
  struct Given {
    Slot* slot;
    std::int64_t rows;
  };
  explicit Embedder(StepRunner& runner);
  void admit();
  void schedule(std::int64_t most_rows);
  void add_span(const Given& given);
  void deliver(const TensorView& rows);
  void finish(Slot& slot);
  void fail_slot(Slot& slot, const Error& error);
  void release(Slot& slot);

  StepRunner* runner_;
  PagePool pool_;
  std::deque<EmbedRequest> waiting_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_;
  std::vector<Slot*> running_;
  std::vector<Given> given_;
  StepPlan plan_;
  std::int64_t steps_ = 0;
};

/// All texts, in their order; the first failure ends it.
Result<std::vector<std::vector<float>>> embed_texts(Embedder& embedder,
                                                    std::span<const std::vector<std::int32_t>> texts,
                                                    const EmbedOptions& options,
                                                    const std::atomic<bool>* cancel = nullptr);

/// A pooled vector [hidden] cut to the wanted dimensions, then brought to length 1 where that is wanted: sums in
/// double, in ascending order, rounded once. A vector shorter than 1e-12 is divided by that, as torch's normalize does.
std::vector<float> shape_embedding(std::span<const float> pooled, const EmbedOptions& options);

/// OpenAI's "encoding_format".
enum class EmbeddingEncoding : std::uint8_t {
  number_list,  // "float": [0.25, -1, ...], each the shortest decimal that reads back as the same float
  base64,       // "base64": little-endian floats
};

/// JSON text of a vector.
std::string embedding_json(std::span<const float> embedding, EmbeddingEncoding encoding);

}  // namespace corbel
