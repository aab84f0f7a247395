#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/device_setup.h"
#include "corbel/compile/compile.h"

namespace corbel::app {

/// What `corbel compile` was asked for, in its own words.
struct CompileFlags {
  std::vector<std::string> models;  // positional
  std::string output;
  std::string quant, method, calibration, report_file;
  std::optional<std::int64_t> group, context, ranks;
  std::optional<double> bits;
  std::vector<std::string> keep;
  std::string target;
  bool dry_run = false, resume = false, force = false, json = false, allow_nonfinite = false;
  // Spellings of TPU toolchains.
  std::string model_path, quantize, chip;
  std::optional<std::int64_t> sequence_length, devices, chunk_group, input_length;
  bool dynamic = false, block_with_kv = false;
  DeviceChoice device;

  void add_to(CommandLine& line);
};

/// The flags with the toolchain's spellings turned into Corbel's, and what the two together mean.
struct CompileWishes {
  std::string model, output, quant = "auto";
  std::int64_t group = 0;
  QuantMethod method = QuantMethod::search;
  const WeightFormat* activations = nullptr;  // promised by w4bf16 and its like
  ArtifactLimits limits;
  std::vector<std::string> notes;
};

/// Refused (wrong usage), naming both flags: combinations that contradict each other; unknown chips; ranges. The rules
/// of the toolchain's flags stand in docs/compile.md.
Result<CompileWishes> read_wishes(const CompileFlags& flags);

}  // namespace corbel::app
