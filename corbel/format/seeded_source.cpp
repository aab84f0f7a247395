#include "corbel/format/seeded_source.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include "corbel/format/gguf_random.h"
#include "corbel/format/packed_format.h"
#include "corbel/format/seeded_weights.h"

namespace corbel {
namespace {

/// Both processors of a small machine earn their keep from here on.
constexpr std::size_t kThreadedBytes = std::size_t{8} << 20;

void fill(const SeededTensor& tensor, std::span<std::byte> bytes) {
  const auto element = static_cast<std::size_t>(dtype_bytes(tensor.dtype));
  if (bytes.size() < kThreadedBytes) return fill_seeded(tensor, 0, bytes);
  const std::size_t half = bytes.size() / 2 / element * element;
  std::thread second([&] { fill_seeded(tensor, static_cast<std::int64_t>(half / element), bytes.subspan(half)); });
  fill_seeded(tensor, 0, bytes.first(half));
  second.join();
}

const WeightFormat& rows_of(DType dtype) {
  if (dtype == DType::f32) return f32_format();
  return dtype == DType::f16 ? f16_format() : bf16_format();
}

/// The first 16 rows of the tensor in `format`, again and again.
void fill_packed(std::uint64_t seed, std::string_view name, const Shape& shape, const WeightFormat& format,
                 std::span<std::byte> bytes) {
  const std::int64_t rows = std::min(kStripRows, shape[0]);
  const std::array<std::int64_t, 2> sizes{rows, shape[1]};
  if (!format.can_encode()) {
    fill_random_strips(format, rows, shape[1], 0.05F, seed, bytes.data());
  } else {
    std::vector<float> values(static_cast<std::size_t>(rows * shape[1]));
    fill_seeded({.seed = seed, .name = name, .dtype = DType::f32, .shape = sizes}, 0,
                std::as_writable_bytes(std::span(values)));
    format.encode_matrix(values.data(), rows, shape[1], bytes.data());
  }
  const auto strip = static_cast<std::size_t>(strip_bytes(format, shape[1]));
  for (std::size_t done = strip; done < bytes.size(); done += strip)
    std::memcpy(bytes.data() + done, bytes.data(), strip);
}

}  // namespace

SeededSource::SeededSource(std::uint64_t seed, DType dtype, std::vector<std::string> optional_endings,
                           SeededFormats formats)
    : seed_(seed), dtype_(dtype), optional_endings_(std::move(optional_endings)), formats_(formats) {}

const WeightFormat& SeededSource::format_of(std::string_view name, const Shape& shape) const {
  const bool table = name.ends_with("embed_tokens.weight") || name.ends_with("lm_head.weight");
  const WeightFormat* wanted = table ? formats_.tables : formats_.matrices;
  return shape.rank() == 2 && wanted != nullptr ? *wanted : rows_of(dtype_);
}

bool SeededSource::has(std::string_view name) const {
  const bool optional = name.ends_with(".bias") || name == "lm_head.weight";
  return !optional || std::any_of(optional_endings_.begin(), optional_endings_.end(),
                                  [&](const std::string& ending) { return name.ends_with(ending); });
}

SourceTensor SeededSource::view(const std::string& name, const Made& made) const {
  return {name, made.format, made.shape, {made.memory.data(), made.memory.bytes()}, description()};
}

std::optional<SourceTensor> SeededSource::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto made = made_.find(name);
  if (made == made_.end()) return std::nullopt;
  return view(made->first, made->second);
}

std::optional<SourceTensor> SeededSource::find_shaped(std::string_view name, const Shape& wanted) const {
  if (auto known = find(name)) return known;
  const WeightFormat& format = format_of(name, wanted);
  const bool packed = format.packed != nullptr;
  auto memory = allocate_host_memory(static_cast<std::size_t>(packed ? format.matrix_bytes(wanted[0], wanted[1])
                                                                     : wanted.elements() * dtype_bytes(dtype_)));
  if (!memory) return std::nullopt;
  const std::span<std::byte> bytes(memory->data(), memory->bytes());
  if (packed) {
    fill_packed(seed_, name, wanted, format, bytes);
  } else {
    std::array<std::int64_t, Shape::kMaxRank> sizes{};
    for (int axis = 0; axis < wanted.rank(); ++axis) sizes[axis] = wanted[axis];
    const std::span<const std::int64_t> shape(sizes.data(), static_cast<std::size_t>(wanted.rank()));
    fill({.seed = seed_, .name = name, .dtype = dtype_, .shape = shape}, bytes);
  }
  const std::lock_guard lock(mutex_);
  const auto made = made_.emplace(std::string(name), Made{&format, wanted, std::move(*memory)}).first;
  return view(made->first, made->second);
}

std::vector<std::string> SeededSource::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& entry : made_) names.push_back(entry.first);
  return names;
}

std::string SeededSource::description() const { return cat("seeded weights (seed ", seed_, ")"); }

}  // namespace corbel
