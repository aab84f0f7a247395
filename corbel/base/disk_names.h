#pragma once
#include <array>
#include <string_view>

/// Names that files and hubs use and that happen to be names of models: the one table where they may stand (law 2).
namespace corbel::disk_names {

/// config.json, rope type: frequencies kept, blended or divided by their wavelength.
inline constexpr std::string_view kRopeByWavelength = "llama3";

/// tokenizer_config.json, "tokenizer_class" of folders with vocab.json and merges.txt alone: NFC, digits one by one.
inline constexpr std::string_view kNfcSingleDigitTokenizer = "Qwen2Tokenizer";
inline constexpr std::string_view kNfcSingleDigitTokenizerFast = "Qwen2TokenizerFast";

/// Environment variable that names the default model's folder.
inline constexpr std::string_view kModelFolderVariable = "LLAMA_DIR";

struct ModelAlias {
  std::string_view alias;
  std::string_view repository;  // ORG/NAME
};

/// Short names for `corbel run --model`.
inline constexpr auto kModelAliases = std::to_array<ModelAlias>({
    {"llama-3.2-1b", "meta-llama/Llama-3.2-1B-Instruct"},
    {"llama-3.2-3b", "meta-llama/Llama-3.2-3B-Instruct"},
    {"llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct"},
    {"llama-2-7b", "meta-llama/Llama-2-7b-chat-hf"},
    {"tinyllama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"},
    {"mistral-7b", "mistralai/Mistral-7B-Instruct-v0.3"},
    {"yi-6b", "01-ai/Yi-6B-Chat"},
    {"qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct"},
    {"qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct"},
    {"qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct"},
    {"qwen3-0.6b", "Qwen/Qwen3-0.6B"},
    {"qwen3-1.7b", "Qwen/Qwen3-1.7B"},
    {"qwen3-4b", "Qwen/Qwen3-4B"},
    {"qwen3-8b", "Qwen/Qwen3-8B"},
});

}  // namespace corbel::disk_names
