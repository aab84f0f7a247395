#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/compile_flags.h"
#include "apps/compile_source.h"
#include "apps/environment.h"
#include "apps/number_text.h"
#include "apps/table.h"
#include "apps/terminal.h"
#include "corbel/base/mapped_file.h"
#include "corbel/compile/compile.h"
#include "corbel/engine/memory_plan.h"
#include "corbel/format/model_package.h"
#include "corbel/model/model_list.h"

namespace corbel::app {

int run_compile(const std::vector<std::string>& arguments);

namespace {

/// Checkpoint bytes per second and core, measured; for the estimate before anything has run (docs/compile.md).
double bytes_per_second(QuantMethod method) {
  switch (method) {
    case QuantMethod::fast: return 400e6;
    case QuantMethod::search: return 110e6;
    case QuantMethod::gptq: return 5e6;
  }
  return 110e6;
}

std::string shape_text(const Shape& shape) { return to_string(shape); }

std::string decibels(const TensorErrors& errors) {
  return errors.noise > 0.0 ? format("%.2f", errors.sqnr_db()) : "exact";
}

/// What lies between the flags and the library.
struct CompileJob {
  CompileWishes wishes;
  OpenDevice device;
  std::shared_ptr<const ModelPackage> package;
  CompileRequest request;
};

Result<CalibrationTokens> read_calibration(const CompileFlags& flags, const CompileWishes& wishes,
                                           const ModelPackage& package) {
  const bool built_in =
      flags.calibration == "builtin" || (flags.calibration.empty() && wishes.method == QuantMethod::gptq);
  if (flags.calibration == "none" && wishes.method == QuantMethod::gptq)
    return fail(Code::bad_request, "--method gptq needs a calibration text; --calibration none takes it away");
  if (!built_in && (flags.calibration.empty() || flags.calibration == "none")) return CalibrationTokens();
  CORBEL_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(package.files()));
  if (built_in) return calibration_tokens(built_in_calibration_text(), "the built-in text", tokenizer);
  CORBEL_ASSIGN(const MappedFile file, MappedFile::open(flags.calibration));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  return calibration_tokens(text, flags.calibration, tokenizer);
}

Result<void> fill_request(const CompileFlags& flags, CompileJob& job) {
  CompileRequest& request = job.request;
  const CompileWishes& wishes = job.wishes;
  CORBEL_ASSIGN(request.plan.quant, find_quant(wishes.quant, wishes.group));
  for (const std::string& rule : flags.keep) {
    CORBEL_ASSIGN(KeepRule parsed, parse_keep_rule(rule));
    request.plan.keep.push_back(std::move(parsed));
  }
  request.plan.method = wishes.method;
  request.plan.force = flags.force;
  request.plan.activations = wishes.activations;
  request.bits = flags.bits.value_or(0.0);
  request.limits = wishes.limits;
  request.families = linked_model_families();
  request.written_by = "corbel " CORBEL_VERSION;
  request.settings = {{"quant", wishes.quant}, {"method", std::string(quant_method_name(wishes.method))}};
  if (wishes.group > 0) request.settings["group"] = std::to_string(wishes.group);
  if (flags.bits) request.settings["bits"] = format("%g", *flags.bits);
  request.kv_cache = flags.device.chosen_kv_cache();
  if (request.kv_cache) request.settings["kv_cache"] = flags.device.kv_cache;
  request.allow_nonfinite = flags.allow_nonfinite;
  request.output = wishes.output;
  request.resume = flags.resume;
  request.cancel = &interrupted();
  return {};
}

/// A model that is one file would be gone.
Result<void> check_output(const CompileWishes& wishes, const ModelPackage& package) {
  std::error_code error;
  if (!std::filesystem::equivalent(wishes.output, split_profile(package.description()).path, error) || error) return {};
  return fail(Code::bad_request, cat("-o ", wishes.output, " is the model itself; give the artifact another name"));
}

/// Found before an hour of work rather than after it.
Result<void> check_report_file(const CompileFlags& flags) {
  if (flags.report_file.empty()) return {};
  const std::filesystem::path path(flags.report_file);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::error_code error;
  if (std::filesystem::is_directory(folder, error) && !std::filesystem::is_directory(path, error)) return {};
  return fail(Code::bad_file,
              cat("cannot write --report ", path.string(), ": expected a file in a folder that exists"));
}

/// What an artifact that is compiled anew was made for holds for the new one, too, unless flags say otherwise.
Result<void> keep_profile(const CompileFlags& flags, CompileJob& job) {
  const ArtifactProfile* const profile = job.package->profile();
  if (profile == nullptr) return {};
  CompileRequest& request = job.request;
  const bool is_asked = request.limits.is_static || flags.dynamic || flags.block_with_kv;
  if (profile->limits.is_static && !is_asked) {
    request.limits = profile->limits;
    job.wishes.notes.push_back(cat("a static profile of ", profile->limits.context_tokens, " tokens, as ",
                                   job.package->name(), " is one; --dynamic takes its limits away"));
  }
  if (request.kv_cache) return {};
  CORBEL_ASSIGN(const ModelOptions options, with_profile(*job.package, {}));
  request.kv_cache = options.kv_cache;
  if (request.kv_cache) request.settings["kv_cache"] = profile->settings.find("kv_cache")->second;
  return {};
}

Result<void> open_job(const CompileFlags& flags, CompileJob& job) {
  CORBEL_ASSIGN(job.device, open_device(flags.device));
  CORBEL_ASSIGN(job.package, find_package(job.wishes.model));
  CORBEL_TRY(check_output(job.wishes, *job.package));
  CORBEL_TRY(check_report_file(flags));
  if (const Artifact* artifact = job.package->artifact(); artifact != nullptr && !flags.dry_run)
    CORBEL_TRY(artifact->check());  // damage must not get new checksums
  CORBEL_TRY(keep_profile(flags, job));
  CORBEL_ASSIGN(job.request.source, open_compile_source(*job.package));
  CORBEL_ASSIGN(job.request.calibration, read_calibration(flags, job.wishes, *job.package));
  if (!job.request.calibration.empty())
    job.request.settings["calibration"] =
        flags.calibration.empty() || flags.calibration == "builtin" ? "builtin" : "text";
  if (const auto tokenizer = Tokenizer::load(job.package->files()); !tokenizer)
    job.wishes.notes.push_back(cat("the artifact will know no text: ", tokenizer.error().message));
  return {};
}

double estimate_seconds(const CompilePlan& plan, QuantMethod method, int threads) {
  double seconds = static_cast<double>(plan.bytes) / 1e9;
  for (const TensorPlan& tensor : plan.tensors) {
    if (tensor.quantizes()) seconds += static_cast<double>(tensor.source_bytes) / bytes_per_second(method) / threads;
  }
  return seconds;
}

Json plan_json(const CompilePlan& plan, std::int64_t file_bytes, double seconds) {
  Json tensors = Json::array();
  for (const TensorPlan& tensor : plan.tensors) {
    tensors.push_back({{"name", tensor.use.name},
                       {"shape", shape_text(tensor.use.shape)},
                       {"from", std::string(tensor.source_format->name)},
                       {"format", std::string(tensor.format->name)},
                       {"bytes", tensor.bytes},
                       {"reason", tensor.reason}});
  }
  return {{"source_bytes", plan.source_bytes},
          {"file_bytes", file_bytes},
          {"bits_per_weight", plan.bits_per_weight()},
          {"kv_bytes_per_token", plan.kv_bytes_per_token},
          {"estimated_seconds", seconds},
          {"left_out", plan.left_out},
          {"notes", plan.notes},
          {"tensors", std::move(tensors)}};
}

std::string plan_text(const CompilePlan& plan, std::int64_t file_bytes, double seconds) {
  Table table({"tensor", "shape", "from", "to", ">bytes", ">bits", ""});
  for (const TensorPlan& tensor : plan.tensors) {
    table.row(
        {tensor.use.name, shape_text(tensor.use.shape), std::string(tensor.source_format->name),
         std::string(tensor.format->name), std::to_string(tensor.bytes),
         format("%.3f", 8.0 * static_cast<double>(tensor.bytes) / static_cast<double>(tensor.use.shape.elements())),
         tensor.reason});
  }
  std::string text = table.text();
  text += "\n" + field_line("file", cat(bytes_text(file_bytes), " of ", bytes_text(plan.source_bytes)));
  text += field_line("bits per weight", format("%.3f", plan.bits_per_weight()));
  text += field_line("KV cache", cat(plan.kv_bytes_per_token, " bytes per token"));
  text += field_line("about", duration_text(seconds));
  for (const std::string& name : plan.left_out) text += field_line("left out", name);
  return text;
}

void show_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) print_error_text(cat("note: ", note, "\n"));
}

int dry_run(const CompileFlags& flags, CompileJob& job) {
  const auto plan = plan_compile(job.request, *job.device.device);
  if (!plan) return report(plan.error());
  const auto bytes = planned_bytes(job.request, *plan);
  if (!bytes) return report(bytes.error());
  const double seconds = estimate_seconds(*plan, job.wishes.method, job.device.device->info().threads);
  show_notes(plan->notes);
  return print(flags.json ? plan_json(*plan, *bytes, seconds).dump(2) + "\n" : plan_text(*plan, *bytes, seconds))
             ? kOk
             : kFailed;
}

Json report_json(const CompileJob& job, const CompileReport& done) {
  Json tensors = Json::array();
  for (const CompiledTensor& tensor : done.tensors) {
    Json entry = {{"name", tensor.name}, {"format", std::string(tensor.format->name)}, {"bytes", tensor.bytes}};
    if (tensor.errors.noise > 0.0) {
      entry["sqnr_db"] = tensor.errors.sqnr_db();
      entry["weighted_sqnr_db"] = 10.0 * std::log10(tensor.errors.weighted_signal / tensor.errors.weighted_noise);
    }
    tensors.push_back(std::move(entry));
  }
  return {{"file", job.wishes.output},
          {"file_bytes", done.file_bytes},
          {"source_bytes", done.plan.source_bytes},
          {"bits_per_weight", done.plan.bits_per_weight()},
          {"method", std::string(quant_method_name(job.wishes.method))},
          {"calibration_seconds", done.calibration_seconds},
          {"encode_seconds", done.encode_seconds},
          {"peak_memory_bytes", peak_memory_bytes()},
          {"notes", done.plan.notes},
          {"tensors", std::move(tensors)}};
}

/// By format: how many tensors, bytes, the range of SQNR.
std::string report_text(const CompileJob& job, const CompileReport& done) {
  Table table({"format", ">tensors", ">bytes", ">SQNR", ">worst", "tensor"});
  for (const WeightFormat* format : weight_formats()) {
    std::int64_t count = 0;
    std::int64_t bytes = 0;
    TensorErrors all;
    const CompiledTensor* worst = nullptr;
    for (const CompiledTensor& tensor : done.tensors) {
      if (tensor.format != format) continue;
      ++count;
      bytes += tensor.bytes;
      all.add(tensor.errors);
      if (worst == nullptr || tensor.errors.sqnr_db() < worst->errors.sqnr_db()) worst = &tensor;
    }
    if (count == 0) continue;
    const bool exact = !(all.noise > 0.0);
    table.row({std::string(format->name), std::to_string(count), bytes_text(bytes), decibels(all),
               exact ? "" : decibels(worst->errors), exact ? "" : worst->name});
  }
  const double seconds = done.encode_seconds;
  return cat(table.text(), "\n", job.wishes.output, ": ", bytes_text(done.file_bytes), ", ",
             format("%.3f", done.plan.bits_per_weight()), " bits per weight, in ", duration_text(seconds), " (",
             format("%.0f", static_cast<double>(done.plan.source_bytes) / 1e6 / std::max(seconds, 1e-3)), " MB/s)\n");
}

/// One line on a terminal, rewritten as it goes.
class ProgressLine {
 public:
  void show(const CompileProgress& progress) {
    if (!errors_are_terminal()) return;
    std::string line = progress.what;
    if (progress.done_bytes > 0) {
      const double rate = static_cast<double>(progress.done_bytes) / std::max(progress.seconds, 1e-3);
      line = cat(100 * progress.done_bytes / std::max<std::int64_t>(1, progress.total_bytes), "%  ",
                 format("%.0f", rate / 1e6), " MB/s  ",
                 duration_text(static_cast<double>(progress.total_bytes - progress.done_bytes) / rate), " left  ",
                 progress.what);
    }
    print_error_text(cat("\r\x1b[K", line));
    shown_ = true;
  }
  ~ProgressLine() {
    if (shown_) print_error_text("\r\x1b[K");
  }

 private:
  bool shown_ = false;
};

int write_artifact(const CompileFlags& flags, CompileJob& job) {
  catch_interrupts();
  Result<CompileReport> done = [&] {
    ProgressLine line;
    return compile_model(job.request, *job.device.device,
                         [&](const CompileProgress& progress) { line.show(progress); });
  }();
  if (!done && done.error().code == Code::cancelled) {
    print_error(flags.resume ? "interrupted; the same command goes on from here"
                             : "interrupted; nothing was written (with --resume a run can be continued)");
    return kInterrupted;
  }
  if (!done) return report(done.error());
  show_notes(done->plan.notes);
  if (!flags.report_file.empty()) {
    std::ofstream file(flags.report_file);
    file << report_json(job, *done).dump(2) << "\n" << std::flush;
    if (!file) {
      print_error(cat("cannot write ", flags.report_file));
      return kFailed;
    }
  }
  return print(flags.json ? report_json(job, *done).dump(2) + "\n" : report_text(job, *done)) ? kOk : kFailed;
}

int usage(const Error& error) {
  print_error(error.message);
  return error.code == Code::bad_request ? kWrongUsage : kFailed;
}

}  // namespace

int run_compile(const std::vector<std::string>& arguments) {
  CompileFlags flags;
  CommandLine line("compile", "Turns a checkpoint into one quantized artifact, FILE.corbel.");
  flags.add_to(line);
  if (const auto code = line.parse(arguments)) return *code;
  CompileJob job;
  auto wishes = read_wishes(flags);
  if (!wishes) return usage(wishes.error());
  job.wishes = *std::move(wishes);
  if (const auto filled = fill_request(flags, job); !filled) return usage(filled.error());
  if (const auto valid = flags.device.validate(); !valid) return usage(valid.error());
  if (const auto opened = open_job(flags, job); !opened) return report(opened.error());
  show_notes(job.wishes.notes);
  return flags.dry_run ? dry_run(flags, job) : write_artifact(flags, job);
}

}  // namespace corbel::app
