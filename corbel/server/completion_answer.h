#pragma once
#include <optional>

#include "corbel/server/answer_run.h"

namespace corbel {

/// An answer to a chat or text completion, which it keeps, with the model's name in it.
template <typename Completion>
class CompletionAnswer : public AnswerRun {
 public:
  CompletionAnswer(const EndpointCall& call, Completion completion, std::string_view id_prefix)
      : AnswerRun(call, completion, id_prefix), completion_(std::move(completion)) {
    if (completion_.model.empty()) completion_.model = call.model->name;
  }

 protected:
  const Completion& completion() const noexcept { return completion_; }

 private:
  Completion completion_;
};

/// `Answer` in chunks that `Stream` makes, as they come. What is left to say is how pieces and ends of choices are
/// given to the stream.
template <typename Answer, typename Stream>
class StreamedAnswer : public Answer {
 public:
  using Answer::Answer;

 protected:
  void begin() override {
    stream_.emplace(this->completion(), this->chat(), this->head());
    begin_events(this->responder());
  }
  void end() override {
    tell(stream_->finish());
    end_events(this->responder());
  }
  void fail(const Error& error) override {
    if (!stream_) return Answer::fail(error);
    fail_events(this->responder(), error);
  }
  Stream& stream() noexcept { return *stream_; }
  void tell(const std::vector<Json>& chunks) { tell_events(this->responder(), chunks); }

 private:
  std::optional<Stream> stream_;
};

}  // namespace corbel
