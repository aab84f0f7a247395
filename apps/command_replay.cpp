#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/model_setup.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/base/quote.h"
#include "corbel/engine/receipt.h"

namespace corbel::app {

int run_replay(const std::vector<std::string>& arguments);

namespace {

constexpr std::int64_t kMostFileBytes = std::int64_t{4} << 30;

struct ReplayFlags {
  std::vector<std::string> words;  // RECEIPT [MODEL]
  std::string quant;
  bool any_profile = false;
  DeviceChoice device;
};

struct NamedReceipt {
  std::string source;
  Receipt receipt;
};

/// A receipt, or those in an answer: a chat completion, or a line of what corbel batch writes.
Result<void> add_receipts(const Json& json, const std::string& source, std::vector<NamedReceipt>& receipts) {
  if (json.is_object() && json.contains("response") && json["response"].is_object())
    return json["response"].contains("body") ? add_receipts(json["response"]["body"], source, receipts)
                                             : Result<void>();
  if (!json.is_object() || json.contains("format") || !(json.contains("choices") || json.contains("error"))) {
    CORBEL_ASSIGN(Receipt receipt, read_receipt(json, source));
    receipts.push_back({source, std::move(receipt)});
    return {};
  }
  const Json choices = json.value("choices", Json::array());
  for (std::size_t i = 0; choices.is_array() && i < choices.size(); ++i) {
    if (!choices[i].is_object() || !choices[i].contains("receipt")) continue;
    const std::string place = choices.size() > 1 ? cat(source, ", choice ", i) : source;
    CORBEL_ASSIGN(Receipt receipt, read_receipt(choices[i]["receipt"], place));
    receipts.push_back({place, std::move(receipt)});
  }
  return {};
}

/// One receipt or answer, or one a line; answers without a receipt are left out.
Result<std::vector<NamedReceipt>> read_receipts(const std::string& path) {
  CORBEL_ASSIGN(const std::string text, read_text_file(path, kMostFileBytes));
  std::vector<NamedReceipt> receipts;
  if (const auto whole = parse_json(text, path)) {
    CORBEL_TRY(add_receipts(*whole, path, receipts));
  } else {
    std::size_t number = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view line = std::string_view(text).substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      const std::string source = cat(path, ": line ", number);
      CORBEL_ASSIGN(const Json json, parse_json(line, source));
      CORBEL_TRY(add_receipts(json, source, receipts));
    }
  }
  if (receipts.empty()) return fail(Code::bad_file, cat(path, " has no receipt"));
  return receipts;
}

/// The model as the receipt ran it: cache, strategy and context are its own, not the flags'.
class Replay {
 public:
  explicit Replay(const ReplayFlags& flags) : flags_(flags) {}

  /// Whether the answer came out the same; what differs is told by `report_line`.
  Result<bool> run(const NamedReceipt& named, std::string& report_line) {
    const Receipt& receipt = named.receipt;
    CORBEL_TRY(open(named));
    if (const std::string difference = first_difference(receipt.run, identity_here(receipt)); !difference.empty())
      return fail(Code::bad_request, cat(named.source, ": not replayed, in the receipt ", difference,
                                         only_profile_differs(receipt) ? ". --any-profile runs it all the same" : ""));
    auto request = replay_request(receipt, *open_->model->tokenizer);
    if (!request) return forward_failure(request, named.source);
    Engine engine(*open_->runner, *open_->model->tokenizer);
    const auto result = generate(engine, *std::move(request), &interrupted());
    if (!result) return forward_failure(result, named.source);
    if (interrupted()) return fail(Code::cancelled, "interrupted");
    const std::string difference = first_difference(receipt, *result, *open_->model->tokenizer);
    report_line = difference.empty() ? cat("same bytes: ", result->ids.size(), " tokens, ", identity_.profile,
                                           ", model ", identity_.model_hash, "\n")
                                     : cat("differs: ", difference, "\n");
    return difference.empty();
  }

 private:
  bool only_profile_differs(const Receipt& receipt) const {
    RunIdentity same = identity_;
    same.profile = receipt.run.profile;
    return same == receipt.run;
  }
  RunIdentity identity_here(const Receipt& receipt) const {
    RunIdentity identity = identity_;
    if (flags_.any_profile) identity.profile = receipt.run.profile;
    return identity;
  }

  Result<void> open(const NamedReceipt& named) {
    const Receipt& receipt = named.receipt;
    const std::string model = flags_.words.size() > 1 ? flags_.words[1] : receipt.model;
    const std::string key =
        cat(model, '\n', receipt.run.strategy, '\n', receipt.run.kv_cache, '\n', receipt.request.context_tokens);
    if (open_ != nullptr && key == opened_) return {};
    open_ = nullptr;
    DeviceChoice choice = flags_.device;
    choice.strategy = receipt.run.strategy;
    choice.kv_cache = receipt.run.kv_cache;
    if (const auto valid = choice.validate(); !valid) return forward_failure(valid, named.source);
    CORBEL_ASSIGN(open_, open_runner({model, flags_.quant}, choice, receipt.request.context_tokens, 1));
    CORBEL_ASSIGN(identity_, identify_run(*open_->model->loaded.package, *open_->runner));
    opened_ = key;
    return {};
  }

  const ReplayFlags& flags_;
  std::unique_ptr<OpenRunner> open_;
  std::string opened_;
  RunIdentity identity_;
};

}  // namespace

int run_replay(const std::vector<std::string>& arguments) {
  ReplayFlags flags;
  CommandLine line("replay",
                   "Makes an answer again from its receipt (corbel run --receipt), and compares. Exit code 0: the same "
                   "bytes; 1: something differs, and what. Another model or cache is refused. Cache type, strategy and "
                   "context are the receipt's.");
  line.positionals(
      "receipt model", flags.words,
      "the receipt or answer, or a file with one a line (corbel batch's answers, too); the model, where it moved");
  line.text("--quant", flags.quant, "as the answer was made from a checkpoint: w4, w8, ...");
  line.toggle("--any-profile", flags.any_profile, "also on another device or level than the receipt's");
  flags.device.add_flags(line);
  line.example("corbel run \"What is a KV cache?\" --receipt answer.json && corbel replay answer.json");
  if (const auto code = line.parse(arguments)) return *code;
  if (flags.words.empty() || flags.words.size() > 2) {
    print_error("replay takes a receipt and perhaps a model: corbel replay RECEIPT [MODEL]");
    return kWrongUsage;
  }
  if (const auto valid = flags.device.validate(); !valid) {
    print_error(valid.error().message);
    return kWrongUsage;
  }
  catch_interrupts();
  const auto receipts = read_receipts(flags.words[0]);
  if (!receipts) return report(receipts.error());
  Replay replay(flags);
  bool same = true;
  for (const NamedReceipt& named : *receipts) {
    if (named.receipt.corbel != CORBEL_VERSION)
      print_error_text(
          cat(named.source, " was written by corbel ", named.receipt.corbel, ", this is ", CORBEL_VERSION, "\n"));
    std::string text;
    const auto done = replay.run(named, text);
    if (!done && done.error().code == Code::cancelled) return kInterrupted;
    if (!done) {
      print_error(done.error().message);
      same = false;
      continue;
    }
    same = same && *done;
    if (!print(receipts->size() > 1 ? cat(named.source, ": ", text) : text)) return kFailed;
  }
  return same ? kOk : kFailed;
}

}  // namespace corbel::app
