#include <cstdint>
#include <span>
#include <vector>

#include "corbel/format/gguf_model.h"
#include "corbel/format/gguf_repack.h"

// A GGUF file of any bytes is refused, or is a model whose texts and tensors can all be read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto model = corbel::GgufModel::read(std::as_bytes(std::span(data, size)), "fuzz.gguf");
  if (!model) return 0;
  for (const char* name :
       {"config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja", "tokenizer.gguf"})
    static_cast<void>((*model)->text(name));
  const auto tensors = (*model)->tensors();
  for (const std::string& name : tensors->names()) {
    const auto tensor = tensors->find(name);
    const std::int64_t columns = tensor->shape[tensor->shape.rank() - 1];
    const std::int64_t rows = tensor->shape.elements() / columns;
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t row = 0; row < rows; ++row)
      tensor->format->decode_row(tensor->bytes.data(), columns, row, values.data());
    const corbel::Repacking* repacking = corbel::find_repacking(*tensor->format);
    if (repacking == nullptr) continue;
    std::vector<std::byte> packed(static_cast<std::size_t>(repacking->strips->matrix_bytes(rows, columns)));
    corbel::repack_matrix(*repacking, tensor->bytes.data(), rows, columns, packed.data());
  }
  return 0;
}
