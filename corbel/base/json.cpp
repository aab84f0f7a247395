#include "corbel/base/json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"

namespace corbel {
namespace {

constexpr std::size_t kMaxDepth = 64;

/// Reads characters and tells an outsider how far the parser has come: SAX events carry no position.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** progress) : at_(at), progress_(progress) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *progress_ = ++at_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** progress_;
};

/// Builds the document from the parser's events, and refuses what plain JSON allows: great depth, a key twice.
/// Keys are appended and compared once when their object closes: ordered_json's own insertion is a linear search, which
/// a file with a million keys would turn into hours.
class DocumentBuilder final : public nlohmann::json_sax<Json> {
 public:
  DocumentBuilder(std::string_view text, const char** progress) : text_(text), progress_(progress) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return refuse(position(), "binary values are not JSON"); }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }

  bool key(string_t& name) override {
    Level& level = open_.back();
    members(*level.value).emplace_back(std::move(name), nullptr);
    level.key_ends.push_back(position());
    return true;
  }

  bool end_object() override {
    const Level level = std::move(open_.back());
    open_.pop_back();
    const auto& all = members(*level.value);
    std::vector<std::size_t> order(all.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](auto a, auto b) {
      const int compared = all[a].first.compare(all[b].first);
      return compared != 0 ? compared < 0 : a < b;
    });
    const auto twice =
        std::adjacent_find(order.begin(), order.end(), [&](auto a, auto b) { return all[a].first == all[b].first; });
    if (twice == order.end()) return true;
    const std::size_t second = *std::next(twice);
    return refuse(level.key_ends[second], cat("the key \"", clip(all[second].first), "\" appears twice in one object"));
  }

  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& error) override {
    const std::size_t last = std::min(at, text_.size());
    const std::string_view rest = text_.substr(last == 0 ? 0 : last - 1);
    for (const std::string_view literal : {"NaN", "Infinity"})
      if (rest.starts_with(literal))
        return refuse(last, cat(literal, " is Python's spelling, not JSON; write a number or null"));
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    std::string_view what = error.what();
    if (const auto colon = what.find(": "); colon != std::string_view::npos) what.remove_prefix(colon + 2);
    if (const auto name = what.find("] "); what.starts_with('[') && name != std::string_view::npos)
      what.remove_prefix(name + 2);  // "[json.exception.out_of_range.406] number overflow ..."
    return refuse(last, clip(what));
  }

  Json& document() { return document_; }
  const std::string& message() const { return message_; }
  std::size_t error_position() const { return error_position_; }

 private:
  struct Level {
    Json* value;                        // stable: a parent does not grow while its child is open
    std::vector<std::size_t> key_ends;  // objects only: offset behind each key
  };
  using Members = std::vector<Json::object_t::value_type>;

  static Members& members(Json& object) { return static_cast<Members&>(object.get_ref<Json::object_t&>()); }
  std::size_t position() const { return static_cast<std::size_t>(*progress_ - text_.data()); }

  bool refuse(std::size_t at, std::string message) {
    error_position_ = at;
    message_ = std::move(message);
    return false;
  }

  Json& place(Json&& value) {
    if (open_.empty()) return document_ = std::move(value);
    Json& parent = *open_.back().value;
    if (parent.is_object()) return members(parent).back().second = std::move(value);
    parent.push_back(std::move(value));
    return parent.back();
  }
  bool add(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool open(Json&& container) {
    if (open_.size() == kMaxDepth) return refuse(position(), cat("nested deeper than ", kMaxDepth, " levels"));
    Json& placed = place(std::move(container));
    open_.push_back({&placed, {}});
    return true;
  }

  std::string_view text_;
  const char** progress_;
  Json document_;
  std::vector<Level> open_;
  std::string message_;
  std::size_t error_position_ = 0;
};

/// "12:5" of the last character before `end`, both counted from 1, columns in bytes.
std::string line_and_column(std::string_view text, std::size_t end) {
  const std::string_view before = text.substr(0, end == 0 ? 0 : end - 1);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto newline = before.rfind('\n');
  const std::size_t column = before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return cat(line, ':', column);
}

/// What a message says was found.
std::string found(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return cat("a list of ", value.size());
  if (value.is_string()) return cat('"', clip(value.get_ref<const std::string&>()), '"');
  return clip(value.dump());
}

std::optional<std::int64_t> as_int(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(number);
  }
  if (!value.is_number_integer()) return std::nullopt;
  return value.get<std::int64_t>();
}

std::string int_range(std::int64_t low, std::int64_t high) { return cat("a whole number from ", low, " to ", high); }

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view source) {
  const char* progress = text.data();
  DocumentBuilder builder(text, &progress);
  try {
    const CountingIterator begin(text.data(), &progress);
    const CountingIterator end(text.data() + text.size(), &progress);
    if (Json::sax_parse(begin, end, static_cast<nlohmann::json_sax<Json>*>(&builder)))
      return std::move(builder.document());
  } catch (const std::exception& error) {
    return fail(Code::bad_file, cat(source, ": cannot parse as JSON: ", clip(error.what())));
  }
  return fail(Code::bad_file,
              cat(source, ':', line_and_column(text, builder.error_position()), ": ", builder.message()));
}

Result<Json> read_json_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  CORBEL_ASSIGN(const std::string text, read_text_file(path, max_bytes));
  if (text.empty()) return fail(Code::bad_file, cat(path.string(), " is empty (0 bytes), expected JSON"));
  if (is_git_lfs_pointer(std::as_bytes(std::span(text))))
    return fail(Code::bad_file,
                cat(path.string(), " is a Git LFS pointer, not the file itself; run `git lfs pull` there"));
  return parse_json(text, path.string());
}

JsonFields::JsonFields(const Json& object, std::string source, std::string path)
    : object_(&object), source_(std::move(source)), path_(std::move(path)) {}

std::string JsonFields::field_name(std::string_view key) const {
  return path_.empty() ? std::string(key) : cat(path_, '.', key);
}

const Json* JsonFields::find(std::string_view key) const {
  if (!object_->is_object()) return nullptr;
  for (const auto& [name, value] : object_->get_ref<const Json::object_t&>())
    if (name == key) return value.is_null() ? nullptr : &value;
  return nullptr;
}

bool JsonFields::has(std::string_view key) const { return find(key) != nullptr; }

Failure JsonFields::wrong(std::string_view key, std::string_view expected) const {
  if (!object_->is_object())
    return fail(Code::bad_file, cat(source_, ": the document is ", found(*object_), ", expected an object with \"",
                                    field_name(key), '"'));
  const Json* value = find(key);
  if (value == nullptr)
    return fail(Code::bad_file, cat(source_, ": \"", field_name(key), "\" is missing, expected ", expected));
  return fail(Code::bad_file, cat(source_, ": \"", field_name(key), "\" is ", found(*value), ", expected ", expected));
}

bool JsonFields::absent(std::string_view key) const { return object_->is_object() && find(key) == nullptr; }

Result<std::int64_t> JsonFields::get_int(std::string_view key, std::int64_t fallback, std::int64_t low,
                                         std::int64_t high) const {
  if (absent(key)) return fallback;
  return require_int(key, low, high);
}

Result<std::int64_t> JsonFields::require_int(std::string_view key, std::int64_t low, std::int64_t high) const {
  const Json* value = find(key);
  const std::optional<std::int64_t> number = value == nullptr ? std::nullopt : as_int(*value);
  if (!number || *number < low || *number > high) return wrong(key, int_range(low, high));
  return *number;
}

Result<double> JsonFields::get_number(std::string_view key, double fallback) const {
  if (absent(key)) return fallback;
  return require_number(key);
}

Result<double> JsonFields::require_number(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) return wrong(key, "a number");
  return value->get<double>();
}

Result<bool> JsonFields::get_bool(std::string_view key, bool fallback) const {
  if (absent(key)) return fallback;
  const Json* value = find(key);
  if (value == nullptr || !value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> JsonFields::get_string(std::string_view key, std::string fallback) const {
  if (absent(key)) return fallback;
  return require_string(key);
}

Result<std::string> JsonFields::require_string(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_string()) return wrong(key, "a string");
  return value->get_ref<const std::string&>();
}

Result<std::vector<double>> JsonFields::get_numbers(std::string_view key) const {
  std::vector<double> numbers;
  if (absent(key)) return numbers;
  const Json* value = find(key);
  if (value == nullptr || !value->is_array()) return wrong(key, "a list of numbers");
  for (const Json& item : *value) {
    if (!item.is_number()) return fail(Code::bad_file, wrong_item(key, numbers.size(), item, "a number"));
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

Result<std::vector<std::string>> JsonFields::get_strings(std::string_view key) const {
  std::vector<std::string> strings;
  if (absent(key)) return strings;
  const Json* value = find(key);
  if (value != nullptr && value->is_string()) return std::vector{value->get_ref<const std::string&>()};
  if (value == nullptr || !value->is_array()) return wrong(key, "a string or a list of strings");
  for (const Json& item : *value) {
    if (!item.is_string()) return fail(Code::bad_file, wrong_item(key, strings.size(), item, "a string"));
    strings.push_back(item.get_ref<const std::string&>());
  }
  return strings;
}

Result<std::vector<std::int64_t>> JsonFields::get_ints(std::string_view key) const {
  std::vector<std::int64_t> numbers;
  if (absent(key)) return numbers;
  const Json* value = find(key);
  if (value != nullptr && value->is_number()) {
    if (const auto number = as_int(*value)) return std::vector{*number};
  }
  if (value == nullptr || !value->is_array()) return wrong(key, "a whole number or a list of them");
  for (const Json& item : *value) {
    const std::optional<std::int64_t> number = as_int(item);
    if (!number) return fail(Code::bad_file, wrong_item(key, numbers.size(), item, "a whole number"));
    numbers.push_back(*number);
  }
  return numbers;
}

std::string JsonFields::wrong_item(std::string_view key, std::size_t index, const Json& item,
                                   std::string_view expected) const {
  return cat(source_, ": \"", field_name(key), '[', index, "]\" is ", found(item), ", expected ", expected);
}

Result<JsonFields> JsonFields::object(std::string_view key) const {
  const Json* value = find(key);
  if (value == nullptr || !value->is_object()) return wrong(key, "an object");
  return JsonFields(*value, source_, field_name(key));
}

}  // namespace corbel
