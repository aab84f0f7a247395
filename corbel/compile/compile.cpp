#include "corbel/compile/compile.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/compile/error_journal.h"
#include "corbel/compile/for_units.h"
#include "corbel/compile/gptq.h"
#include "corbel/compile/mixed_bits.h"
#include "corbel/compile/write_behind.h"
#include "corbel/format/indexed_format.h"
#include "corbel/format/packed_format.h"

namespace corbel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;  // copied at once

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

bool is_cancelled(const CompileRequest& request) {
  return request.cancel != nullptr && request.cancel->load(std::memory_order_relaxed);
}
Failure cancelled() { return fail(Code::cancelled, "compiling was cancelled"); }

/// The model on a device that does nothing: which tensors it reads, and how.
Result<std::unique_ptr<TextModel>> open_on(const CompileRequest& request, const Device& device) {
  return make_text_model(*request.source.config, request.source.config_place, request.source.tensors, device,
                         request.families, {.kv_cache = request.kv_cache});
}

/// Room for the certificate: what certificate_text makes is never longer.
std::int64_t certificate_room(const CompilePlan& plan) {
  std::int64_t bytes = 256;
  for (const TensorPlan& tensor : plan.tensors) bytes += 128 + 6 * std::ssize(tensor.use.name);
  return bytes;
}

/// Which text: a run goes on from one that had another no more than from one of other formats.
Checksum calibration_key(const CalibrationTokens& tokens) {
  RunningChecksum sum;
  for (const std::vector<std::int32_t>& sequence : tokens) sum.add(std::as_bytes(std::span(sequence)));
  return sum.value();
}

ArtifactPlan artifact_plan(const CompileRequest& request, const CompilePlan& plan) {
  ArtifactPlan artifact{.written_by = request.written_by, .files = request.source.files};
  artifact.profile.limits = request.limits;
  artifact.profile.source = request.source.name;
  artifact.profile.source_hash = request.source.hash;
  artifact.profile.settings = request.settings;
  if (!request.calibration.empty())
    artifact.profile.settings["calibration_tokens"] = to_string(calibration_key(request.calibration));
  for (const TensorPlan& tensor : plan.tensors)
    artifact.profile.tensors.push_back({tensor.use.name, tensor.format, tensor.use.shape, {}});
  artifact.certificate_bytes = certificate_room(plan);
  return artifact;
}

/// A static profile promises a context; a model has none beyond what it was made for.
Result<void> check_limits(const ArtifactLimits& limits, const TextModelInfo& model) {
  if (!limits.is_static || model.max_positions <= 0 || limits.context_tokens <= model.max_positions) return {};
  return fail(Code::bad_request, cat("--context is ", limits.context_tokens, "; the model was made for at most ",
                                     model.max_positions, " tokens"));
}

/// A finite value that was stored as an infinite one.
Failure overflow(const SourceTensor& stored, const WeightFormat& format, const std::vector<float>& values) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return fail(Code::bad_file,
              cat(stored.file, ": tensor \"", stored.name, "\" has values up to ", largest, ", more than ", format.name,
                  " holds; a model with infinite weights gives no answers. Keep it in another format: --keep"));
}

/// One run of the compiler.
class Compiler {
 public:
  Compiler(const CompileRequest& request, Device& device, const std::function<void(const CompileProgress&)>& progress)
      : request_(request), device_(device), progress_(progress) {}

  Result<CompileReport> run();

 private:
  Result<void> calibrate();
  Result<void> check_weights() const;
  Result<void> write_all(ArtifactWriter& writer);
  Result<void> write_layers_by_gptq(WriteBehind& out);
  Result<void> write_tensor(std::size_t index, const float* inverse, WriteBehind& out);
  Result<void> encode_pieces(std::size_t index, const SourceTensor& stored, const float* inverse, WriteBehind& out);
  Result<void> copy_bytes(const SourceTensor& stored, std::size_t index, WriteBehind& out);
  Result<void> repack(const SourceTensor& stored, std::size_t index, WriteBehind& out);
  void report_progress(const std::string& what) {
    if (progress_) progress_({what, done_bytes_, report_.plan.source_bytes, seconds_since(start_)});
  }

  const CompileRequest& request_;
  Device& device_;
  const std::function<void(const CompileProgress&)>& progress_;
  CompileReport report_;
  InputStatistics statistics_;
  std::unique_ptr<TextModel> model_;  // on the device: for calibration
  std::optional<ErrorJournal> journal_;
  std::vector<bool> done_;
  std::vector<bool> written_;  // by the run that this one goes on from
  std::int64_t done_bytes_ = 0;
  Clock::time_point start_ = Clock::now();
};

Result<void> Compiler::calibrate() {
  if (request_.calibration.empty()) return {};
  const auto start = Clock::now();
  CORBEL_ASSIGN(model_, open_on(request_, device_));
  CORBEL_ASSIGN(statistics_, measure_inputs(*model_, device_, request_.calibration, [&](int done, int layers) {
                  if (progress_)
                    progress_({cat("calibration, layer ", done, " of ", layers), 0, report_.plan.source_bytes,
                               seconds_since(start)});
                  return !is_cancelled(request_);
                }));
  report_.calibration_seconds = seconds_since(start);
  return {};
}

/// Refuses the first tensor with NaN or infinite values.
Result<void> Compiler::check_weights() const {
  std::vector<float> values;
  for (const TensorPlan& tensor : report_.plan.tensors) {
    const auto stored = request_.source.tensors->find_shaped(tensor.use.name, tensor.use.shape);
    if (!stored) continue;
    const RowReader reader(*stored, device_);
    const std::int64_t most = piece_rows(reader.columns());
    for (std::int64_t first = 0; first < reader.rows(); first += most)
      CORBEL_TRY(reader.read(first, std::min(most, reader.rows() - first), values, Nonfinite::refuse));
  }
  return {};
}

Result<CompileReport> Compiler::run() {
  const bool gptq = request_.plan.method == QuantMethod::gptq;
  if (gptq && request_.calibration.empty()) return fail(Code::bad_request, "--method gptq needs a calibration text");
  const std::unique_ptr<Device> null = make_null_device();
  CORBEL_ASSIGN(const auto shape, open_on(request_, *null));
  CORBEL_TRY(check_limits(request_.limits, shape->info()));
  CORBEL_ASSIGN(report_.plan, plan_tensors(shape->info(), *request_.source.tensors, request_.plan));
  CORBEL_TRY(calibrate());
  if (request_.bits > 0.0)
    CORBEL_TRY(mix_bits(report_.plan, *request_.source.tensors, statistics_, request_.bits, device_));

  const ArtifactPlan artifact = artifact_plan(request_, report_.plan);
  CORBEL_ASSIGN(report_.file_bytes, planned_file_bytes(artifact));
  CORBEL_ASSIGN(ArtifactWriter writer, request_.resume ? ArtifactWriter::resume(request_.output, artifact)
                                                       : ArtifactWriter::create(request_.output, artifact));
  journal_.emplace(request_.output, request_.resume);
  start_ = Clock::now();
  const Result<void> written = write_all(writer);
  if (!written) {
    const bool keep = request_.resume && written.error().code == Code::cancelled;
    if (keep) writer.keep_partial();
    if (!keep) journal_->remove();
    return forward_failure(written);
  }
  CORBEL_TRY(writer.set_certificate(certificate_text(report_.tensors)));
  const Result<void> finished = writer.finish();
  journal_->remove();
  if (!finished) return forward_failure(finished);
  report_.encode_seconds = seconds_since(start_);
  return std::move(report_);
}

Result<void> Compiler::write_all(ArtifactWriter& writer) {
  report_.tensors.resize(report_.plan.tensors.size());
  done_.assign(report_.plan.tensors.size(), false);
  for (std::size_t i = 0; i < report_.plan.tensors.size(); ++i) written_.push_back(writer.is_written(i));
  const ThreadPool* const pool = device_.pool();
  WriteBehind out(writer, pool != nullptr && pool->threads() > 1);
  if (request_.plan.method == QuantMethod::gptq) CORBEL_TRY(write_layers_by_gptq(out));
  for (std::size_t i = 0; i < report_.plan.tensors.size(); ++i) {
    if (!done_[i]) CORBEL_TRY(write_tensor(i, nullptr, out));
  }
  return out.drain();
}

Result<void> Compiler::write_layers_by_gptq(WriteBehind& out) {
  std::map<std::string, InputProducts, std::less<>> products;
  Result<void> trouble;
  const InputWatch watch = [&](std::string_view input, const TensorView& rows) {
    auto found = products.find(input);
    if (found == products.end()) {
      auto made = InputProducts::make(rows.columns(), device_);
      if (!made) {
        trouble = forward_failure(made);
        return;
      }
      found = products.emplace(std::string(input), std::move(*made)).first;
    }
    found->second.add(rows);
  };
  const auto write_seen = [&]() -> Result<void> {
    if (!trouble) return trouble;
    for (auto& [input, sums] : products) {
      const float* inverse = nullptr;
      for (std::size_t i = 0; i < report_.plan.tensors.size(); ++i) {
        const TensorPlan& tensor = report_.plan.tensors[i];
        if (done_[i] || tensor.use.input != input) continue;
        const bool by_gptq = tensor.quantizes() && indexed_layout(*tensor.format) != nullptr;
        if (by_gptq && inverse == nullptr) {
          const auto inverted = sums.invert();
          // Weights that are not finite are to blame rather than the text.
          if (!inverted && !request_.allow_nonfinite) CORBEL_TRY(check_weights());
          if (!inverted) return forward_failure(inverted);
          inverse = *inverted;
        }
        CORBEL_TRY(write_tensor(i, by_gptq ? inverse : nullptr, out));
      }
    }
    products.clear();
    return {};
  };
  CORBEL_ASSIGN(CalibrationWalk walk, CalibrationWalk::start(*model_, device_, request_.calibration));
  while (walk.next_layer() < walk.layers()) {
    CORBEL_TRY(walk.run_layer(watch));
    CORBEL_TRY(write_seen());
  }
  CORBEL_TRY(walk.run_head(watch));
  return write_seen();
}

Result<void> Compiler::write_tensor(std::size_t index, const float* inverse, WriteBehind& out) {
  const TensorPlan& tensor = report_.plan.tensors[index];
  if (is_cancelled(request_)) return cancelled();
  const auto stored = request_.source.tensors->find_shaped(tensor.use.name, tensor.use.shape);
  if (!stored) return fail(Code::bad_file, cat("tensor \"", tensor.use.name, "\" is gone"));
  CompiledTensor& compiled = report_.tensors[index];
  compiled = {tensor.use.name, tensor.format, tensor.bytes, {}};
  done_[index] = true;
  const auto known = journal_->find(tensor.use.name);
  if (written_[index] && known) {
    compiled.errors = *known;
  } else {
    const bool quantized_already = tensor.source_format->packed != nullptr || tensor.source_format->block_values > 1;
    if (tensor.repacking != nullptr)
      CORBEL_TRY(repack(*stored, index, out));
    else if (tensor.format == tensor.source_format && quantized_already)
      CORBEL_TRY(copy_bytes(*stored, index, out));
    else
      CORBEL_TRY(encode_pieces(index, *stored, inverse, out));
    CORBEL_TRY(journal_->append(tensor.use.name, compiled.errors));
  }
  done_bytes_ += tensor.source_bytes;
  report_progress(tensor.use.name);
  return {};
}

Result<void> Compiler::copy_bytes(const SourceTensor& stored, std::size_t index, WriteBehind& out) {
  std::vector<std::byte> piece;
  for (std::size_t done = 0; done < stored.bytes.size() && !written_[index]; done += kPieceBytes) {
    if (is_cancelled(request_)) return cancelled();
    const auto part = stored.bytes.subspan(done, std::min(kPieceBytes, stored.bytes.size() - done));
    piece.assign(part.begin(), part.end());
    CORBEL_TRY(out.append(index, piece));
  }
  return {};
}

Result<void> Compiler::repack(const SourceTensor& stored, std::size_t index, WriteBehind& out) {
  const TensorPlan& tensor = report_.plan.tensors[index];
  const std::int64_t row_bytes = tensor.source_format->bytes(tensor.columns());
  const std::int64_t strip_size = strip_bytes(*tensor.format, tensor.columns());
  const std::int64_t most = std::max<std::int64_t>(1, static_cast<std::int64_t>(kPieceBytes) / strip_size);
  std::vector<std::byte> piece;
  const std::int64_t strips = packed_strips(tensor.rows());
  for (std::int64_t done = 0; done < strips && !written_[index]; done += most) {
    if (is_cancelled(request_)) return cancelled();
    piece.resize(static_cast<std::size_t>(std::min(most, strips - done) * strip_size));
    for_units(device_.pool(), std::min(most, strips - done), [&](std::int64_t strip) {
      const std::int64_t first = (done + strip) * kStripRows;
      const auto count = static_cast<int>(std::min(kStripRows, tensor.rows() - first));
      tensor.repacking->repack_strip(stored.bytes.data() + first * row_bytes, count, tensor.columns(),
                                     piece.data() + strip * strip_size);
    });
    CORBEL_TRY(out.append(index, piece));
  }
  return {};
}

Result<void> Compiler::encode_pieces(std::size_t index, const SourceTensor& stored, const float* inverse,
                                     WriteBehind& out) {
  const TensorPlan& tensor = report_.plan.tensors[index];
  const RowReader reader(stored, device_);
  const std::vector<float> importance =
      tensor.quantizes() ? statistics_.importance(tensor.use.input) : std::vector<float>();
  CORBEL_ASSIGN(MatrixEncoder encoder,
                MatrixEncoder::make(*tensor.format, tensor.columns(), request_.plan.method, importance, device_));
  std::optional<GptqEncoder> gptq;
  if (inverse != nullptr) {
    CORBEL_ASSIGN(gptq, GptqEncoder::make(*tensor.format, tensor.columns(), inverse, device_));
  }
  const Nonfinite nonfinite = request_.allow_nonfinite ? Nonfinite::zero : Nonfinite::refuse;
  std::vector<float> values;
  std::vector<std::byte> bytes;
  TensorErrors& errors = report_.tensors[index].errors;
  for (std::int64_t first = 0; first < tensor.rows(); first += piece_rows(tensor.columns())) {
    if (is_cancelled(request_)) return cancelled();
    const std::int64_t count = std::min(piece_rows(tensor.columns()), tensor.rows() - first);
    TensorView rows = gptq || !encoder.takes_bf16() ? TensorView() : reader.in_place(first, count);
    if (rows.empty()) {
      CORBEL_TRY(reader.read(first, count, values, nonfinite));
      rows = make_view(values.data(), {count, tensor.columns()});
    }
    if (gptq)
      gptq->encode(values, count, bytes, errors);
    else
      encoder.encode(rows, bytes, errors);
    if (!std::isfinite(errors.noise)) return overflow(stored, *tensor.format, values);
    if (!written_[index]) CORBEL_TRY(out.append(index, bytes));
  }
  return {};
}

}  // namespace

Result<CompilePlan> plan_compile(const CompileRequest& request, Device& device) {
  const std::unique_ptr<Device> null = make_null_device();
  CORBEL_ASSIGN(const auto shape, open_on(request, *null));
  CORBEL_TRY(check_limits(request.limits, shape->info()));
  CORBEL_ASSIGN(CompilePlan plan, plan_tensors(shape->info(), *request.source.tensors, request.plan));
  if (request.bits > 0.0) {
    InputStatistics statistics;
    if (!request.calibration.empty()) {
      CORBEL_ASSIGN(const auto model, open_on(request, device));
      CORBEL_ASSIGN(statistics, measure_inputs(*model, device, request.calibration, {}));
    }
    CORBEL_TRY(mix_bits(plan, *request.source.tensors, statistics, request.bits, device));
  }
  return plan;
}

Result<std::int64_t> planned_bytes(const CompileRequest& request, const CompilePlan& plan) {
  return planned_file_bytes(artifact_plan(request, plan));
}

Result<CompileReport> compile_model(const CompileRequest& request, Device& device,
                                    const std::function<void(const CompileProgress&)>& progress) {
  return Compiler(request, device, progress).run();
}

std::string certificate_text(const std::vector<CompiledTensor>& tensors) {
  Json list = Json::array();
  for (const CompiledTensor& tensor : tensors) {
    Json entry = {{"name", tensor.name}, {"format", std::string(tensor.format->name)}};
    if (tensor.errors.noise > 0.0) entry["sqnr_db"] = std::round(tensor.errors.sqnr_db() * 1000.0) / 1000.0;
    list.push_back(std::move(entry));
  }
  return Json({{"tensors", std::move(list)}}).dump();
}

}  // namespace corbel
