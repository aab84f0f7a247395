// Any bytes as an artifact: opened, everything that it says looked at, checked; what opens must stay inside the file.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "corbel/format/model_package.h"

namespace {

using namespace corbel;

/// The file that every input is written to: in memory, so that nothing wears out.
const std::filesystem::path& input_path() {
  static const int descriptor = memfd_create("artifact.corbel", 0);
  static const std::filesystem::path path = cat("/proc/self/fd/", descriptor);
  return path;
}

void put(const std::uint8_t* data, std::size_t size) {
  const int descriptor = open(input_path().c_str(), O_WRONLY | O_TRUNC);
  if (descriptor < 0 || write(descriptor, data, size) != static_cast<ssize_t>(size)) std::abort();
  close(descriptor);
}

void look_at(const Artifact& artifact) {
  std::size_t sum = 0;
  const std::span<const std::byte> file = artifact.file().bytes();
  for (const ArtifactProfile& profile : artifact.manifest().profiles) {
    const auto tensors = artifact.tensors(profile);
    for (const std::string& name : tensors->names()) {
      const auto tensor = tensors->find(name);
      if (!tensor) std::abort();
      if (tensor->bytes.data() < file.data() || tensor->bytes.data() + tensor->bytes.size() > file.data() + file.size())
        std::abort();
      for (const std::byte byte : tensor->bytes) sum += std::to_integer<std::size_t>(byte);
      if (tensor->shape.rank() == 2 && tensor->shape[0] > 0 && tensor->shape[1] > 0 && tensor->shape[1] < 4096) {
        std::vector<float> row(static_cast<std::size_t>(tensor->shape[1]));
        tensor->format->decode_row(tensor->bytes.data(), tensor->shape[1], tensor->shape[0] - 1, row.data());
      }
    }
    const auto files = artifact.files(profile);
    for (const std::string& name : files->names()) {
      const auto found = files->find(name, NamedFiles::kMostBytes);
      if (!found || !*found) std::abort();
      sum += std::string((*found)->text()).size();
    }
    sum += std::string(artifact.certificate(profile)).size();
  }
  if (sum == 1) return;  // keeps the reading
  static_cast<void>(artifact.check());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  put(data, size);
  if (const auto artifact = Artifact::open(input_path())) look_at(**artifact);
  return 0;
}
