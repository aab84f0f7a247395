#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"
#include "corbel/grammar/json_text.h"
#include "corbel/grammar/regex.h"
#include "corbel/grammar/schema_compiler.h"

namespace corbel {

/// One kind of object: declared members in the order of the schema, then others.
class SchemaObject {
 public:
  using Id = GrammarBuilder::Id;
  using Schemas = SchemaCompiler::Schemas;

  SchemaObject(SchemaCompiler& compiler, const SchemaBranch& branch)
      : compiler_(compiler), builder_(compiler.builder_), branch_(branch) {}

  Result<Id> write() {
    for (const SchemaKeywords& keywords : branch_.all) {
      least_ = std::max(least_, keywords.min_properties);
      most_ = std::min(most_, keywords.max_properties);
    }
    CORBEL_TRY(collect());
    if (least_ > most_) return NodeStore::kNothing;
    CORBEL_ASSIGN(gap_, builder_.space());
    CORBEL_ASSIGN(comma_, builder_.literal(","));
    CORBEL_ASSIGN(close_, builder_.literal("}"));
    for (Member& member : members_) CORBEL_TRY(write_member(member));
    CORBEL_TRY(write_others());
    CORBEL_ASSIGN(const Id open, builder_.literal("{"));
    CORBEL_ASSIGN(const Id body, write_body());
    return builder_.concat({open, body});
  }

 private:
  static constexpr std::size_t kMaxMembers = 2000;
  static constexpr std::size_t kMaxCells = 400'000;  // members x counts
  static constexpr std::size_t kMaxPatterns = 4;     // 2^n kinds of names

  struct Member {
    std::string name;
    bool required = false;
    Schemas schemas;
    Id node = NodeStore::kNothing;  // with its key, without a comma
  };
  struct Pattern {
    const SchemaKeywords* keywords;
    const Dfa* table;
    const Json* schema;
  };

  Failure refuse(std::string_view keyword, std::string_view why) const {
    return compiler_.document_.refuse(branch_.all.empty() ? &compiler_.document_.root() : branch_.all[0].at, keyword,
                                      why);
  }

  Result<void> collect() {
    std::map<std::string, std::size_t> known;
    const auto add = [&](const std::string& name) -> Member& {
      const auto [at, fresh] = known.emplace(name, members_.size());
      if (fresh) members_.push_back({name});
      return members_[at->second];
    };
    for (const SchemaKeywords& keywords : branch_.all) {
      if (keywords.properties == nullptr) continue;
      for (auto it = keywords.properties->begin(); it != keywords.properties->end(); ++it) add(it.key());
    }
    for (const SchemaKeywords& keywords : branch_.all) {
      for (const std::string& name : keywords.required) add(name).required = true;
    }
    if (members_.size() > kMaxMembers)
      return refuse("properties", cat("more than ", kMaxMembers, " are not supported"));
    for (const SchemaKeywords& keywords : branch_.all) {
      if (keywords.property_names != nullptr) names_.push_back(keywords.property_names);
      if (keywords.pattern_properties == nullptr) continue;
      for (auto it = keywords.pattern_properties->begin(); it != keywords.pattern_properties->end(); ++it) {
        CORBEL_ASSIGN(const Dfa* table, compiler_.values_.pattern_table(keywords, it.key()));
        patterns_.push_back({&keywords, table, &it.value()});
      }
    }
    if (patterns_.size() > kMaxPatterns)
      return refuse("patternProperties", cat("more than ", kMaxPatterns, " are not supported"));
    return {};
  }

  /// The schemas that one set of keywords has for a name: its own, and of each pattern that `matches` says is met.
  template <typename Matches>
  void add_schemas(const SchemaKeywords& keywords, const Json* own, const Matches& matches, Schemas& schemas) const {
    bool evaluated = own != nullptr;
    if (own != nullptr) schemas.push_back(own);
    for (std::size_t i = 0; i < patterns_.size(); ++i) {
      if (patterns_[i].keywords != &keywords || !matches(i)) continue;
      schemas.push_back(patterns_[i].schema);
      evaluated = true;
    }
    if (!evaluated && keywords.additional != nullptr) schemas.push_back(keywords.additional);
  }

  Result<void> write_member(Member& member) {
    const std::string content = json_string_content(member.name);
    for (const SchemaKeywords& keywords : branch_.all) {
      const Json* own = nullptr;
      if (keywords.properties != nullptr && keywords.properties->contains(member.name))
        own = &keywords.properties->at(member.name);
      add_schemas(keywords, own, [&](std::size_t i) { return patterns_[i].table->matches(content); }, member.schemas);
    }
    for (const Json* schema : names_) {
      CORBEL_ASSIGN(const bool good, compiler_.values_.valid(*schema, Json(member.name)));
      if (!good) return {};  // may not be there: stays nothing
    }
    CORBEL_ASSIGN(const Id value, compiler_.rule_for(member.schemas));
    CORBEL_ASSIGN(const Id key, builder_.literal(json_string_text(member.name) + ":"));
    member.node = builder_.concat({key, gap_, value});
    return {};
  }

  /// Names that match exactly the patterns in `met`, and are not declared.
  Result<Id> other_name(std::uint32_t met) {
    Result<Dfa> table = builder_.regular_table([&](Regular& r) -> Result<Regular::Id> {
      std::vector<Regular::Id> declared;
      for (const Member& member : members_) declared.push_back(r.literal(json_string_content(member.name)));
      Regular::Id id = r.difference(r.star(spell(r, CodePoints{}.complement(), Spelling::json_string)),
                                    r.either(std::move(declared)));
      for (std::size_t i = 0; i < patterns_.size(); ++i) {
        const std::string& pattern = pattern_text(i);
        CORBEL_ASSIGN(const Regular::Id match, parse_regex(r, pattern, RegexAnchoring::search, Spelling::json_string));
        id = ((met >> i) & 1) != 0 ? r.both(id, match) : r.difference(id, match);
      }
      return id;
    });
    if (!table) return refuse("additionalProperties", cat("names of other properties: ", table.error().message));
    if (!names_.empty()) {
      CORBEL_ASSIGN(const Dfa allowed, compiler_.name_table(names_));
      table = builder_.both(*table, allowed, builder_.options().max_table_states);
      if (!table) return refuse("propertyNames", table.error().message);
    }
    return builder_.add_table(*std::move(table));
  }

  const std::string& pattern_text(std::size_t index) const {
    const Json& all = *patterns_[index].keywords->pattern_properties;
    for (auto it = all.begin(); it != all.end(); ++it) {
      if (&it.value() == patterns_[index].schema) return it.key();
    }
    return all.begin().key();
  }

  Result<void> write_others() {
    CORBEL_ASSIGN(const Id mark, builder_.literal("\""));
    CORBEL_ASSIGN(const Id colon, builder_.literal("\":"));
    std::vector<Id> kinds;
    const bool declares = std::ranges::any_of(branch_.all, [](const SchemaKeywords& keywords) {
      return keywords.min_properties == 0 && keywords.properties != nullptr && !keywords.properties->empty();
    });
    const bool freely = !declares || builder_.options().undeclared == UndeclaredProperties::as_schema_says;
    for (std::uint32_t met = 0; met < (1U << patterns_.size()); ++met) {
      Schemas schemas;
      for (const SchemaKeywords& keywords : branch_.all) {
        add_schemas(keywords, nullptr, [met](std::size_t i) { return ((met >> i) & 1) != 0; }, schemas);
      }
      const bool asked_for = freely || !schemas.empty();
      const bool never =
          std::any_of(schemas.begin(), schemas.end(), [](const Json* schema) { return *schema == false; });
      if (never || !asked_for) continue;
      CORBEL_ASSIGN(const Id value, compiler_.rule_for(schemas));
      CORBEL_ASSIGN(const Id name, other_name(met));
      kinds.push_back(builder_.concat({mark, name, colon, gap_, value}));
    }
    other_ = builder_.nodes().either(kinds);
    return {};
  }

  /// What may follow after all declared members, `count` of them written. Names of others may come twice, so they count
  /// as one towards the least number.
  Id after_members(std::uint32_t count) {
    const Id end = count == 0 ? close_ : builder_.concat({gap_, close_});
    const std::uint32_t room = most_ == UINT32_MAX ? most_ : most_ - count;
    const std::uint32_t missing = least_ > count ? least_ - count : 0;
    if (missing > 1) return NodeStore::kNothing;
    const Id more = builder_.concat({comma_, gap_, other_});
    if (count > 0) return builder_.concat({builder_.nodes().repeat(more, missing, room), end});
    if (room == 0) return missing == 0 ? end : NodeStore::kNothing;
    const Id rest = builder_.nodes().repeat(more, 0, room == UINT32_MAX ? room : room - 1);
    const Id some = builder_.concat({gap_, other_, rest, gap_, close_});
    return missing == 0 ? builder_.either({some, end}) : some;
  }

  Result<Id> write_body() {
    const auto members = static_cast<std::uint32_t>(members_.size());
    const std::uint32_t wanted = most_ == UINT32_MAX ? std::max(least_, 1U) : std::max({least_, most_, 1U});
    const std::uint32_t counts = std::min(members, wanted) + 1;  // more than `wanted` need not be told apart
    if (std::size_t{counts} * (members + 1) > kMaxCells)
      return refuse("maxProperties", "too many properties to count; leave it out");
    if (least_ > 1 && least_ > members && other_ != NodeStore::kNothing) {
      return refuse("minProperties", "more properties than are declared cannot be counted; declare them");
    }
    std::vector<Id> after(counts);
    for (std::uint32_t count = 0; count < counts; ++count) after[count] = after_members(count);
    for (std::uint32_t i = members; i-- > 0;) {
      std::vector<Id> now(counts);
      for (std::uint32_t count = 0; count < counts && count <= i; ++count) {
        const Id front = count == 0 ? gap_ : builder_.concat({comma_, gap_});
        const Id with = count < most_
                            ? builder_.concat({front, members_[i].node, after[std::min(count + 1, counts - 1)]})
                            : NodeStore::kNothing;
        now[count] = members_[i].required ? with : builder_.either({with, after[count]});
      }
      after = std::move(now);
      if (builder_.nodes().grammar().children.size() > kMaxCells * 10)
        return refuse("properties", "too many optional properties");
    }
    return after[0];
  }

  SchemaCompiler& compiler_;
  GrammarBuilder& builder_;
  const SchemaBranch& branch_;
  std::uint32_t least_ = 0;
  std::uint32_t most_ = UINT32_MAX;
  std::vector<Member> members_;
  std::vector<Pattern> patterns_;
  Schemas names_;
  Id gap_ = 0, comma_ = 0, close_ = 0, other_ = 0;
};

Result<SchemaCompiler::Id> SchemaCompiler::object_of(const SchemaBranch& branch) {
  return SchemaObject(*this, branch).write();
}

}  // namespace corbel
