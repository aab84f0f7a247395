#include "corbel/compile/mixed_bits.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "corbel/format/packed_format.h"

namespace corbel {
namespace {

/// Formats to choose from, smallest first.
constexpr std::size_t kChoices = 5;
std::array<const WeightFormat*, kChoices> choices() {
  return {&w4g16_format(), &w4g8_format(), &w5g16_format(), &w6g8_format(), &w8_format()};
}

struct Candidate {
  TensorPlan* tensor;
  std::array<double, kChoices> cost{};
  std::array<std::int64_t, kChoices> bytes{};
};

constexpr std::int64_t kSampleRows = 256;

/// How much of a tensor's output error reaches the logits, a layer's matrix counting 1. What a layer adds is one of
/// many additions; embeddings and heads are all there is at their place. Measured on the built-in model with one kind
/// of matrix at a time in four bits: a tied embedding costs 2.5 times as much as one matrix of every layer together.
double weight_of(const TensorPlan& tensor, int layers) {
  const bool is_head = !tensor.use.input.empty() && (tensor.use.gathered || tensor.use.input.ends_with("lm_head"));
  const double share = (tensor.use.gathered ? 1.0 : 0.0) + (is_head ? 1.5 : 0.0);
  return share > 0.0 ? share * layers : 1.0;
}

/// Costs of all formats on every so many strips of the matrix.
Result<Candidate> measure(TensorPlan& tensor, const TensorSource& source, const InputStatistics& statistics,
                          Device& device) {
  Candidate candidate{&tensor};
  const auto stored = source.find_shaped(tensor.use.name, tensor.use.shape);
  if (!stored) return fail(Code::bad_file, cat("tensor \"", tensor.use.name, "\" is gone"));
  const RowReader reader(*stored, device);
  const std::vector<float> importance = statistics.importance(tensor.use.input);
  const std::int64_t strips = packed_strips(tensor.rows());
  const std::int64_t every = std::max<std::int64_t>(1, strips * kStripRows / kSampleRows);
  std::vector<float> values;
  std::vector<std::byte> bytes;
  const auto formats = choices();
  for (std::size_t f = 0; f < formats.size(); ++f) {
    CORBEL_ASSIGN(MatrixEncoder encoder,
                  MatrixEncoder::make(*formats[f], tensor.columns(), QuantMethod::fast, importance, device));
    TensorErrors errors;
    for (std::int64_t strip = 0; strip < strips; strip += every) {
      const std::int64_t first = strip * kStripRows;
      CORBEL_TRY(reader.read(first, std::min(kStripRows, tensor.rows() - first), values,
                             Nonfinite::zero));  // encoding refuses them
      encoder.encode(make_view(values.data(), {std::ssize(values) / tensor.columns(), tensor.columns()}), bytes,
                     errors);
    }
    candidate.cost[f] = errors.weighted_signal > 0.0 ? errors.weighted_noise / errors.weighted_signal : 0.0;
    candidate.bytes[f] = formats[f]->matrix_bytes(tensor.rows(), tensor.columns());
  }
  return candidate;
}

std::size_t cheapest(const Candidate& candidate, double price) {
  std::size_t best = 0;
  double least = HUGE_VAL;
  for (std::size_t f = 0; f < candidate.cost.size(); ++f) {
    const double cost = candidate.cost[f] + price * static_cast<double>(candidate.bytes[f]);
    if (cost < least) best = f;
    least = std::min(least, cost);
  }
  return best;
}

std::int64_t total_bytes(const std::vector<Candidate>& candidates, double price) {
  std::int64_t bytes = 0;
  for (const Candidate& candidate : candidates) bytes += candidate.bytes[cheapest(candidate, price)];
  return bytes;
}

/// One price leaves a rest where a large matrix would not fit: it goes, step by step, to what gains most per byte.
void spend_rest(const std::vector<Candidate>& candidates, std::int64_t budget, std::vector<std::size_t>& chosen) {
  for (std::size_t i = 0; i < candidates.size(); ++i) budget -= candidates[i].bytes[chosen[i]];
  while (true) {
    double most = 0.0;
    std::size_t best = 0;
    std::size_t format = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      for (std::size_t f = chosen[i] + 1; f < candidates[i].bytes.size(); ++f) {
        const std::int64_t bytes = candidates[i].bytes[f] - candidates[i].bytes[chosen[i]];
        const double gain = (candidates[i].cost[chosen[i]] - candidates[i].cost[f]) / static_cast<double>(bytes);
        if (bytes > budget || !(gain > most)) continue;
        most = gain;
        best = i;
        format = f;
      }
    }
    if (!(most > 0.0)) return;
    budget -= candidates[best].bytes[format] - candidates[best].bytes[chosen[best]];
    chosen[best] = format;
  }
}

}  // namespace

Result<void> mix_bits(CompilePlan& plan, const TensorSource& source, const InputStatistics& statistics, double bits,
                      Device& device) {
  std::vector<Candidate> candidates;
  auto budget = static_cast<std::int64_t>(bits / 8.0 * static_cast<double>(plan.values));
  for (TensorPlan& tensor : plan.tensors) {
    if (tensor.is_vector()) continue;
    if (!tensor.quantizes() || !tensor.reason.empty()) {
      budget -= tensor.bytes;
      continue;
    }
    CORBEL_ASSIGN(Candidate candidate, measure(tensor, source, statistics, device));
    for (double& cost : candidate.cost) cost *= weight_of(tensor, plan.layers);
    candidates.push_back(candidate);
  }
  const std::int64_t least = total_bytes(candidates, 1e30);
  if (least > budget) {
    const double needed = bits + 8.0 * static_cast<double>(least - budget) / static_cast<double>(plan.values);
    return fail(Code::bad_request,
                cat("--bits ", bits, " is less than the smallest formats take: ", std::ceil(needed * 1000.0) / 1000.0,
                    " bits per weight, with the tensors that stay as they are"));
  }
  double low = 1e-30;
  double high = 1e30;
  for (int round = 0; round < 200; ++round) {
    const double price = std::sqrt(low * high);
    (total_bytes(candidates, price) > budget ? low : high) = price;
  }
  std::vector<std::size_t> chosen;
  for (const Candidate& candidate : candidates) chosen.push_back(cheapest(candidate, high));
  spend_rest(candidates, budget, chosen);
  const auto formats = choices();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    candidates[i].tensor->format = formats[chosen[i]];
    candidates[i].tensor->reason = "--bits";
  }
  sum_up(plan);
  return {};
}

}  // namespace corbel
