#include "corbel/grammar/schema_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "corbel/base/quote.h"

namespace corbel {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 32);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// One step of a JSON pointer in a URI fragment: %XX, then ~1 and ~0.
std::string unescaped(std::string_view token) {
  std::string bytes;
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '%' && i + 2 < token.size() && hex_digit(token[i + 1]) >= 0 && hex_digit(token[i + 2]) >= 0) {
      bytes += static_cast<char>(hex_digit(token[i + 1]) * 16 + hex_digit(token[i + 2]));
      i += 2;
    } else {
      bytes += token[i];
    }
  }
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '~' && i + 1 < bytes.size() && (bytes[i + 1] == '0' || bytes[i + 1] == '1')) {
      out += bytes[++i] == '0' ? '~' : '/';
    } else {
      out += bytes[i];
    }
  }
  return out;
}

std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

SchemaDocument::SchemaDocument(Json root) : root_(std::move(root)) { walk(root_); }

void SchemaDocument::walk(const Json& part) {
  if (part.is_object()) {
    for (const char* keyword : {"$anchor", "id", "$id"}) {
      const auto name = part.find(keyword);
      if (name == part.end() || !name->is_string()) continue;
      std::string text = name->get<std::string>();
      if (std::string_view(keyword) == "$anchor") text = cat("#", text);
      anchors_.emplace(std::move(text), &part);
    }
    for (auto it = part.begin(); it != part.end(); ++it) {
      places_.emplace(&it.value(), Place{&part, it.key()});
      walk(it.value());
    }
  } else if (part.is_array()) {
    for (std::size_t i = 0; i < part.size(); ++i) {
      places_.emplace(&part[i], Place{&part, std::to_string(i)});
      walk(part[i]);
    }
  }
}

std::string SchemaDocument::path_of(const Json* part) const {
  std::vector<const std::string*> keys;
  for (auto at = places_.find(part); at != places_.end(); at = places_.find(at->second.parent)) {
    keys.push_back(&at->second.key);
  }
  std::string path = "#";
  for (std::size_t i = keys.size(); i-- > 0;) path += cat('/', escaped(*keys[i]));
  return path;
}

const Json* SchemaDocument::pointed(std::string_view pointer) const {
  const Json* at = &root_;
  while (!pointer.empty()) {
    pointer.remove_prefix(1);
    const std::size_t stop = std::min(pointer.find('/'), pointer.size());
    const std::string key = unescaped(pointer.substr(0, stop));
    pointer.remove_prefix(stop);
    if (at->is_object()) {
      const auto found = at->find(key);
      if (found == at->end()) return nullptr;
      at = &*found;
    } else if (at->is_array()) {
      const bool index = !key.empty() && key.size() < 8 && key.find_first_not_of("0123456789") == std::string::npos;
      if (!index || std::stoul(key) >= at->size()) return nullptr;
      at = &(*at)[std::stoul(key)];
    } else {
      return nullptr;
    }
  }
  return at;
}

Result<const Json*> SchemaDocument::resolve(const Json* at, const std::string& reference) const {
  if (const auto named = anchors_.find(reference); named != anchors_.end()) return named->second;
  std::string_view rest = reference;
  const std::size_t hash = rest.find('#');
  const auto id = root_.is_object() ? root_.find("$id") : root_.end();
  if (hash != std::string_view::npos && hash > 0 && id != root_.end() && id->is_string() &&
      rest.substr(0, hash) == id->get_ref<const std::string&>()) {
    rest.remove_prefix(hash);
  }
  if (rest == "#") return &root_;
  if (rest.starts_with("#/")) {
    if (const Json* target = pointed(rest.substr(1)); target != nullptr) return target;
    return refuse(at, "$ref", cat("nothing stands at ", quote(reference)));
  }
  if (rest.size() < reference.size()) {
    if (const auto named = anchors_.find(std::string(rest)); named != anchors_.end()) return named->second;
  }
  return refuse(at, "$ref",
                cat(quote(reference), " is not in this document; references to other documents are not supported"));
}

Failure SchemaDocument::refuse(const Json* at, std::string_view keyword, std::string_view why) const {
  return fail(Code::bad_request, cat("JSON schema at ", quote(path_of(at)), ", keyword ", quote(keyword), ": ", why));
}

}  // namespace corbel
