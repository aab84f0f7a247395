#include "corbel/grammar/unless_begins.h"

#include <map>

#include "corbel/grammar/machine.h"

namespace corbel {
namespace {

using Id = GrammarBuilder::Id;
constexpr std::size_t kMostPlaces = 2000;

bool is_blank(unsigned byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

/// Follows the body byte by byte while what was written may still become the text.
class Beginning {
 public:
  Beginning(GrammarBuilder& builder, std::string_view text)
      : builder_(builder), text_(text), machine_(std::make_shared<const Grammar>(builder.nodes().grammar())) {}

  Result<Id> compile(Id body) {
    place_of(body, 0);
    for (std::size_t i = 0; i < places_.size(); ++i) {  // grows while it runs
      if (places_.size() > kMostPlaces)
        return fail(Code::bad_request, "what may stand in front of it differs in too many ways");
      follow(i);
    }
    if (places_.size() == 1) return body;  // it never begins so
    std::vector<bool> may_end;
    for (const Place& place : places_) may_end.push_back(machine_.may_end(place.body));
    builder_.nodes() = std::move(machine_).take_nodes();
    std::vector<std::uint32_t> rules;
    for (std::size_t i = 0; i < places_.size(); ++i) rules.push_back(builder_.new_rule());
    const auto call = [&](std::size_t place) {
      const Id rule = builder_.nodes().rule(rules[place]);
      return may_end[place] ? builder_.either({NodeStore::kEpsilon, rule}) : rule;
    };
    for (std::size_t i = 0; i < places_.size(); ++i) {
      std::vector<Id> ways;
      for (const auto& [rest, bytes] : places_[i].safe) CORBEL_TRY(add_way(bytes, rest, ways));
      for (const auto& [place, bytes] : places_[i].open) CORBEL_TRY(add_way(bytes, call(place), ways));
      builder_.set_rule(rules[i], builder_.nodes().either(ways));
    }
    return call(0);
  }

 private:
  /// What is left of the body, and how much of the text was written.
  struct Place {
    Id body = 0;
    std::size_t written = 0;
    std::map<Id, ByteSet> safe;           // bytes behind which it can be the text no more
    std::map<std::size_t, ByteSet> open;  // and those behind which it still can
  };

  std::size_t place_of(Id body, std::size_t written) {
    const auto [known, is_new] = numbers_.try_emplace({body, written}, places_.size());
    if (is_new) places_.push_back({.body = body, .written = written});
    return known->second;
  }

  void follow(std::size_t index) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::size_t written = places_[index].written;
      const Id rest = machine_.step(places_[index].body, static_cast<std::uint8_t>(byte));
      if (rest == Machine::kNothing) continue;
      if (byte == static_cast<unsigned char>(text_[written])) {
        if (written + 1 == text_.size()) continue;
        const std::size_t next = place_of(rest, written + 1);
        places_[index].open[next].add(byte);
      } else if (written == 0 && is_blank(byte)) {
        const std::size_t next = place_of(rest, 0);
        places_[index].open[next].add(byte);
      } else {
        places_[index].safe[rest].add(byte);
      }
    }
  }

  Result<void> add_way(const ByteSet& bytes, Id rest, std::vector<Id>& ways) {
    CORBEL_ASSIGN(const Id first,
                  builder_.regular([&bytes](Regular& r) { return Result<Regular::Id>(r.bytes(bytes)); }));
    ways.push_back(builder_.nodes().concat(first, rest));
    return {};
  }

  GrammarBuilder& builder_;
  std::string_view text_;
  Machine machine_;
  std::vector<Place> places_;
  std::map<std::pair<Id, std::size_t>, std::size_t> numbers_;
};

}  // namespace

Result<Id> without_beginning(GrammarBuilder& builder, Id body, std::string_view text) {
  if (text.empty()) return body;
  if (begins_with_itself(builder.nodes().grammar()))
    return fail(Code::bad_request, "a part of it may begin with itself");
  return Beginning(builder, text).compile(body);
}

}  // namespace corbel
