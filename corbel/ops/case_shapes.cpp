#include "corbel/ops/case_shapes.h"

#include <array>

namespace corbel {
namespace {

// hidden, ffn, q heads, kv heads, head_dim, vocab, window, rotary_dim, interleaved, qkv bias.
constexpr std::array kShapes = {
    CaseShape{2048, 8192, 32, 8, 64, 128256},                       // Llama-3.2-1B
    CaseShape{1024, 3072, 16, 8, 128, 151936},                      // Qwen3-0.6B
    CaseShape{4096, 14336, 32, 8, 128, 128256},                     // Llama-3.1-8B, Llama-3.2-11B-Vision
    CaseShape{4096, 11008, 32, 32, 128, 32000},                     // Llama-2-7B, LWM-Text-Chat-1M
    CaseShape{5120, 13824, 40, 40, 128, 32000},                     // Llama-2-13B
    CaseShape{2048, 6144, 32, 4, 128, 151936},                      // Qwen3-30B-A3B, attention
    CaseShape{4096, 11008, 32, 4, 128, 64000},                      // Yi-6B
    CaseShape{4096, 13696, 32, 2, 128, 151552, 0, 64, true, true},  // GLM-4-9B
    CaseShape{4096, 13696, 32, 2, 128, 65024, 0, 64, true, true},   // ChatGLM2-6B, ChatGLM3-6B
    CaseShape{4096, 16384, 32, 2, 128, 73448},                      // MiniCPM4-8B
    CaseShape{2560, 10240, 32, 2, 128, 73448},                      // MiniCPM-V-4, text
    CaseShape{1024, 3584, 8, 2, 256, 248094, 0, 64},                // MiniCPM-V-4.6, text
    CaseShape{2560, 10240, 8, 4, 256, 262208, 1024},                // Gemma-3-4B, text (heads: the family's defaults)
    CaseShape{2048, 8192, 16, 8, 128, 92553},                       // InternVL2-2B, text
    CaseShape{3072, 8192, 32, 32, 96, 32020, 262144},               // InternVL2-4B, text
    CaseShape{2560, 9728, 32, 8, 128, 151936},                      // Qwen3-VL-4B, text
    CaseShape{2048, 11008, 16, 2, 128, 152681, 32768, 0, false, true},  // LocateAnything, text
    CaseShape{6144, 24576, 48, 1, 128, 49153, 0, 0, false, true},       // WizardCoder-15B
    CaseShape{1024, 3072, 16, 8, 128, 65536},                           // Falcon-Perception
};

}  // namespace

std::span<const CaseShape> case_shapes() { return kShapes; }

}  // namespace corbel
