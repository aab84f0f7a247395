#include <algorithm>
#include <array>

#include "corbel/chat/answer_parser_readers.h"
#include "corbel/chat/tool_call_scanner.h"

namespace corbel {
namespace {

/// The markers in a closing text, one by one: models put blanks between them, or leave the last ones out.
std::vector<std::string> split_markers(std::string_view text) {
  std::vector<std::string> markers;
  std::string current;
  for (const char byte : text) {
    if ((is_blank(byte) || byte == '<') && !current.empty()) markers.push_back(std::exchange(current, {}));
    if (!is_blank(byte)) current += byte;
  }
  if (!current.empty()) markers.push_back(current);
  return markers;
}

/// A call that may be starting: behind its marker, or behind its section's.
struct Start {
  const ToolCallSyntax* syntax = nullptr;
  bool open_is_ahead = false;
};

/// What a marker's text means, and where it counts.
struct Marker {
  enum class Kind { reasoning, content_open, call };
  enum class Place { anywhere, boundary, after_call };  // boundary: where an answer starts, behind thoughts and calls

  std::string text;
  Kind kind = Kind::call;
  Place place = Place::anywhere;
  std::size_t reasoning_index = 0;
  std::vector<Start> starts;
  std::size_t replayed = 0;  // so many of its last bytes are the call's own
};

/// One syntax being tried on the bytes behind a marker.
struct Attempt {
  const ToolCallSyntax* syntax;
  MarkerMatcher open;  // what has to come before the call proper, if `open_is_ahead`
  bool open_is_ahead;
  std::unique_ptr<ToolCallScanner> scanner;

  ScanStep feed(char byte) {
    if (!open_is_ahead) return scanner->feed(byte);
    const ScanStep step = open.feed(byte);
    if (step != ScanStep::done) return step;
    open_is_ahead = false;
    return ScanStep::more;
  }
};

class MarkerReader final : public AnswerReader {
 public:
  MarkerReader(const AnswerFormat& format, const AnswerParserOptions& options, AnswerSink& sink)
      : parts_(format.parts()), sink_(&sink) {
    if (options.tools != nullptr) schemas_ = ToolSchemas(*options.tools);
    if (!options.read_calls) parts_.calls.clear();
    for (std::size_t i = 0; i < parts_.reasoning.size(); ++i) {
      add({parts_.reasoning[i].open, Marker::Kind::reasoning, Marker::Place::boundary, i, {}, 0});
    }
    add({parts_.content_open, Marker::Kind::content_open, Marker::Place::boundary, 0, {}, 0});
    for (const ToolCallSyntax& syntax : parts_.calls) add_call(syntax);
    if (const ReasoningMarkers* open = format.open_reasoning(options.prompt)) begin_reasoning(open->close);
    // A prompt may also end with what opens a call; its bytes are no part of the answer.
    for (const Marker& marker : markers_) {
      if (in_reasoning_ || marker.kind != Marker::Kind::call || marker.place != Marker::Place::anywhere) continue;
      if (!options.prompt.ends_with(marker.text)) continue;
      fire(marker);
      pending_.clear();
      break;
    }
  }

  void feed(char byte) override {
    if (attempts_.empty()) {
      text_byte(byte);
    } else {
      call_byte(byte);
    }
  }

  void finish() override {
    if (!attempts_.empty()) degrade();
    // An answer cut off inside the marker that closes a call has said all there is to say.
    const auto cut_off = [&](const std::string& marker) { return marker.starts_with(match_); };
    if (after_call_ && std::any_of(expected_.begin(), expected_.end(), cut_off)) match_.clear();
    const std::string rest = std::exchange(match_, {});
    for (const char byte : rest) plain(byte);
    if (in_reasoning_) {
      sink_->reasoning(blanks_);
    } else {
      sink_->content(kept_blanks());
    }
    blanks_.clear();
  }

 private:
  void add(Marker marker) {
    if (marker.text.empty()) return;
    for (Marker& same : markers_) {
      if (same.text != marker.text || same.kind != marker.kind || same.place != marker.place) continue;
      same.starts.insert(same.starts.end(), marker.starts.begin(), marker.starts.end());
      return;
    }
    markers_.push_back(std::move(marker));
  }

  void add_call(const ToolCallSyntax& syntax) {
    using Place = Marker::Place;
    constexpr Marker::Kind kCall = Marker::Kind::call;
    if (!syntax.section_open.empty()) {
      add({syntax.section_open, kCall, Place::anywhere, 0, {{&syntax, !syntax.open.empty()}}, 0});
    }
    if (!stands_bare(syntax)) {
      add({syntax.open, kCall, Place::anywhere, 0, {{&syntax, false}}, 0});
      blanks_may_be_markup_ = true;
      return;
    }
    if (syntax.shape == ToolCallShape::json_object) {
      add({"{", kCall, Place::boundary, 0, {{&syntax, false}}, 1});
      for (const char* text : {";{", "; {", ";\n{", ",{", ", {", ",\n{"}) {
        add({text, kCall, Place::after_call, 0, {{&syntax, false}}, 1});
      }
    }
    if (syntax.shape == ToolCallShape::json_object || syntax.shape == ToolCallShape::python_calls) {
      add({"[", kCall, Place::boundary, 0, {{&syntax, false}}, 1});
    }
  }

  bool counts_here(const Marker& marker) const {
    if (in_reasoning_) return false;
    if (marker.place == Marker::Place::anywhere) return true;
    return marker.place == Marker::Place::boundary ? boundary_ : after_call_;
  }

  // Finds what `match_` may become: true when some marker starts with it; `fired` when it is one.
  bool may_become(std::string_view text, const Marker** fired, bool* expected_fired) const {
    bool possible = false;
    for (const std::string& expected : expected_) {
      if (!expected.starts_with(text)) continue;
      possible = true;
      if (expected.size() == text.size()) *expected_fired = true;
    }
    for (const Marker& marker : markers_) {
      if (marker.text.front() != text.front() || !marker.text.starts_with(text) || !counts_here(marker)) continue;
      possible = true;
      if (marker.text.size() == text.size()) *fired = &marker;
    }
    return possible;
  }

  void text_byte(char byte) {
    match_ += byte;
    while (!match_.empty()) {
      const Marker* fired = nullptr;
      bool expected_fired = false;
      // A prefix of match_ may have to go before the rest can be a marker's start; markers are short.
      if (may_become(match_, &fired, &expected_fired)) {
        if (expected_fired) {
          expected_marker();
        } else if (fired != nullptr) {
          fire(*fired);
        }
        return;
      }
      const char first = match_.front();
      match_.erase(0, 1);
      plain(first);
    }
  }

  // A marker that closes: of thoughts, of the answer proper, or what may follow a call.
  void expected_marker() {
    const std::string text = std::exchange(match_, {});
    blanks_.clear();
    if (in_reasoning_) {
      in_reasoning_ = false;
      boundary_ = after_reasoning_ = true;
      expected_.clear();
      return;
    }
    const auto found = std::find(expected_.begin(), expected_.end(), text);
    expected_.erase(expected_.begin(), found + 1);
  }

  void fire(const Marker& marker) {
    const std::string text = std::exchange(match_, {});
    switch (marker.kind) {
      case Marker::Kind::reasoning: begin_reasoning(parts_.reasoning[marker.reasoning_index].close); return;
      case Marker::Kind::content_open:
        blanks_.clear();
        expected_ = {parts_.content_close};
        return;
      case Marker::Kind::call: break;
    }
    pending_ = text;
    marker_ = text;
    for (const Start& start : marker.starts) {
      attempts_.push_back({start.syntax, MarkerMatcher(start.syntax->open), start.open_is_ahead,
                           make_tool_call_scanner(*start.syntax, schemas_)});
    }
    // A longer marker that starts with this one may be on its way.
    for (const Marker& longer : markers_) {
      if (longer.kind != Marker::Kind::call || longer.text.size() <= text.size() || !longer.text.starts_with(text))
        continue;
      if (!counts_here(longer)) continue;
      for (const Start& start : longer.starts) {
        if (start.open_is_ahead) continue;
        attempts_.push_back({start.syntax, MarkerMatcher(std::string_view(longer.text).substr(text.size())), true,
                             make_tool_call_scanner(*start.syntax, schemas_)});
      }
    }
    const std::string_view own = std::string_view(text).substr(text.size() - marker.replayed);
    // '{' and '[', which every scanner of a bare call takes.
    for (const char byte : own) {
      for (std::size_t i = 0; i < marker.starts.size(); ++i) attempts_[i].feed(byte);
    }
  }

  void begin_reasoning(const std::string& close) {
    blanks_.clear();
    in_reasoning_ = true;
    skip_newlines_ = true;
    expected_ = {close};
    after_call_ = after_reasoning_ = false;
  }

  void call_byte(char byte) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < attempts_.size(); ++i) {
      const ScanStep step = attempts_[i].feed(byte);
      if (step == ScanStep::done) return accept(attempts_[i]);
      if (step == ScanStep::fail) continue;
      if (kept != i) attempts_[kept] = std::move(attempts_[i]);
      ++kept;
    }
    if (kept > 0) {
      attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(kept), attempts_.end());
      pending_ += byte;
      return;
    }
    degrade();
    text_byte(byte);
  }

  void accept(Attempt& attempt) {
    const ToolCallSyntax& syntax = *attempt.syntax;
    for (ToolCall& call : attempt.scanner->calls()) sink_->call(std::move(call));
    expected_.clear();
    // The scanner of parameters has read the closing marker itself: there it says where the call ends.
    if (syntax.shape != ToolCallShape::parameters) expected_ = split_markers(syntax.close);
    for (std::string& marker : split_markers(syntax.section_close)) expected_.push_back(std::move(marker));
    attempts_.clear();
    pending_.clear();
    blanks_.clear();
    boundary_ = after_call_ = true;
    after_reasoning_ = false;
  }

  void degrade() {
    const std::string& text_name = attempts_.front().syntax->text_name;
    std::string_view rest = pending_;
    if (rest.starts_with(marker_)) rest.remove_prefix(marker_.size());
    const bool addressed_to_user = !text_name.empty() && rest == text_name;
    attempts_.clear();
    if (addressed_to_user) {
      pending_.clear();
      blanks_.clear();
      boundary_ = after_reasoning_ = true;
      return;
    }
    sink_->degraded(marker_, pending_.size());
    say(std::exchange(pending_, {}));
  }

  void plain(char byte) {
    if (in_reasoning_) {
      if (byte == '\n' || byte == '\r') {
        if (!skip_newlines_) blanks_ += byte;
        return;
      }
      skip_newlines_ = false;
      blanks_ += byte;
      sink_->reasoning(std::exchange(blanks_, {}));
      return;
    }
    if (is_blank(byte) && (boundary_ || blanks_may_be_markup_)) {
      blanks_ += byte;
      return;
    }
    say(std::string_view(&byte, 1));
  }

  void say(std::string_view text) {
    sink_->content(kept_blanks());
    sink_->content(text);
    blanks_.clear();
    // Behind a call only the next call's markers count as markers still; the answer's own end is expected on.
    if (after_call_) expected_.clear();
    boundary_ = after_call_ = after_reasoning_ = false;
  }

  std::string_view kept_blanks() const {
    std::string_view kept = blanks_;
    if (after_call_) return {};
    while (after_reasoning_ && !kept.empty() && (kept.front() == '\n' || kept.front() == '\r')) kept.remove_prefix(1);
    return kept;
  }

  AnswerFormat::Parts parts_;
  ToolSchemas schemas_;
  AnswerSink* sink_;
  std::vector<Marker> markers_;
  std::vector<std::string> expected_;  // closing markers that may come, in order; an earlier one may be left out
  std::vector<Attempt> attempts_;      // not empty: inside what may be a call
  std::string marker_;                 // that the attempts started with
  std::string pending_;                // the attempts' text so far
  std::string match_;                  // the start of some marker
  std::string blanks_;                 // that markup may swallow
  bool boundary_ = true;
  bool after_call_ = false;
  bool after_reasoning_ = false;
  bool in_reasoning_ = false;
  bool skip_newlines_ = false;
  bool blanks_may_be_markup_ = false;
};

}  // namespace

std::unique_ptr<AnswerReader> make_marker_reader(const AnswerFormat& format, const AnswerParserOptions& options,
                                                 AnswerSink& sink) {
  return std::make_unique<MarkerReader>(format, options, sink);
}

}  // namespace corbel
