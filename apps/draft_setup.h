#pragma once
#include <memory>
#include <optional>
#include <string>

#include "apps/command_line.h"
#include "apps/model_setup.h"
#include "corbel/engine/engine.h"

namespace corbel::app {

/// How an engine runs tokens ahead.
struct DraftFlags {
  std::string model;  // a second model that guesses; empty: none
  bool none = false;

  void add_flags(CommandLine& line);
};

/// A second, smaller model that guesses for the first one.
struct OpenDraft {
  std::unique_ptr<OpenModel> model;
  std::optional<DraftModel> draft;
};

/// Opens it on the device of `open`, for as many sequences and as long a context. Refuses a model whose tokens are not
/// those of the first one, naming the first that differs.
/// Null without a name.
Result<std::unique_ptr<OpenDraft>> open_draft(const DraftFlags& flags, const DeviceChoice& choice, OpenRunner& open);

/// The engine's options as the flags have them. `draft` may be null.
EngineOptions engine_options(const DraftFlags& flags, OpenDraft* draft);

}  // namespace corbel::app
