// Direct use of a model, without sessions or servers: load once, then four calls. The second query loads nothing.
//   chat_direct FOLDER "first question" "second question"
#include <algorithm>
#include <cstdio>

#include "corbel/base/thread_pool.h"
#include "corbel/chat/chat_format.h"
#include "corbel/device/device_list.h"
#include "corbel/engine/direct_model.h"
#include "corbel/model/loader.h"
#include "corbel/model/model_list.h"

using namespace corbel;

static Result<void> answer(DirectModel& model, const Tokenizer& tokenizer, const ChatFormat& format,
                           const LoadedModel& loaded, const std::string& question) {
  const std::vector<ChatMessage> messages = {{"user", question}};
  CORBEL_ASSIGN(const auto prompt, format.encode(messages));
  StreamDecoder text(tokenizer);
  auto token = model.forward_first(prompt);  // = argmax of prefill_forward(prompt)
  for (int generated = 0; token && generated < 200; ++generated) {
    const auto& ends = loaded.defaults.eos_ids;
    if (std::find(ends.begin(), ends.end(), *token) != ends.end()) break;
    std::fputs(text.push(*token).c_str(), stdout);
    token = model.forward_next();  // = argmax of decode_forward(token)
  }
  if (!token) return forward_failure(token);
  std::puts(text.finish().c_str());
  return {};
}

static Result<void> run(const std::string& folder, std::span<char*> questions) {
  CORBEL_ASSIGN(const auto pool, ThreadPool::make(usable_processors()));
  CORBEL_ASSIGN(const auto device, linked_devices().front().make({}, *pool));
  CORBEL_ASSIGN(const LoadedModel loaded, load_text_model(folder, *device, linked_model_families()));
  CORBEL_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(folder));
  CORBEL_ASSIGN(const ChatFormat format, ChatFormat::load(folder, tokenizer));
  CORBEL_ASSIGN(DirectModel model, DirectModel::make(*loaded.model, *device));
  for (const char* question : questions) CORBEL_TRY(answer(model, tokenizer, format, loaded, question));
  return {};
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: chat_direct FOLDER QUESTION...\n", stderr);
    return 2;
  }
  const auto done = run(argv[1], {argv + 2, argv + argc});
  if (!done) std::fprintf(stderr, "chat_direct: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
