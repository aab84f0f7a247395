#include "corbel/device/cpu/kernels/kernels.h"

#define CORBEL_TEXT_OF(name) #name
#define CORBEL_TEXT(name) CORBEL_TEXT_OF(name)

namespace corbel::cpu::CORBEL_ISA {

Kernels make_kernels() {
  Kernels table{};
  table.level = CORBEL_TEXT(CORBEL_ISA);
  add_linear(table);
  add_rows(table);
  add_attention(table);
  add_attention_bf16(table);
  add_attention_int8(table);
  add_encode(table);
  add_probes(table);
  add_packed(table);
  add_packed_imports(table);
  add_packed_indexed(table);
  add_packed_w8(table);
  add_strip_lanes(table);
  add_strip_fp8(table);
  return table;
}

}  // namespace corbel::cpu::CORBEL_ISA
