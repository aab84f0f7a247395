#include "corbel/chat/field_names.h"

#include "corbel/base/cat.h"

namespace corbel {

std::string FieldNames::rename_path(std::string_view path) const {
  const std::pair<std::string, std::string>* best = nullptr;
  for (const auto& name : names_) {
    if (!path.starts_with(name.first)) continue;
    const std::string_view rest = path.substr(name.first.size());
    if (!rest.empty() && rest[0] != '.' && rest[0] != '[') continue;
    if (best == nullptr || name.first.size() > best->first.size()) best = &name;
  }
  return best == nullptr ? std::string(path) : cat(best->second, path.substr(best->first.size()));
}

std::string FieldNames::rename(std::string_view text) const {
  std::string renamed;
  for (;;) {
    const std::size_t open = text.find('"');
    const std::size_t close = open == std::string_view::npos ? open : text.find('"', open + 1);
    if (close == std::string_view::npos) return cat(renamed, text);
    renamed += cat(text.substr(0, open + 1), rename_path(text.substr(open + 1, close - open - 1)), '"');
    text.remove_prefix(close + 1);
  }
}

}  // namespace corbel
