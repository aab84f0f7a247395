// A golden that is accepted has inputs and outputs that can be used without another look.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>

#include "corbel/verify/golden.h"

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}

void check(const corbel::Golden& golden) {
  const auto tokens = static_cast<std::int32_t>(golden.prompt().size());
  require(tokens > 0 && !golden.greedy().empty());
  require(golden.positions().size() == golden.prompt().size());
  for (const std::int32_t row : golden.rows()) require(row >= 0 && row < tokens);
  require(golden.greedy_frozen().empty() || golden.rope_length() > 0);
  float sum = 0.0F;
  for (const char* name : {"logits", "logits_at_columns", "model.norm", "a"}) {
    const auto values = golden.find(name);
    if (!values) continue;
    require(values->columns > 0 && values->numbers.size() % static_cast<std::size_t>(values->columns) == 0);
    for (const float number : values->numbers) sum += number;
  }
  volatile float keep = sum;
  (void)keep;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Goldens are mapped files: each input becomes one, in memory where the system has that.
  static const std::string path = "/dev/shm/corbel_golden_fuzz_" + std::to_string(getpid());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  file.close();
  const auto golden = corbel::Golden::open(path);
  if (golden) {
    check(*golden);
  } else {
    require(!golden.error().message.empty());
  }
  std::remove(path.c_str());
  return 0;
}
