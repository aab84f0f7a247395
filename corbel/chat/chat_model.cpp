#include "corbel/chat/chat_model.h"

#include <algorithm>

namespace corbel {
namespace {

bool thinks(const AnswerFormat& answers, const ChatFormat& format) {
  if (answers.parts().channels) return true;
  return std::ranges::any_of(answers.parts().reasoning,
                             [&](const ReasoningMarkers& markers) { return format.mentions(markers.close); });
}

std::string reasoning_markers(const AnswerFormat::Parts& parts) {
  std::string text = parts.content_open + parts.content_close;
  for (const ReasoningMarkers& markers : parts.reasoning) text += markers.open + markers.close;
  if (parts.channels) text += "<|start|><|channel|><|message|><|constrain|><|end|><|call|><|return|>";
  return text;
}

std::string call_markers(const AnswerFormat::Parts& parts) {
  std::string text;
  for (const ToolCallSyntax& call : parts.calls) {
    for (const std::string* marker :
         {&call.section_open, &call.open, &call.id_open, &call.name_end, &call.key_open, &call.key_end, &call.value_end,
          &call.close, &call.section_close, &call.string_mark}) {
      text += *marker;
      text += '\n';
    }
  }
  return text;
}

std::vector<std::int32_t> specials_in(const std::string& markers, const Tokenizer& tokenizer) {
  std::vector<std::int32_t> ids;
  for (const std::int32_t id : tokenizer.special_ids()) {
    const std::string_view piece = tokenizer.piece(id);
    if (!piece.empty() && markers.find(piece) != std::string::npos) ids.push_back(id);
  }
  return ids;
}

}  // namespace

ChatModel::ChatModel(const Tokenizer& tokenizer, ChatFormat format, const GenerationDefaults& defaults)
    : tokenizer_(&tokenizer),
      format_(std::move(format)),
      answers_(format_.answer_format()),
      thinks_(corbel::thinks(answers_, format_)),
      defaults_(defaults),
      stop_ids_(generate_options(defaults).stop_ids),
      reasoning_ids_(specials_in(reasoning_markers(answers_.parts()), tokenizer)),
      call_ids_(specials_in(call_markers(answers_.parts()), tokenizer)) {
  stop_ids_.insert(stop_ids_.end(), format_.stop_ids().begin(), format_.stop_ids().end());
  constraints_ = std::make_unique<ConstraintCompiler>(tokenizer, stop_ids_);
}

Result<std::unique_ptr<ChatModel>> ChatModel::load(const NamedFiles& files, const Tokenizer& tokenizer,
                                                   const GenerationDefaults& defaults) {
  CORBEL_ASSIGN(ChatFormat format, ChatFormat::load(files, tokenizer));
  return std::unique_ptr<ChatModel>(new ChatModel(tokenizer, std::move(format), defaults));
}

}  // namespace corbel
