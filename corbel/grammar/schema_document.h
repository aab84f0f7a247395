#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/result.h"

namespace corbel {

/// A schema document: where each of its parts stands, and what a $ref inside of it means.
class SchemaDocument {
 public:
  explicit SchemaDocument(Json root);
  SchemaDocument(SchemaDocument&&) = delete;

  const Json& root() const { return root_; }
  /// "#/properties/name" of a part of this document.
  std::string path_of(const Json* part) const;
  /// The schema that `reference` names: #, #/json/pointer, #anchor, the document's own $id with any of these.
  /// Refuses others: nothing is fetched.
  Result<const Json*> resolve(const Json* at, const std::string& reference) const;

  /// A refusal that names the place and the keyword.
  Failure refuse(const Json* at, std::string_view keyword, std::string_view why) const;

 private:
  struct Place {
    const Json* parent = nullptr;
    std::string key;
  };
  void walk(const Json& part);
  const Json* pointed(std::string_view pointer) const;

  Json root_;
  std::unordered_map<const Json*, Place> places_;
  std::unordered_map<std::string, const Json*> anchors_;
};

}  // namespace corbel
