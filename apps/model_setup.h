#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "apps/device_setup.h"
#include "corbel/chat/chat_format.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/engine/session.h"
#include "corbel/model/loader.h"
#include "corbel/model/weight_mover.h"

namespace corbel::app {

/// Which model, and in what form.
struct ModelChoice {
  std::string name;                             // see find_package()
  std::string quant;                            // empty: as it is; else packed so, once, into the cache
  bool huge_pages = false;                      // move the weights of an artifact into 2 MB pages
  std::string_view context_flag = "--context";  // what asks for a context, for messages
};

/// Maps an artifact's pages ahead of who computes with them, on a thread of its own.
class PageReader {
 public:
  explicit PageReader(std::shared_ptr<const ModelPackage> package);
  PageReader(const PageReader&) = delete;
  PageReader& operator=(const PageReader&) = delete;
  ~PageReader();  // stops

 private:
  std::shared_ptr<const ModelPackage> package_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

/// A model on a device, with its tokenizer. Members keep their addresses.
struct OpenModel {
  LoadedModel loaded;
  std::optional<Tokenizer> tokenizer;
  std::unique_ptr<PageReader> pages;  // of an artifact, until it is through
  std::optional<WeightMover> mover;   // owns moved weights

  const TextModel& model() const { return *loaded.model; }
};

/// Finds, maps and checks the model. Reads headers and the tokenizer only, unless it is to be packed or moved.
Result<std::unique_ptr<OpenModel>> open_model(const ModelChoice& model, const DeviceChoice& choice, Device& device);

/// Names of the formats of a package's weights, the one with the most bytes first; empty where they cannot be read.
std::vector<std::string> weight_formats(const ModelPackage& package);

/// A model ready to run: device, model, cache pages, scratch.
struct OpenRunner {
  OpenDevice device;
  std::unique_ptr<OpenModel> model;
  std::unique_ptr<StepRunner> runner;
  MemoryPlan memory;
};

/// Opens everything for so many sequences at once. On a terminal, one line on standard error says what memory it takes
/// against what there is. A context that was asked for and does not fit is refused with the longest one that would;
/// without one, the model's own, at most 4,096 tokens, and less where memory is short. Several sequences share fewer
/// cache pages than all of them could fill where memory is short.
Result<std::unique_ptr<OpenRunner>> open_runner(const ModelChoice& model, const DeviceChoice& choice,
                                                std::optional<std::int64_t> context_tokens, std::int64_t sequences);

/// As open_runner(), for hidden states in place of logits: pages for one text of full context and some short ones.
Result<std::unique_ptr<OpenRunner>> open_embedding_runner(const ModelChoice& model, const DeviceChoice& choice,
                                                          std::optional<std::int64_t> context_tokens);

/// A model ready to answer one conversation.
struct OpenSession : OpenRunner {
  std::optional<Session> session;
};

/// As open_runner().
Result<std::unique_ptr<OpenSession>> open_session(const ModelChoice& model, const DeviceChoice& choice,
                                                  std::optional<std::int64_t> context_tokens);

}  // namespace corbel::app
