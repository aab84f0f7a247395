#include "corbel/chat/answer_parser.h"

#include <utility>

#include "corbel/base/cat.h"
#include "corbel/base/quote.h"
#include "corbel/chat/answer_parser_readers.h"

namespace corbel {

void AnswerSink::text(AnswerDelta::Kind kind, std::string_view text) {
  if (text.empty()) return;
  (kind == AnswerDelta::Kind::content ? answer_.content : answer_.reasoning) += text;
  if (deltas_.empty() || deltas_.back().kind != kind) {
    deltas_.push_back({kind, std::string(text), 0, {}});
  } else {
    deltas_.back().text += text;
  }
}

void AnswerSink::content(std::string_view text) { this->text(AnswerDelta::Kind::content, text); }

void AnswerSink::reasoning(std::string_view text) { this->text(AnswerDelta::Kind::reasoning, text); }

void AnswerSink::call(ToolCall call) {
  deltas_.push_back({AnswerDelta::Kind::tool_call, {}, answer_.tool_calls.size(), call});
  answer_.tool_calls.push_back(std::move(call));
}

void AnswerSink::degraded(std::string_view marker, std::size_t size) {
  constexpr std::size_t kMaxNotes = 8;
  if (answer_.notes.size() == kMaxNotes) return;
  answer_.notes.push_back(
      cat("what follows ", quote(marker), " is no complete call: its ", size, " bytes stay content"));
}

std::vector<AnswerDelta> AnswerSink::take() { return std::exchange(deltas_, {}); }

AnswerParser::AnswerParser(const AnswerFormat& format, const AnswerParserOptions& options)
    : sink_(std::make_unique<AnswerSink>()),
      reader_(format.parts().channels ? make_channel_reader(format, options, *sink_)
                                      : make_marker_reader(format, options, *sink_)) {}

AnswerParser::AnswerParser(AnswerParser&&) noexcept = default;
AnswerParser& AnswerParser::operator=(AnswerParser&&) noexcept = default;
AnswerParser::~AnswerParser() = default;

std::vector<AnswerDelta> AnswerParser::push(std::string_view text) {
  for (const char byte : text) reader_->feed(byte);
  return sink_->take();
}

std::vector<AnswerDelta> AnswerParser::finish() {
  reader_->finish();
  return sink_->take();
}

const ParsedAnswer& AnswerParser::answer() const noexcept { return sink_->answer(); }

ParsedAnswer parse_answer(std::string_view text, const AnswerFormat& format, const AnswerParserOptions& options) {
  AnswerParser parser(format, options);
  parser.push(text);
  parser.finish();
  return parser.answer();
}

}  // namespace corbel
