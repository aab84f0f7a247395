// Any bytes as a saved sequence, and files with right checksums whose description lies: what is taken has tokens that
// the model knows and fits the cache, what is refused leaves the session as it was or empty.
#include <fcntl.h>
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "corbel/engine/session_file.h"

namespace {

using namespace corbel;

constexpr std::int64_t kContext = 160;
constexpr std::int64_t kVocab = 100;

void require(bool condition) {
  if (!condition) std::abort();
}

/// Two layers with whole history and one with a window; computes nothing.
class CacheOnly final : public TextModel {
 public:
  CacheOnly() {
    info_.vocab = kVocab;
    info_.hidden = 4;
    info_.layers = 3;
    const KvPageSpec page{.kv_heads = 1, .head_dim = 2, .dtype = DType::i8};
    info_.cache.groups = {{CacheGroup::Kind::paged, 0, page, {0, 1}}, {CacheGroup::Kind::windowed, 32, page, {2}}};
  }
  const TextModelInfo& info() const override { return info_; }
  void embed(const StepInputs&, const TensorView&, RunContext&) const noexcept override {}
  void run_layers(int, int, const StepInputs&, const TensorView&, const CacheView&,
                  RunContext&) const noexcept override {}
  void final_hidden(const StepInputs&, const TensorView&, const TensorView&, RunContext&) const noexcept override {}
  void head(const StepInputs&, const TensorView&, const TensorView&, RunContext&) const noexcept override {}

 private:
  TextModelInfo info_;
};

const RunIdentity kHere = {"hash", "null", "balanced", "int8", 0};

/// A file in memory.
struct MemoryFile {
  int descriptor = memfd_create("sequence", 0);
  std::filesystem::path path = cat("/proc/self/fd/", descriptor);
  void put(std::string_view bytes) const {
    require(ftruncate(descriptor, 0) == 0 && pwrite(descriptor, bytes.data(), bytes.size(), 0) == std::ssize(bytes));
  }
};

std::string number_bytes(std::uint32_t number) { return {reinterpret_cast<const char*>(&number), sizeof number}; }

std::string checksum_bytes(std::string_view bytes) {
  const Checksum sum = checksum_of(bytes);
  return {reinterpret_cast<const char*>(sum.bytes.data()), sum.bytes.size()};
}

/// A file whose checksums are right, with some numbers of its description replaced.
std::string well_formed(FuzzedDataProvider& data, const StepRunner& runner) {
  const auto count = data.ConsumeIntegralInRange<std::int64_t>(1, kContext + 8);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  for (std::int32_t& token : tokens)
    token = data.ConsumeIntegralInRange<std::int32_t>(0, kVocab);  // the last one is wrong
  const std::string_view ids(reinterpret_cast<const char*>(tokens.data()), tokens.size() * sizeof(std::int32_t));
  std::string sections(ids);
  Json groups = Json::array();
  for (const CacheGroup& group : runner.model().info().cache.groups) {
    std::string pages(static_cast<std::size_t>(pages_of_tokens(count) * group.page_bytes()),
                      data.ConsumeIntegral<char>());
    groups.push_back({{"layers", group.layers.size()},
                      {"window", group.window},
                      {"kv_heads", group.page.kv_heads},
                      {"head_dim", group.page.head_dim},
                      {"page_bytes", group.page_bytes()},
                      {"checksum", to_string(checksum_of(pages))}});
    sections += pages;
  }
  Json description = {{"run",
                       {{"model", kHere.model_hash},
                        {"profile", kHere.profile},
                        {"strategy", kHere.strategy},
                        {"kv_cache", kHere.kv_cache},
                        {"context_tokens", 0}}},
                      {"tokens", count},
                      {"tokens_checksum", to_string(checksum_of(ids))},
                      {"groups", groups}};
  constexpr std::array<const char*, 7> kPlaces = {"/tokens",
                                                  "/groups/0/layers",
                                                  "/groups/0/window",
                                                  "/groups/1/kv_heads",
                                                  "/groups/1/head_dim",
                                                  "/groups/0/page_bytes",
                                                  "/run/context_tokens"};
  for (int i = data.ConsumeIntegralInRange(0, 2); i > 0; --i)
    description[Json::json_pointer(data.PickValueInArray(kPlaces))] = data.ConsumeIntegral<std::int64_t>();
  if (data.ConsumeIntegral<std::uint8_t>() == 0) description["groups"] = data.ConsumeIntegral<std::int64_t>();
  const std::string text = description.dump();
  std::string head = "corbel.sequence\n" + number_bytes(1) + number_bytes(static_cast<std::uint32_t>(text.size()));
  head += checksum_bytes(head + text);
  std::string file = head + text + sections;
  if (data.ConsumeBool()) file.resize(data.ConsumeIntegralInRange<std::size_t>(0, file.size() + 16));
  return file;
}

StepRunner make_runner(Device& device) {
  static const CacheOnly model;
  return *StepRunner::make(model, device, {.step_rows = 8, .context_tokens = kContext});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const std::unique_ptr<Device> device = make_null_device();
  static StepRunner runner = make_runner(*device);
  static const MemoryFile file;
  FuzzedDataProvider data(bytes, size);
  file.put(data.ConsumeBool() ? well_formed(data, runner) : data.ConsumeRemainingBytesAsString());
  Session session = *Session::make(runner);
  const auto loaded = load_session(file.path, kHere, session);
  if (!loaded) {
    require(!loaded.error().message.empty() && session.tokens().empty());
    return 0;
  }
  require(*loaded > 0 && *loaded <= kContext && std::ssize(session.tokens()) == *loaded);
  for (const std::int32_t token : session.tokens()) require(token >= 0 && token < kVocab);
  require(session.prefill(session.tokens()).has_value());
  return 0;
}
