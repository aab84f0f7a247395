#include "corbel/device/device.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "corbel/device/run_context.h"

namespace corbel {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

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

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(release_, other.release_);
  return *this;
}

DeviceMemory::~DeviceMemory() {
  if (data_ != nullptr && release_ != nullptr) release_(data_, bytes_);
}

Result<DeviceMemory> allocate_host_memory(std::size_t bytes) {
  if (bytes == 0) return DeviceMemory();
  // Room to move the start to a huge page's border, so that the kernel can back the block with them.
  const bool large = bytes >= kHugePage;
  const std::size_t reserved = large ? bytes + kHugePage : bytes;
  void* raw = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return fail(Code::no_memory, cat("cannot map ", bytes, " bytes: ", std::strerror(errno)));
  auto* begin = static_cast<std::byte*>(raw);
  if (!large) return DeviceMemory(begin, bytes, [](std::byte* data, std::size_t size) { munmap(data, size); });

  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t skip = (kHugePage - address % kHugePage) % kHugePage;
  if (skip > 0) munmap(begin, skip);
  begin += skip;
  if (const std::size_t tail = reserved - skip - bytes; tail >= 4096) {
    const std::size_t kept = (bytes + 4095) / 4096 * 4096;
    if (reserved - skip > kept) munmap(begin + kept, reserved - skip - kept);
  }
  madvise(begin, bytes, MADV_HUGEPAGE);  // advice: failing only costs speed
  return DeviceMemory(begin, bytes,
                      [](std::byte* data, std::size_t size) { munmap(data, (size + 4095) / 4096 * 4096); });
}

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
