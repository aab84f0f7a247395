#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "corbel/chat/answer_parser.h"

namespace corbel {

/// Collects what a reader finds: the whole, and the pieces since the last take().
class AnswerSink {
 public:
  void content(std::string_view text);
  void reasoning(std::string_view text);
  void call(ToolCall call);
  /// `what` began like a call, `size` bytes long, and was none.
  void degraded(std::string_view marker, std::size_t size);

  std::vector<AnswerDelta> take();
  const ParsedAnswer& answer() const noexcept { return answer_; }

 private:
  void text(AnswerDelta::Kind kind, std::string_view text);

  ParsedAnswer answer_;
  std::vector<AnswerDelta> deltas_;
};

/// One kind of answer, byte by byte.
class AnswerReader {
 public:
  virtual ~AnswerReader() = default;
  virtual void feed(char byte) = 0;
  virtual void finish() = 0;
};

/// Owns a copy of the format's parts; `options` is read here only. The sink outlives the reader.
std::unique_ptr<AnswerReader> make_marker_reader(const AnswerFormat& format, const AnswerParserOptions& options,
                                                 AnswerSink& sink);
std::unique_ptr<AnswerReader> make_channel_reader(const AnswerFormat& format, const AnswerParserOptions& options,
                                                  AnswerSink& sink);

}  // namespace corbel
