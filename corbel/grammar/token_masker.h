#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "corbel/grammar/machine.h"
#include "corbel/grammar/token_vocabulary.h"

namespace corbel {

/// Where one sequence stands in a grammar. Copying it is how a sequence forks.
class GrammarCursor {
 public:
  std::size_t tokens() const { return tokens_.size(); }  // accepted so far, the end among them
  bool is_terminated() const { return ended_; }          // an end id was accepted

 private:
  friend class TokenMasker;
  std::vector<std::int32_t> tokens_;
  std::vector<Machine::Id> states_;  // after each token that is no end; [0] is the start
  std::uint64_t epoch_ = 0;
  bool ended_ = false;
};

/// Says which tokens may come next. One for each pair of grammar and vocabulary; any number of cursors share it and
/// what it remembers: which tokens a state allows by itself is found once (the walk over the tokens' bytes), what
/// depends on the stack (tokens that go on behind the end of a string, a number, ...) is walked at each call, from the
/// places where they do. One thread at a time.
///
/// It never dead-ends: every state that can be reached has a byte to go on with or may end, and every byte of the
/// grammar is a token (checked by make()). Nor does a mask take long: of grammars that read a text in very many ways,
/// where its work or its memory is spent, tokens of single bytes alone are allowed from there on.
class TokenMasker {
 public:
  /// Refuses a grammar with bytes that are no tokens: compile it with GrammarOptions::alphabet = single_bytes().
  static Result<std::unique_ptr<TokenMasker>> make(std::shared_ptr<const Grammar> grammar,
                                                   std::shared_ptr<const TokenVocabulary> vocabulary);

  GrammarCursor start() const;

  /// Sets the bit of each allowed token and clears all others. `mask` has vocabulary().mask_words() words or more. End
  /// ids are allowed where the text may end; after one of them nothing is.
  void fill_mask(GrammarCursor& cursor, std::span<std::uint64_t> mask);

  /// Goes on by a token; false, and nothing changed, when it is not allowed.
  bool accept(GrammarCursor& cursor, std::int32_t token);

  /// Takes the last `count` tokens back. REQUIRES: count <= cursor.tokens().
  void rollback(GrammarCursor& cursor, std::size_t count) const;

  /// May the text end here?
  bool may_end(GrammarCursor& cursor);
  /// Must it? Nothing but an end may come next.
  bool must_end(GrammarCursor& cursor);

  /// The bytes that must come next, at most `max_bytes`: while only one byte is possible and the text may not end.
  std::string forced_bytes(GrammarCursor& cursor, std::size_t max_bytes = 256);

  const TokenVocabulary& vocabulary() const { return *vocabulary_; }

  /// Memory for states and masks, above which both are made anew (cursors find their place by their tokens).
  void limit_memory(std::size_t bytes) { max_bytes_ = bytes; }
  std::size_t bytes_used() const { return machine_.bytes_used() + head_bytes_ + mask_bytes(); }

 private:
  using Id = Machine::Id;
  /// What the front of a state allows, whatever stands behind it.
  struct Head {
    const TokenTrie* trie = nullptr;
    std::uint32_t plain = 0;           // plain tokens of so many characters are allowed
    std::vector<std::int32_t> tokens;  // others, when they are few,
    std::vector<std::uint64_t> mask;   // or as a mask
    std::vector<std::uint32_t>
        borders;             // nodes of the trie at which it may be over: what stands behind goes on from there
    std::uint64_t work = 0;  // that finding it takes
  };

  TokenMasker(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenVocabulary> vocabulary);

  Id state_of(GrammarCursor& cursor);
  void make_room();
  void forget();
  Id step_all(Id state, std::string_view bytes);
  bool add_state(Id state, std::span<std::uint64_t> mask);
  void add_front(Id front, Id behind, std::span<std::uint64_t> mask);
  void add_head(const Head& head, Id behind, std::span<std::uint64_t> mask);
  void add_single_bytes(Id state, std::span<std::uint64_t> mask);
  bool is_spent() const { return work_ > kMostWork || machine_.bytes_used() > most_bytes(); }
  Head make_head(Id front);
  template <typename Visit>
  void walk(const TokenTrie& trie, std::uint32_t root, Id state, Visit&& visit);
  void add_subtree(const TokenTrie& trie, std::uint32_t node, Id state, std::span<std::uint64_t> mask);
  std::size_t mask_bytes() const { return masks_.size() * vocabulary_->mask_words() * 8; }

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenVocabulary> vocabulary_;
  Machine machine_;
  bool plain_strings_ = false;  // every plain token is allowed in a string that is long enough
  std::unordered_map<Id, Head> heads_;
  std::unordered_map<Id, std::vector<std::uint64_t>> masks_;  // of whole states
  std::vector<std::uint64_t> first_mask_;                     // of the start, where first tokens write something else
  std::vector<Id> path_;                                      // states down the trie
  // Of the mask at hand: work is counted by what states are, not by what was remembered of them, so that it is cut at
  // the same place whoever came before.
  static constexpr std::uint64_t kMostWork = std::uint64_t{1} << 26;  // nodes of the trie; a third of a second
  std::size_t most_bytes() const { return std::max(4 * max_bytes_, std::size_t{64} << 20); }
  std::uint64_t work_ = 0;
  std::vector<Id> open_;
  std::unordered_set<Id> seen_;
  std::size_t head_bytes_ = 0;
  std::size_t max_bytes_ = std::size_t{96} << 20;
  std::uint64_t epoch_ = 1;
};

}  // namespace corbel
