#include "corbel/engine/constraint.h"

#include "corbel/grammar/tokenizer_vocabulary.h"

namespace corbel {
namespace {

/// Everything that tells one source from another.
void append_key(const GrammarSource& source, std::string& key) {
  key += cat(static_cast<int>(source.kind), ' ', source.min, ' ', source.max, ' ', source.text.size(), ' ',
             source.at.size(), ' ', source.parts.size(), ':');
  key += source.text;
  key += source.at;
  for (const GrammarSource& part : source.parts) append_key(part, key);
}

}  // namespace

void ConstraintCursor::fill_mask(std::span<std::uint64_t> mask) { constraint_->masker().fill_mask(cursor_, mask); }

bool ConstraintCursor::accept(std::int32_t token) { return constraint_->masker().accept(cursor_, token); }

void ConstraintCursor::rollback(std::size_t count) { constraint_->masker().rollback(cursor_, count); }

bool ConstraintCursor::may_end() { return constraint_->masker().may_end(cursor_); }

bool ConstraintCursor::must_end() { return constraint_->masker().must_end(cursor_); }

ConstraintCompiler::ConstraintCompiler(const Tokenizer& tokenizer, std::vector<std::int32_t> end_ids)
    : tokenizer_(&tokenizer), end_ids_(std::move(end_ids)), vocabulary_(std::shared_ptr<const TokenVocabulary>()) {}

Result<std::shared_ptr<const TokenVocabulary>> ConstraintCompiler::vocabulary() {
  std::call_once(prepared_, [this] { vocabulary_ = make_token_vocabulary(*tokenizer_, end_ids_); });
  return vocabulary_;
}

std::shared_ptr<Constraint> ConstraintCompiler::find(const std::string& key) {
  const std::scoped_lock lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  kept_.splice(kept_.begin(), kept_, found->second);
  return found->second->constraint;
}

/// The one to use: another thread may have been first.
std::shared_ptr<Constraint> ConstraintCompiler::keep(std::string key, std::shared_ptr<Constraint> constraint) {
  const std::scoped_lock lock(mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) return found->second->constraint;
  kept_.push_front({std::move(key), constraint});
  by_key_.emplace(kept_.front().key, kept_.begin());
  if (kept_.size() > kKept) {
    by_key_.erase(kept_.back().key);
    kept_.pop_back();
  }
  return constraint;
}

Result<std::shared_ptr<Constraint>> ConstraintCompiler::compile(const GrammarSource& source,
                                                                const ConstraintOptions& options) {
  std::string key = cat(static_cast<int>(options.whitespace), ' ', static_cast<int>(options.undeclared), ' ');
  append_key(source, key);
  if (std::shared_ptr<Constraint> known = find(key)) return known;
  CORBEL_ASSIGN(const std::shared_ptr<const TokenVocabulary> vocabulary, this->vocabulary());
  GrammarOptions wanted;
  wanted.whitespace = options.whitespace;
  wanted.undeclared = options.undeclared;
  wanted.alphabet = vocabulary->single_bytes();
  wanted.specials = vocabulary->specials();
  wanted.max_source_bytes = kMaxSourceBytes;
  CORBEL_ASSIGN(Grammar grammar, compile_grammar(source, wanted));
  CORBEL_ASSIGN(std::unique_ptr<TokenMasker> masker,
                TokenMasker::make(std::make_shared<const Grammar>(std::move(grammar)), vocabulary));
  masker->limit_memory(kMemoryOfOne);
  // The first mask is the dearest where an answer begins with free text; it is made here, on the caller's thread.
  GrammarCursor start = masker->start();
  std::vector<std::uint64_t> mask(vocabulary->mask_words());
  masker->fill_mask(start, mask);
  return keep(std::move(key), std::make_shared<Constraint>(std::move(masker)));
}

}  // namespace corbel
