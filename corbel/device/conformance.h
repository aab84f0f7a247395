#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "corbel/device/device.h"

/// Every op of a device against the op's reference, case by case: which op is wrong, by how much, at which shape.
namespace corbel {

/// One element that differs.
struct WorstElement {
  std::int64_t output = 0;  // which of the case's compared blocks
  std::int64_t index = 0;   // flat, within the block
  double expected = 0.0;
  double found = 0.0;
  std::uint64_t ulps = 0;  // steps between the two in the element's type; bytes: their difference
};

/// One case on one device.
struct ConformanceRow {
  std::string device;  // DeviceInfo::profile()
  int threads = 1;
  std::string_view op;
  std::string case_name;
  bool ok = false;
  bool by_reference = false;  // the device lacks the op: nothing was tried
  std::string problem;        // what is wrong besides values: a refusal, a touched guard, a changed input
  std::int64_t wrong_elements = 0;
  WorstElement worst;  // when wrong_elements > 0
};

/// "linear cpu/v3 threads=2 in=17 ...: 3 of its elements differ, worst: output 0 element 5: expected 1.5, found 1.25
/// (2097152 ulps)"
std::string to_string(const ConformanceRow& row);

struct ConformanceSummary {
  std::int64_t cases = 0;  // run on a kernel
  std::int64_t failed = 0;
  std::int64_t by_reference = 0;
};

struct ConformanceSettings {
  CaseScale scale = CaseScale::quick;
  /// Only this op; empty: all.
  std::string_view only_op;
  /// Called after every case on every device; may be empty.
  std::function<void(const ConformanceRow&)> report;
};

/// Runs every case of every op on each of the devices, which read and write host memory, and compares byte by byte
/// with the reference, computed once for all of them. Two NaNs are equal, whatever their bits: which NaN an operation
/// gives is no part of a contract. Also looked at: bytes around every block, and inputs, which must stay as they were.
ConformanceSummary run_conformance(std::span<Device* const> devices, const ConformanceSettings& settings);

}  // namespace corbel
