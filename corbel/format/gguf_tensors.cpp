#include "corbel/format/gguf_tensors.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>

#include "corbel/base/log.h"
#include "corbel/base/quote.h"
#include "corbel/format/gguf_rows.h"

namespace corbel {
namespace {

/// Number formats by their number on disk.
struct StoredType {
  std::uint32_t number;
  std::string_view name;
  const WeightFormat& (*format)();  // null: not read
};
constexpr StoredType kTypes[] = {
    {0, "F32", f32_format},    {1, "F16", f16_format},        {2, "Q4_0", q4_0_format},      {3, "Q4_1", q4_1_format},
    {6, "Q5_0", q5_0_format},  {7, "Q5_1", q5_1_format},      {8, "Q8_0", q8_0_format},      {9, "Q8_1", nullptr},
    {10, "Q2_K", nullptr},     {11, "Q3_K", nullptr},         {12, "Q4_K", q4_k_format},     {13, "Q5_K", q5_k_format},
    {14, "Q6_K", q6_k_format}, {15, "Q8_K", nullptr},         {16, "IQ2_XXS", nullptr},      {17, "IQ2_XS", nullptr},
    {18, "IQ3_XXS", nullptr},  {19, "IQ1_S", nullptr},        {20, "IQ4_NL", iq4_nl_format}, {21, "IQ3_S", nullptr},
    {22, "IQ2_S", nullptr},    {23, "IQ4_XS", iq4_xs_format}, {24, "I8", nullptr},           {25, "I16", nullptr},
    {26, "I32", nullptr},      {27, "I64", nullptr},          {28, "F64", nullptr},          {29, "IQ1_M", nullptr},
    {30, "BF16", bf16_format}, {34, "TQ1_0", nullptr},        {35, "TQ2_0", nullptr},        {39, "MXFP4", nullptr},
    {40, "NVFP4", nullptr},    {41, "Q1_0", nullptr},
};

Result<const WeightFormat*> find_type(std::uint32_t number) {
  std::string known;
  std::string found = cat("number ", number);
  for (const StoredType& type : kTypes) {
    if (type.number == number && type.format != nullptr) return &type.format();
    if (type.number == number) found = std::string(type.name);
    if (type.format != nullptr) known += cat(known.empty() ? "" : ", ", type.name);
  }
  return fail(Code::unsupported, cat("has the type ", found, "; known: ", known));
}

struct Renaming {
  std::string_view gguf;
  std::string_view hf;
};
constexpr Renaming kModules[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
};
constexpr Renaming kLayerModules[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
};
constexpr std::string_view kLayerPrefix = "blk.";
constexpr std::string_view kHfLayerPrefix = "model.layers.";

std::string_view counterpart(std::span<const Renaming> table, std::string_view module) {
  for (const Renaming& entry : table)
    if (entry.gguf == module) return entry.hf;
  return {};
}

/// The number after "blk." and the rest behind its dot; -1 where there is none.
std::pair<std::int64_t, std::string_view> split_layer(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {-1, name};
  const std::string_view rest = name.substr(prefix.size());
  std::int64_t layer = -1;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  const auto digits = static_cast<std::size_t>(end - rest.data());
  const bool plain = error == std::errc() && digits < rest.size() && rest[digits] == '.' && rest[0] != '-' &&
                     (rest[0] != '0' || digits == 1);
  if (!plain) return {-1, name};
  return {layer, rest.substr(digits + 1)};
}

/// Sizes in our order; refused are none, zeros, and products that a file cannot hold.
Result<Shape> read_shape(const GgufTensor& tensor) {
  constexpr std::uint64_t kMostElements = std::uint64_t{1} << 46;
  std::uint64_t elements = 1;
  std::vector<std::int64_t> sizes;
  for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
    if (*size == 0 || *size > kMostElements || __builtin_mul_overflow(elements, *size, &elements) ||
        elements > kMostElements) {
      return fail(Code::bad_file,
                  cat("has the size ", *size, "; sizes must be positive and their product at most ", kMostElements));
    }
    sizes.push_back(static_cast<std::int64_t>(*size));
  }
  if (sizes.empty()) return fail(Code::bad_file, "has no size; at least one dimension is expected");
  // Files may carry trailing dimensions of one.
  while (sizes.size() > 2 && sizes.front() == 1) sizes.erase(sizes.begin());
  return Shape(sizes);
}

Result<SourceTensor> read_tensor(const GgufPart& part, const GgufTensor& tensor) {
  SourceTensor made;
  CORBEL_ASSIGN(made.format, find_type(tensor.type));
  CORBEL_ASSIGN(made.shape, read_shape(tensor));
  const std::int64_t columns = made.shape[made.shape.rank() - 1];
  if (columns % made.format->block_values != 0) {
    return fail(Code::bad_file, cat("is ", made.format->name, ' ', made.shape, "; rows must be whole blocks of ",
                                    made.format->block_values));
  }
  const auto bytes = static_cast<std::uint64_t>(made.format->bytes(made.shape.elements()));
  const std::uint64_t begin = part.header.data_begin();
  const std::uint64_t size = part.bytes.size();
  if (begin > size || tensor.offset > size - begin || bytes > size - begin - tensor.offset) {
    return fail(Code::bad_file, cat("is ", made.format->name, ' ', made.shape, ": ", bytes, " bytes from byte ",
                                    tensor.offset, " of the data on, but the file has only ",
                                    begin > size ? 0 : size - begin, " bytes of data. Is the download complete?"));
  }
  made.bytes = part.bytes.subspan(begin + tensor.offset, bytes);
  made.file = part.file_name;
  return made;
}

}  // namespace

std::string hf_tensor_name(std::string_view gguf_name) {
  const std::size_t dot = gguf_name.rfind('.');
  if (dot == std::string_view::npos) return std::string(gguf_name);
  const std::string_view suffix = gguf_name.substr(dot);
  const auto [layer, module] = split_layer(gguf_name.substr(0, dot), kLayerPrefix);
  if (layer >= 0) {
    if (const std::string_view hf = counterpart(kLayerModules, module); !hf.empty())
      return cat(kHfLayerPrefix, layer, '.', hf, suffix);
  } else if (const std::string_view hf = counterpart(kModules, module); !hf.empty()) {
    return cat(hf, suffix);
  }
  return std::string(gguf_name);
}

void separate_pairs(std::span<const std::byte> from, std::int64_t heads, std::int64_t head_dim,
                    std::byte* to) noexcept {
  const std::size_t row_bytes = from.size() / static_cast<std::size_t>(heads * head_dim);
  const std::byte* source = from.data();
  for (std::int64_t head = 0; head < heads; ++head) {
    for (std::int64_t row = 0; row < head_dim; ++row, source += row_bytes) {
      const std::int64_t target = head * head_dim + row % 2 * (head_dim / 2) + row / 2;
      std::memcpy(to + static_cast<std::size_t>(target) * row_bytes, source, row_bytes);
    }
  }
}

Result<void> GgufTensors::add(const GgufPart& part, const GgufTensor& tensor) {
  auto made = read_tensor(part, tensor);
  if (!made) return forward_failure(made, cat(part.header.source(), ": tensor ", quote(tensor.name)));
  made->name = hf_tensor_name(tensor.name);
  std::string name = made->name;
  const auto [at, is_new] = entries_.try_emplace(std::move(name));
  if (!is_new) {
    return fail(Code::bad_file, cat(part.header.source(), ": tensor ", quote(tensor.name), ", ", quote(at->first),
                                    " to Hugging Face, stands in ", at->second.tensor.file, ", too"));
  }
  at->second.tensor = *std::move(made);
  return {};
}

Result<void> GgufTensors::check_overlap() const {
  std::vector<const SourceTensor*> order;
  for (const auto& [name, entry] : entries_) order.push_back(&entry.tensor);
  const std::less<> before;
  std::sort(order.begin(), order.end(),
            [&](const SourceTensor* a, const SourceTensor* b) { return before(a->bytes.data(), b->bytes.data()); });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (!before(order[i]->bytes.data(), order[i - 1]->bytes.data() + order[i - 1]->bytes.size())) continue;
    return fail(Code::bad_file, cat(order[i]->file, ": tensors ", quote(order[i - 1]->name), " and ",
                                    quote(order[i]->name), " overlap"));
  }
  return {};
}

Result<std::shared_ptr<GgufTensors>> GgufTensors::make(const std::vector<const GgufPart*>& parts,
                                                       std::string description, std::shared_ptr<const void> owner) {
  auto tensors = std::make_shared<GgufTensors>();
  tensors->owner_ = std::move(owner);
  tensors->description_ = std::move(description);
  for (const GgufPart* part : parts)
    for (const GgufTensor& tensor : part->header.tensors()) CORBEL_TRY(tensors->add(*part, tensor));
  CORBEL_TRY(tensors->check_overlap());
  return tensors;
}

Result<std::int64_t> GgufTensors::reorder(std::string_view module, std::int64_t heads, std::int64_t head_dim) {
  std::int64_t bytes = 0;
  for (auto& [name, entry] : entries_) {
    const auto [layer, rest] = split_layer(name, kHfLayerPrefix);
    if (layer < 0 || !rest.starts_with(module)) continue;
    const SourceTensor& tensor = entry.tensor;
    if (tensor.shape[0] != heads * head_dim) {
      return fail(Code::bad_file, cat(tensor.file, ": tensor \"", name, "\" is ", tensor.format->name, ' ',
                                      tensor.shape, ", expected ", heads, " heads x ", head_dim, " rows"));
    }
    if (tensor.shape.rank() == 1 && tensor.format->block_values != 1) {
      return fail(Code::bad_file, cat(tensor.file, ": tensor \"", name, "\" is a vector in ", tensor.format->name,
                                      ", expected f32, f16 or bf16"));
    }
    entry.pair_heads = heads;
    bytes += static_cast<std::int64_t>(tensor.bytes.size());
  }
  return bytes;
}

Result<void> GgufTensors::separate_pairs(const GgufHeads& heads) {
  CORBEL_ASSIGN(const std::int64_t q_bytes, reorder("self_attn.q_proj.", heads.q_heads, heads.head_dim));
  CORBEL_ASSIGN(const std::int64_t k_bytes, reorder("self_attn.k_proj.", heads.kv_heads, heads.head_dim));
  log(LogLevel::info, cat("gguf rows of queries and keys are copied in another order when they are first read bytes=",
                          q_bytes + k_bytes, " file=", description_));
  return {};
}

Result<std::vector<float>> GgufTensors::take_vector(std::string_view gguf_name) {
  std::vector<float> values;
  const auto found = entries_.find(gguf_name);
  if (found == entries_.end()) return values;
  const SourceTensor& tensor = found->second.tensor;
  if (tensor.shape.rank() != 1) {
    return fail(Code::bad_file, cat(tensor.file, ": tensor \"", gguf_name, "\" is ", tensor.format->name, ' ',
                                    tensor.shape, ", expected a vector"));
  }
  values.resize(static_cast<std::size_t>(tensor.shape[0]));
  tensor.format->decode(tensor.bytes.data(), tensor.shape[0], values.data());
  entries_.erase(found);
  return values;
}

std::int64_t GgufTensors::owned_bytes() const {
  const std::scoped_lock lock(copying_);
  return owned_bytes_;
}

std::optional<SourceTensor> GgufTensors::find(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return std::nullopt;
  const Entry& entry = found->second;
  SourceTensor tensor = entry.tensor;
  if (entry.pair_heads > 0) {
    const std::scoped_lock lock(copying_);
    if (entry.copy.empty()) {
      entry.copy.resize(tensor.bytes.size());
      corbel::separate_pairs(tensor.bytes, entry.pair_heads, tensor.shape[0] / entry.pair_heads, entry.copy.data());
      owned_bytes_ += static_cast<std::int64_t>(entry.copy.size());
    }
    tensor.bytes = entry.copy;
    tensor.is_copy = true;
  }
  return tensor;
}

GgufTensors::Stored GgufTensors::stored(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return {};
  const SourceTensor& tensor = found->second.tensor;
  return {tensor.format, tensor.shape, static_cast<std::int64_t>(tensor.bytes.size())};
}

std::string GgufTensors::describe(std::string_view name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return "absent";
  const SourceTensor& tensor = found->second.tensor;
  return cat(*tensor.format, ' ', tensor.shape, " in ", tensor.file);
}

std::vector<std::string> GgufTensors::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

}  // namespace corbel
