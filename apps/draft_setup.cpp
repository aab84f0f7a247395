#include "apps/draft_setup.h"

#include "corbel/base/quote.h"

namespace corbel::app {
namespace {

Result<void> check_same_tokens(const OpenModel& large, const OpenModel& small, const std::string& name) {
  const std::int64_t vocab = large.model().info().vocab;
  if (small.model().info().vocab != vocab)
    return fail(Code::bad_request, cat("--draft ", name, ": its vocabulary has ", small.model().info().vocab,
                                       " tokens, the model's ", vocab, "; both must have the same"));
  const std::int32_t tokens = std::max(large.tokenizer->vocab_size(), small.tokenizer->vocab_size());
  for (std::int32_t id = 0; id < tokens; ++id) {
    const std::string_view ours = id < large.tokenizer->vocab_size() ? large.tokenizer->piece(id) : "";
    const std::string_view its = id < small.tokenizer->vocab_size() ? small.tokenizer->piece(id) : "";
    if (ours == its) continue;
    return fail(Code::bad_request, cat("--draft ", name, ": its token ", id, " is ", quote(its), ", the model's is ",
                                       quote(ours), "; both must have the same tokenizer"));
  }
  return {};
}

}  // namespace

void DraftFlags::add_flags(CommandLine& line) {
  line.text("--draft", model, "a smaller model of the same tokenizer that guesses ahead; changes no token");
  line.toggle("--no-drafts", none, "run no tokens ahead, neither a model's guesses nor what the text said before");
}

EngineOptions engine_options(const DraftFlags& flags, OpenDraft* draft) {
  EngineOptions options;
  if (flags.none) options.drafts = Drafts::none;
  if (draft != nullptr) options.draft_model = &*draft->draft;
  return options;
}

Result<std::unique_ptr<OpenDraft>> open_draft(const DraftFlags& flags, const DeviceChoice& choice, OpenRunner& open) {
  if (flags.model.empty() || flags.none) return std::unique_ptr<OpenDraft>();
  auto opened = std::make_unique<OpenDraft>();
  Device& device = *open.device.device;
  CORBEL_ASSIGN(opened->model, open_model({flags.model}, choice, device));
  CORBEL_TRY(check_same_tokens(*open.model, *opened->model, flags.model));
  const RunnerLimits& limits = open.runner->limits();
  CORBEL_ASSIGN(opened->draft,
                DraftModel::make(opened->model->model(), device, limits.sequences, limits.context_tokens));
  return opened;
}

}  // namespace corbel::app
