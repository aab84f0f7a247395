#pragma once
#include <filesystem>
#include <string>

#include "corbel/base/result.h"
#include "corbel/device/tuning.h"

/// What `corbel tune` found, kept beside the cache of packed models, a file for each processor, device, level and
/// number of threads.
namespace corbel::app {

/// Empty without a cache folder. `level` is empty where the device chooses.
std::filesystem::path tuning_file(const std::string& device, const std::string& level, int threads);

/// What the file says; nothing where there is none. A file that cannot be read is passed over, with a line in the log.
Tuning load_tuning(const std::filesystem::path& file);

/// The folder that `file` will be in, so that a place where nothing can be kept is known before anything is measured.
Result<void> make_tuning_folder(const std::filesystem::path& file);

Result<void> save_tuning(const std::filesystem::path& file, const Tuning& tuning);

/// "AMD EPYC 9R14", from /proc/cpuinfo; else the machine's architecture.
std::string processor_name();

}  // namespace corbel::app
