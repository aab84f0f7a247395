#include <cmath>

#include "corbel/base/cat.h"
#include "corbel/text/jinja_format.h"
#include "corbel/text/jinja_text.h"
#include "corbel/text/unicode.h"

namespace corbel::jinja {
namespace {

/// Python's text % values.
class PercentFormat {
 public:
  PercentFormat(Interpreter& interpreter, const Value& format, const Value& values)
      : interpreter_(interpreter), text_(format.text()), safe_(format.safe()), values_(values) {
    const auto* list = values.as<ListPtr>();
    tuple_ = list != nullptr && (*list)->kind == ListKind::tuple ? list->get() : nullptr;
  }

  std::string run() {
    while (at_ < text_.size()) {
      if (text_[at_] != '%') {
        out_.push_back(text_[at_++]);
        continue;
      }
      ++at_;
      field();
      interpreter_.charge(out_.size() / 8);
    }
    // What Python takes for a mapping (lists among it) may have more than the format uses.
    const bool mapping = values_.is_undefined() || values_.as<DictPtr>() != nullptr ||
                         (values_.as<ListPtr>() != nullptr && tuple_ == nullptr && !generator());
    if (!mapping && next_ < (tuple_ != nullptr ? tuple_->items.size() : 1))
      raise("not all values of a format are used");
    return std::move(out_);
  }

 private:
  bool generator() const {
    return (*values_.as<ListPtr>())->kind != ListKind::list && (*values_.as<ListPtr>())->kind != ListKind::range;
  }

  Value next_value() {
    const std::size_t count = tuple_ != nullptr ? tuple_->items.size() : 1;
    if (next_ >= count) raise("not enough values for a format");
    ++next_;
    return tuple_ != nullptr ? tuple_->items[next_ - 1] : values_;
  }

  std::size_t number_or_star() {
    if (at_ >= text_.size() || text_[at_] != '*') return take_number(text_, at_);
    ++at_;
    const auto value = next_value().to_integer();
    if (!value) raise("a format's * needs a whole number");
    std::size_t at = 0;
    star_negative_ = *value < 0;
    return take_number(cat(star_negative_ ? -*value : *value), at);
  }

  void field() {
    std::optional<Value> named;
    if (at_ < text_.size() && text_[at_] == '(') {
      int open = 1;
      const std::size_t begin = ++at_;
      for (; at_ < text_.size() && open > 0; ++at_) open += text_[at_] == '(' ? 1 : text_[at_] == ')' ? -1 : 0;
      const auto* dict = values_.as<DictPtr>();
      if (open > 0 || dict == nullptr) raise("a format with names needs a mapping");
      const std::string key = text_.substr(begin, at_ - begin - 1);
      const Value* found = (*dict)->find(key);
      if (found == nullptr) raise(cat("a format finds no '", key, "'"));
      named = *found;
    }
    FormatSpec spec;
    bool zero = false;
    for (; at_ < text_.size() && std::string_view("-+ 0#").find(text_[at_]) != std::string_view::npos; ++at_) {
      if (text_[at_] == '-') spec.align = '<';
      if (text_[at_] == '+' || (text_[at_] == ' ' && spec.sign != '+')) spec.sign = text_[at_];
      zero = zero || text_[at_] == '0';
      spec.alternate = spec.alternate || text_[at_] == '#';
    }
    star_negative_ = false;
    spec.width = number_or_star();
    if (star_negative_) spec.align = '<';
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      spec.precision = number_or_star();
      if (star_negative_ && spec.align != '<') spec.precision = 0;
    }
    while (at_ < text_.size() && (text_[at_] == 'h' || text_[at_] == 'l' || text_[at_] == 'L')) ++at_;
    if (at_ >= text_.size()) raise("a format ends within a field");
    spec.type = text_[at_++];
    if (spec.type == '%') {
      out_.push_back('%');
      return;
    }
    const Value value = named ? *named : next_value();
    if (!value.is_text()) interpreter_.step(weight_of(value));
    if (spec.align == '\0') spec.align = '>';
    std::string shown = is_text_type(spec.type) ? text_of(value, spec) : number_of(value, spec, zero);
    out_ += safe_ && !value.safe() ? escape_html(shown) : shown;
  }

  static bool is_text_type(char type) { return type == 's' || type == 'r' || type == 'a' || type == 'c'; }

  static std::string text_of(const Value& value, const FormatSpec& spec) {
    std::string text;
    if (spec.type == 'c') {
      if (value.is_text() && count_characters(value.text()) == 1) {
        text = value.text();
      } else if (const auto code = value.to_integer();
                 code && *code >= 0 && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF)) {
        append_utf8(text, static_cast<char32_t>(*code));
      } else {
        raise("%c needs a character or its number");
      }
      return padded(std::move(text), spec, '>');
    }
    text = spec.type == 's' ? to_text(value) : spec.type == 'r' ? to_repr(value) : ascii_repr(value);
    if (spec.precision) {
      std::string cut;
      const std::vector<std::string> all = characters(text);
      for (std::size_t i = 0; i < std::min(*spec.precision, all.size()); ++i) cut += all[i];
      text = std::move(cut);
    }
    return padded(std::move(text), spec, '>');
  }

  static std::string number_of(const Value& value, FormatSpec spec, bool zero) {
    if (std::string_view("diuoxXeEfFgG").find(spec.type) == std::string_view::npos)
      raise(cat("a format has no type '%", spec.type, "'"));
    if (!value.is_number()) raise(cat("format '%", spec.type, "' needs a number, found '", type_name(value), "'"));
    if (zero && spec.align != '<') {
      spec.fill = "0";
      spec.align = '=';
    }
    if (std::string_view("eEfFgG").find(spec.type) != std::string_view::npos)
      return padded(real_digits(value.to_real(), spec), spec, '>');
    std::optional<std::int64_t> whole = value.to_integer();
    if (!whole) {
      if (spec.type == 'x' || spec.type == 'X' || spec.type == 'o')
        raise(cat("format '%", spec.type, "' needs a whole number, found 'float'"));
      const double real = value.to_real();
      if (!std::isfinite(real)) raise("a format of whole numbers finds infinity or NaN");
      if (std::fabs(real) >= 9.2e18) raise("a whole number is beyond 64 bits");
      whole = static_cast<std::int64_t>(real);
    }
    if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
    return padded(integer_digits(*whole, spec), spec, '>');
  }

  Interpreter& interpreter_;
  const std::string& text_;
  bool safe_;
  const Value& values_;
  const List* tuple_ = nullptr;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool star_negative_ = false;
  std::string out_;
};

}  // namespace

Value format_percent(Interpreter& interpreter, const Value& format, const Value& values) {
  return interpreter.make_text(PercentFormat(interpreter, format, values).run(), format.safe());
}

}  // namespace corbel::jinja
