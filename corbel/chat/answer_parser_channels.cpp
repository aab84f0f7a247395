#include <algorithm>
#include <array>

#include "corbel/chat/answer_parser_readers.h"
#include "corbel/chat/tool_call_json.h"
#include "corbel/chat/tool_call_scanner.h"

namespace corbel {
namespace {

constexpr std::string_view kStart = "<|start|>";
constexpr std::string_view kChannel = "<|channel|>";
constexpr std::string_view kMessage = "<|message|>";
constexpr std::array<std::string_view, 3> kEnds = {"<|end|>", "<|call|>", "<|return|>"};
constexpr std::size_t kMaxHeader = 512;

/// Passes `expected` at the front of `text`; true when all of `text` was the start of it.
bool passes_or_ends(std::string_view& text, std::string_view expected) {
  if (text.size() < expected.size()) return expected.starts_with(text);
  if (text.starts_with(expected)) text.remove_prefix(expected.size());
  return text.empty();
}

/// Whether a message's header may go on like this; `certain` once no other text begins so.
bool may_be_header(std::string_view text, bool& certain) {
  if (passes_or_ends(text, kStart) || passes_or_ends(text, "assistant")) return true;
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  for (const std::string_view word : {std::string_view("to="), kChannel, kMessage}) {
    certain = certain || text.starts_with(word);
    if (text.starts_with(word) || word.starts_with(text)) return true;
  }
  return false;
}

/// The word behind `key`, up to a blank or a marker.
std::string_view word_behind(std::string_view header, std::string_view key) {
  const std::size_t found = header.find(key);
  if (found == std::string_view::npos) return {};
  header.remove_prefix(found + key.size());
  return header.substr(0, header.find_first_of(" \n\t\r<"));
}

/// An answer of messages, each a header and a body. The channel "analysis" is thought, a recipient makes a call.
class ChannelReader final : public AnswerReader {
 public:
  ChannelReader(const AnswerParserOptions& options, AnswerSink& sink) : sink_(&sink), read_calls_(options.read_calls) {}

  void feed(char byte) override {
    switch (state_) {
      case State::header: header_byte(byte); return;
      case State::text: text_byte(byte); return;
      case State::call: call_byte(byte); return;
      case State::call_done: done_byte(byte); return;
    }
  }

  void finish() override {
    if (state_ == State::call) return degrade();
    if (state_ == State::header) {
      // Blanks behind a message are no message of their own.
      if (first_ || !pending_.empty()) sink_->content(blanks_);
      sink_->content(pending_);
      return;
    }
    // An answer cut off inside the marker that ends a call has said all there is to say.
    if (state_ == State::text && !behind_call_) say(pending_);
  }

 private:
  enum class State { header, text, call, call_done };

  void header_byte(char byte) {
    if (pending_.empty() && is_blank(byte)) {
      blanks_ += byte;
      return;
    }
    pending_ += byte;
    if (byte == '>' && pending_.ends_with(kMessage)) return header_ended();
    if (certain_ ? pending_.size() <= kMaxHeader && byte != '\n' : may_be_header(pending_, certain_)) return;
    thinking_ = false;
    state_ = State::text;
    const std::string text = std::exchange(pending_, {});
    say(std::exchange(blanks_, {}));
    if (certain_) return say(text);
    for (const char one : text) text_byte(one);
  }

  void header_ended() {
    const std::string_view header(pending_);
    const std::string_view recipient = word_behind(header, "to=");
    thinking_ = word_behind(header, kChannel) == "analysis";
    first_ = false;
    blanks_.clear();
    call_ = {};
    json_ = {};
    if (!recipient.empty() && recipient != "user" && recipient != "assistant" && read_calls_) {
      constexpr std::string_view kPrefix = "functions.";
      call_.name = std::string(recipient.starts_with(kPrefix) ? recipient.substr(kPrefix.size()) : recipient);
    }
    state_ = call_.name.empty() ? State::text : State::call;
    if (state_ == State::text) pending_.clear();
  }

  void begin_header() {
    pending_.clear();
    behind_call_ = first_ = false;
    certain_ = false;
    state_ = State::header;
  }

  // Markers inside a body: those that end it, and those that start the next message without an end.
  void text_byte(char byte) {
    pending_ += byte;
    while (!pending_.empty()) {
      if (std::find(kEnds.begin(), kEnds.end(), pending_) != kEnds.end()) return begin_header();
      if (pending_ == kStart || pending_ == kChannel) {
        state_ = State::header;
        certain_ = pending_ == kChannel;
        return;
      }
      const auto begins = [&](std::string_view marker) { return marker.starts_with(pending_); };
      if (begins(kStart) || begins(kChannel) || std::any_of(kEnds.begin(), kEnds.end(), begins)) return;
      say(std::string_view(pending_).substr(0, 1));
      pending_.erase(0, 1);
    }
  }

  void call_byte(char byte) {
    pending_ += byte;
    if (json_.text().empty() && is_blank(byte)) return;
    const ScanStep step = json_.text().empty() && byte != '{' ? ScanStep::fail : json_.feed(byte);
    if (step == ScanStep::more) return;
    if (step == ScanStep::fail) {
      pending_.pop_back();
      degrade();
      text_byte(byte);
      return;
    }
    call_.arguments = json_.text();
    sink_->call(std::move(call_));
    pending_.clear();
    state_ = State::call_done;
  }

  // Behind a call: its end, or the next message.
  void done_byte(char byte) {
    if (is_blank(byte)) return;
    state_ = State::text;
    thinking_ = false;
    behind_call_ = true;
    text_byte(byte);
  }

  void degrade() {
    sink_->degraded(word_behind(pending_, "to="), pending_.size());
    thinking_ = false;
    state_ = State::text;
    say(std::exchange(pending_, {}));
  }

  void say(std::string_view text) {
    behind_call_ = first_ = false;
    if (thinking_) {
      sink_->reasoning(text);
    } else {
      sink_->content(text);
    }
  }

  AnswerSink* sink_;
  bool read_calls_;
  State state_ = State::header;
  std::string pending_;
  std::string blanks_;  // before a header
  bool certain_ = false;
  bool first_ = true;         // nothing has come but blanks
  bool behind_call_ = false;  // nothing has come behind a call
  bool thinking_ = false;
  ToolCall call_;
  JsonScanner json_;
};

}  // namespace

std::unique_ptr<AnswerReader> make_channel_reader(const AnswerFormat&, const AnswerParserOptions& options,
                                                  AnswerSink& sink) {
  return std::make_unique<ChannelReader>(options, sink);
}

}  // namespace corbel
