// attention_bench [threads] [level] [prefill|decode|all] [first] [count] [JSON FILE]: attention alone, over caches of
// each type, for heads as models have them: prefill against the peak of bf16 products, decode against the reading of
// memory, both measured beside. first, count: which heads of the table.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "corbel/base/json.h"
#include "corbel/base/mapped_file.h"
#include "corbel/device/device_list.h"
#include "corbel/device/limits.h"
#include "corbel/device/run_context.h"

namespace {

using namespace corbel;

struct Heads {
  const char* name;
  std::int64_t q_heads;
  std::int64_t kv_heads;
  std::int64_t head_dim;
};
constexpr Heads kHeads[] = {{"4 of 64", 32, 8, 64},       {"4 of 128", 32, 8, 128}, {"2 of 128", 16, 8, 128},
                            {"7 of 64, 2 kv", 14, 2, 64}, {"1 of 64", 16, 16, 64},  {"16 of 128, 1 kv", 16, 1, 128}};

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Layers of one sequence's cache, filled, and rows of queries.
struct Cache {
  MemoryBlock pages;
  MemoryBlock rows;
  std::vector<std::int32_t> table;
  std::vector<std::int32_t> slots;
  std::vector<std::int32_t> sequences;
  std::vector<KvLayer> layers;
};

constexpr std::int64_t kFillRows = 512;

Cache make_cache(Device& device, const KvPageSpec& page, std::int64_t tokens, int layers, std::int64_t row_floats) {
  Cache cache;
  const std::int64_t count = tokens / kPageTokens;
  cache.pages = *allocate_host_memory(static_cast<std::size_t>(count * page.page_bytes() * layers));
  cache.rows = *allocate_host_memory(static_cast<std::size_t>(row_floats) * sizeof(float));
  auto* const values = reinterpret_cast<float*>(cache.rows.data());
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < row_floats; ++i) {
    state = state * 1664525U + 1013904223U;
    values[i] = static_cast<float>(static_cast<std::int32_t>(state)) * 0x1p-30F;
  }
  for (std::int64_t p = 0; p < count; ++p) cache.table.push_back(static_cast<std::int32_t>(p));
  for (std::int64_t t = 0; t < tokens; ++t) cache.slots.push_back(static_cast<std::int32_t>(t));
  cache.sequences.assign(static_cast<std::size_t>(tokens), 0);
  const auto append = *device.prepare<KvAppend>({page});
  RunContext context{.device = &device};
  for (int layer = 0; layer < layers; ++layer) {
    // A page id covers all layers, as in the engine.
    cache.layers.push_back({cache.pages.data() + layer * page.page_bytes(), page.page_bytes() * layers,
                            make_view(cache.table.data(), {1, count})});
    const std::int64_t width = page.kv_heads * page.head_dim;
    for (std::int64_t first = 0; first < tokens; first += kFillRows) {
      const Shape shape{std::min(kFillRows, tokens - first), page.kv_heads, page.head_dim};
      append({make_view(values, shape), make_view(values + kFillRows * width, shape),
              make_view(cache.sequences.data(), {shape[0]}), make_view(cache.slots.data() + first, {shape[0]}),
              cache.layers.back()},
             context);
    }
  }
  return cache;
}

AttentionOpSpec spec_of(const Heads& heads, DType dtype) {
  return {
      {heads.kv_heads, heads.head_dim, dtype}, heads.q_heads, 1.0F / std::sqrt(static_cast<float>(heads.head_dim)), 0};
}

std::int64_t floats_of(const Heads& heads, std::int64_t rows) {
  return std::max(2 * kFillRows, rows) * heads.q_heads * heads.head_dim;
}

double median(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

/// `rows` rows behind `depth` cached tokens.
Json report_prefill(Device& device, const Heads& heads, DType dtype, std::int64_t depth, std::int64_t rows) {
  const AttentionOpSpec spec = spec_of(heads, dtype);
  Cache cache = make_cache(device, spec.page, depth + rows, 1, 2 * floats_of(heads, rows));
  auto* const q = reinterpret_cast<float*>(cache.rows.data());
  const Shape shape{rows, heads.q_heads, heads.head_dim};
  std::vector<std::int32_t> spans = {0, 0, static_cast<std::int32_t>(rows)};
  const auto op = *device.prepare<AttentionPrefill>(spec);
  RunContext context{.device = &device};
  std::vector<double> shares;
  double best = 0;
  for (int run = 0; run < 4; ++run) {
    const double begin = seconds_now();
    op({make_view(q, shape), make_view(spans.data(), {1, 3}), make_view(cache.slots.data() + depth, {rows}),
        cache.layers[0], make_view(q + floats_of(heads, rows), shape)},
       context);
    const double seconds = seconds_now() - begin;
    const double pairs = static_cast<double>(rows) * (static_cast<double>(depth) + 0.5 * static_cast<double>(rows + 1));
    const double operations = 4.0 * pairs * static_cast<double>(heads.q_heads * heads.head_dim);
    const MachineLimits limits = *device.measure_limits({.buffer_bytes = 1 << 20, .passes = 1});
    best = std::max(best, operations / seconds / 1e9);
    if (run > 0) shares.push_back(operations / seconds / limits.bf16_ops_per_s);
  }
  std::printf("  prefill %5ld behind %5ld: %7.1f GOPS, median %.3f of peak\n", static_cast<long>(rows),
              static_cast<long>(depth), best, median(shares));
  return {{"what", "prefill"},      {"heads", heads.name}, {"cache", to_string(dtype)},     {"rows", rows},
          {"behind_tokens", depth}, {"best_gops", best},   {"of_bf16_peak", median(shares)}};
}

/// One row of each of `sequences` sequences that share their pages' table but not their time.
Json report_decode(Device& device, const Heads& heads, DType dtype, std::int64_t tokens) {
  const AttentionOpSpec spec = spec_of(heads, dtype);
  const std::int64_t layer_bytes = tokens / kPageTokens * spec.page.page_bytes();
  const int layers = static_cast<int>(std::clamp<std::int64_t>((std::int64_t{400} << 20) / layer_bytes, 1, 256));
  Cache cache = make_cache(device, spec.page, tokens, layers, 2 * floats_of(heads, 1));
  auto* const q = reinterpret_cast<float*>(cache.rows.data());
  const Shape shape{1, heads.q_heads, heads.head_dim};
  const auto op = *device.prepare<AttentionDecode>(spec);
  RunContext context{.device = &device};
  std::vector<double> shares;
  double best = 0;
  for (int run = 0; run < 7; ++run) {
    const double begin = seconds_now();
    for (const KvLayer& layer : cache.layers) {
      op({make_view(q, shape), make_view(cache.sequences.data(), {1}), make_view(&cache.slots.back(), {1}), layer,
          make_view(q + floats_of(heads, 1), shape)},
         context);
    }
    const double bytes_per_s = static_cast<double>(layer_bytes * layers) / (seconds_now() - begin);
    const MachineLimits limits = *device.measure_limits({.buffer_bytes = 256 << 20, .passes = 1});
    best = std::max(best, bytes_per_s / 1e9);
    if (run > 0) shares.push_back(bytes_per_s / limits.read_bytes_per_s);
  }
  std::printf("  decode behind %6ld: %6.2f GB/s, median %.3f of reading (%d layers)\n", static_cast<long>(tokens), best,
              median(shares), layers);
  return {{"what", "decode"},        {"heads", heads.name},   {"cache", to_string(dtype)},
          {"behind_tokens", tokens}, {"best_gb_per_s", best}, {"of_reading", median(shares)}};
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : usable_processors();
  if (threads < 1) {
    std::fprintf(stderr, "usage: attention_bench [threads] [level] [prefill|decode|all] [first] [count] [JSON FILE]\n");
    return 2;
  }
  const std::string level = argc > 2 ? argv[2] : "";
  const std::string_view only = argc > 3 ? argv[3] : "";
  const int first = argc > 4 ? std::atoi(argv[4]) : 0;
  const int count = argc > 5 ? std::atoi(argv[5]) : 6;
  const std::string json_file = argc > 6 ? argv[6] : "";
  Json rows = Json::array();
  Json profile;
  auto pool = ThreadPool::make(threads);
  for (const DeviceEntry& entry : linked_devices()) {
    if (entry.name != "cpu") continue;
    auto device = entry.make({.level = level}, **pool);
    if (!device) {
      std::fprintf(stderr, "%s\n", device.error().message.c_str());
      return 1;
    }
    profile = (*device)->info().profile();
    std::printf("%s, %d threads\n", (*device)->info().profile().c_str(), threads);
    for (int h = first; h < std::min(first + count, 6); ++h) {
      const Heads& heads = kHeads[h];
      for (const DType dtype : {DType::bf16, DType::i8}) {
        if (!AttentionDecode::check(spec_of(heads, dtype))) continue;
        std::printf(" %s, %s cache\n", heads.name, to_string(dtype).c_str());
        if (only != "decode") {
          rows.push_back(report_prefill(**device, heads, dtype, 0, 2048));
          rows.push_back(report_prefill(**device, heads, dtype, 8192 - 512, 512));
        }
        if (only != "prefill") {
          rows.push_back(report_decode(**device, heads, dtype, 2048));
          rows.push_back(report_decode(**device, heads, dtype, 32768));
        }
      }
    }
  }
  if (json_file.empty()) return 0;
  const std::string text = Json{{"device", profile}, {"threads", threads}, {"rows", std::move(rows)}}.dump(1) + "\n";
  if (const auto written = write_file_atomically(json_file, std::as_bytes(std::span(text))); !written) {
    std::fprintf(stderr, "%s\n", written.error().message.c_str());
    return 1;
  }
  return 0;
}
