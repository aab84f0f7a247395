#include "corbel/device/device.h"

#include "corbel/device/run_context.h"

namespace corbel {
namespace {

class ReferenceDevice final : public Device {
 public:
  ReferenceDevice() : Device({.name = "reference"}, MissingOps::reference) {
    // Filled rather than left empty, so that nothing is logged as missing.
    for_each_op([this]<typename Op>() {
      table_.entry<Op>().prepare = [](const typename Op::Spec& spec, const Device&) -> Result<Prepared<Op>> {
        return Prepared<Op>(spec, run_reference<Op>);
      };
    });
  }
};

template <typename Op>
void run_nothing(const Prepared<Op>&, const typename Op::Args&, RunContext&) noexcept {}

class NullDevice final : public Device {
 public:
  NullDevice() : Device({.name = "null"}, MissingOps::strict) {
    for_each_op([this]<typename Op>() {
      table_.entry<Op>().prepare = [](const typename Op::Spec& spec, const Device&) -> Result<Prepared<Op>> {
        return Prepared<Op>(spec, run_nothing<Op>);
      };
    });
  }
};

}  // namespace

Result<void> Device::refuse_or_log_missing(std::string_view op) const {
  if (missing_ == MissingOps::strict) {
    return fail(Code::unsupported, cat("device \"", info_.name, "\" has no op \"", op,
                                       "\"; run with --missing-ops reference to run this op on the host"));
  }
  log(LogLevel::warning, cat("missing_op device=", info_.name, " op=", op, " runs=reference"));
  return {};
}

std::unique_ptr<Device> make_reference_device() { return std::make_unique<ReferenceDevice>(); }

std::unique_ptr<Device> make_null_device() { return std::make_unique<NullDevice>(); }

}  // namespace corbel
