#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "corbel/engine/memory_plan.h"
#include "corbel/engine/run_identity.h"
#include "corbel/server/endpoints.h"

namespace corbel {
namespace {

/// The name of a named syntax that has it, else nothing.
std::string_view syntax_name(const ToolCallSyntax& syntax) {
  for (const NamedToolCallSyntaxes& named : tool_call_syntaxes())
    if (std::ranges::find(named.syntaxes, syntax) != named.syntaxes.end()) return named.name;
  return {};
}

Json tool_calls_json(const AnswerFormat::Parts& parts) {
  Json names = Json::array();
  if (parts.channels) names.push_back("channel_markers");
  // Of a model that says nothing of its own format, whatever models write is understood.
  if (parts.calls == AnswerFormat::generic().parts().calls) return Json::array({"generic"});
  for (const ToolCallSyntax& syntax : parts.calls) {
    const std::string_view name = syntax_name(syntax);
    if (!name.empty() && std::ranges::find(names, Json(name)) == names.end()) names.push_back(name);
  }
  return names;
}

/// What holds where a request says nothing.
Json defaults_json(const ChatModel& chat) {
  const GenerateOptions options = generate_options(chat.defaults());
  const SamplingOptions& sampling = options.sampling;
  Json defaults = {{"temperature", sampling.temperature},
                   {"top_p", sampling.top_p},
                   {"top_k", sampling.top_k},
                   {"min_p", sampling.min_p},
                   {"repetition_penalty", sampling.repetition_penalty},
                   {"presence_penalty", sampling.presence_penalty},
                   {"frequency_penalty", sampling.frequency_penalty}};
  if (options.max_tokens > 0) defaults["max_tokens"] = options.max_tokens;  // else what the context has room for
  return defaults;
}

Json card_json(const ServedModel& model) {
  const TextModelInfo& info = *model.info;
  const AnswerFormat::Parts& answers = model.chat->answers().parts();
  Json reasoning = Json::array();
  if (model.chat->thinks())
    for (const ReasoningMarkers& markers : answers.reasoning) reasoning.push_back({markers.open, markers.close});
  return {{"architecture", info.architecture},
          {"family", info.family},
          {"parameters", info.parameters},
          {"layers", info.layers},
          {"hidden", info.hidden},
          {"vocab", info.vocab},
          {"package", model.kind},
          {"formats", model.formats},
          {"weight_bytes", info.weight_bytes + info.owned_bytes},
          {"context_tokens", model.context_tokens},
          {"trained_context_tokens", info.max_positions},
          {"profile", model.profile},
          {"strategy", strategy_name(info.strategy)},
          {"kv_cache", kv_cache_name(info)},
          {"has_template", model.chat->format().has_template()},
          {"defaults", defaults_json(*model.chat)},
          {"tool_calls", tool_calls_json(answers)},
          {"reasoning", std::move(reasoning)}};
}

Json engine_json(const EngineFigures& figures) {
  return {{"running", figures.running},
          {"waiting", figures.waiting},
          {"most_running", figures.most_running},
          {"steps", figures.steps},
          {"rows", figures.rows},
          {"generated_tokens", figures.generated_tokens},
          {"preemptions", figures.preemptions},
          {"pages", figures.pages},
          {"free_pages", figures.free_pages},
          {"prefix_pages", figures.prefix.pages},
          {"prefix_asked_tokens", figures.prefix.asked_tokens},
          {"prefix_hit_tokens", figures.prefix.hit_tokens},
          {"drafted_tokens", figures.drafted_tokens},
          {"accepted_tokens", figures.accepted_tokens}};
}

/// What this process holds, file cache of mapped weights included, beside what it may.
Json memory_json() {
  std::int64_t pages_all = 0;
  std::int64_t pages_resident = 0;
  std::ifstream("/proc/self/statm") >> pages_all >> pages_resident;
  const std::int64_t page_bytes = ::sysconf(_SC_PAGESIZE);
  const std::int64_t machine = ::sysconf(_SC_PHYS_PAGES) * page_bytes;
  const std::int64_t group = available_memory().group_limit_bytes;
  return {{"resident_bytes", pages_resident * page_bytes},
          {"limit_bytes", group > 0 ? std::min(group, machine) : machine}};
}

}  // namespace

void status_endpoint(const EndpointCall& call) {
  const std::chrono::duration<double> uptime = std::chrono::steady_clock::now() - call.state.begin;
  Json models = Json::array();
  for (const ModelShelf::Listed& listed : call.state.models->list()) {
    Json json = {{"id", listed.name}, {"loaded", listed.model != nullptr}};
    if (listed.model != nullptr) {
      json["engine"] = engine_json(listed.model->engine->figures());
      json["card"] = card_json(*listed.model);
    }
    models.push_back(std::move(json));
  }
  call.responder->respond(json_response({{"object", "status"},
                                         {"version", call.state.version},
                                         {"uptime_seconds", uptime.count()},
                                         {"memory", memory_json()},
                                         {"models", std::move(models)}}));
}

}  // namespace corbel
