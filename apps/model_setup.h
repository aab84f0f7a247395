#pragma once
#include <memory>
#include <optional>
#include <string>

#include "apps/device_setup.h"
#include "corbel/chat/chat_format.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/engine/session.h"
#include "corbel/model/loader.h"

namespace corbel::app {

/// A model from its folder, on a device, with its tokenizer. Members keep their addresses.
struct OpenModel {
  LoadedModel loaded;
  std::optional<Tokenizer> tokenizer;

  const TextModel& model() const { return *loaded.model; }
};

/// Finds, maps and checks the model that `name` means (see environment.h). Reads headers and the tokenizer only.
Result<std::unique_ptr<OpenModel>> open_model(const std::string& name, const DeviceChoice& choice,
                                              const Device& device);

/// A model ready to answer one conversation: device, model, cache pages, scratch.
struct OpenSession {
  OpenDevice device;
  std::unique_ptr<OpenModel> model;
  std::unique_ptr<StepRunner> runner;
  std::optional<Session> session;
  MemoryPlan memory;
};

/// Opens everything. On a terminal, one line on standard error says what memory it takes against what there is. A
/// context that was asked for and does not fit is refused with the longest one that would; without one, the model's
/// own, at most 4,096 tokens, and less where memory is short.
Result<std::unique_ptr<OpenSession>> open_session(const std::string& model, const DeviceChoice& choice,
                                                  std::optional<std::int64_t> context_tokens);

}  // namespace corbel::app
