#pragma once
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "corbel/grammar/token_masker.h"
#include "corbel/text/tokenizer.h"

/// Structured output as the engine sees it: which tokens may come next. What may be written, and why, is grammar's and
/// chat's business.
namespace corbel {

class Constraint;

/// Where one sequence stands. Copying it is how a sequence forks. Engine's thread only.
class ConstraintCursor {
 public:
  /// Sets the bit of each token that may come next (token t: word t / 64, bit t % 64) and clears all others, in as many
  /// words as the model's vocabulary takes; there may be more of them than the tokenizer has tokens. Never all clear
  /// while !must_end().
  void fill_mask(std::span<std::uint64_t> mask);
  /// Goes on by a token; false, and nothing changed, when it may not come next.
  bool accept(std::int32_t token);
  /// Takes the last `count` tokens back. REQUIRES: count <= tokens().
  void rollback(std::size_t count);
  std::size_t tokens() const noexcept { return cursor_.tokens(); }  // accepted so far, an end id among them

  /// May the answer end here? An end id is allowed where it may.
  bool may_end();
  /// Must it? Then nothing but an end id may come next (nothing at all, for a vocabulary without one): the answer is
  /// complete, and the sequence may as well end without another step.
  bool must_end();

 private:
  friend class Constraint;
  ConstraintCursor(std::shared_ptr<Constraint> constraint, GrammarCursor cursor)
      : constraint_(std::move(constraint)), cursor_(std::move(cursor)) {}

  std::shared_ptr<Constraint> constraint_;
  GrammarCursor cursor_;
};

/// What an answer must look like, compiled for one vocabulary. Any number of sequences share one and what it remembers
/// of masks. Made on any thread; used on one thread at a time, the engine's.
class Constraint : public std::enable_shared_from_this<Constraint> {
 public:
  explicit Constraint(std::unique_ptr<TokenMasker> masker) : masker_(std::move(masker)) {}

  /// At the start of an answer.
  ConstraintCursor start() { return {shared_from_this(), masker_->start()}; }
  std::size_t mask_words() const noexcept { return masker_->vocabulary().mask_words(); }
  TokenMasker& masker() noexcept { return *masker_; }

 private:
  std::unique_ptr<TokenMasker> masker_;
};

struct ConstraintOptions {
  Whitespace whitespace = Whitespace::flexible;  // what models were trained to write
  UndeclaredProperties undeclared = UndeclaredProperties::when_asked_for;
};

/// Makes constraints for one model, and keeps those used last. Any thread may call it: a server compiles off the
/// engine's thread. Work is bounded by counts (GrammarOptions), so that a grammar compiles everywhere or nowhere.
class ConstraintCompiler {
 public:
  static constexpr std::size_t kKept = 32;                              // constraints
  static constexpr std::size_t kMemoryOfOne = std::size_t{16} << 20;    // states and masks of one
  static constexpr std::size_t kMaxSourceBytes = std::size_t{1} << 20;  // of all texts of a source

  /// end_ids  end an answer: the model's own and those of its template; they are allowed where a text may end, and no
  ///          other token of this list ever is
  /// The tokenizer outlives it. Its vocabulary is prepared at the first compile().
  ConstraintCompiler(const Tokenizer& tokenizer, std::vector<std::int32_t> end_ids);

  /// Refuses, naming the part, its JSON path and keyword, what cannot be honoured or is too large.
  Result<std::shared_ptr<Constraint>> compile(const GrammarSource& source, const ConstraintOptions& options = {});

  /// The bytes of the model's tokens, prepared once.
  Result<std::shared_ptr<const TokenVocabulary>> vocabulary();

 private:
  struct Kept {
    std::string key;
    std::shared_ptr<Constraint> constraint;
  };

  std::shared_ptr<Constraint> find(const std::string& key);
  std::shared_ptr<Constraint> keep(std::string key, std::shared_ptr<Constraint> constraint);

  const Tokenizer* tokenizer_;
  std::vector<std::int32_t> end_ids_;
  std::once_flag prepared_;
  Result<std::shared_ptr<const TokenVocabulary>> vocabulary_;
  std::mutex mutex_;
  std::list<Kept> kept_;  // the one used last in front
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_key_;
};

}  // namespace corbel
