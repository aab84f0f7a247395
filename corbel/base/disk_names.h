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

/// Start of the name of a vocabulary of literals in a folder; such a file ends with ".txt".
inline constexpr std::string_view kLiteralVocabularyPrefix = "rwkv_vocab";

/// GGUF, "tokenizer.ggml.model": pieces merged by score, bytes merged by rank, word pieces, pieces with summed scores,
/// the longest match.
inline constexpr std::string_view kGgufScoredMerges = "llama";
inline constexpr std::string_view kGgufByteMerges = "gpt2";
inline constexpr std::string_view kGgufWordPieces = "bert";
inline constexpr std::string_view kGgufScoredSums = "t5";
inline constexpr std::string_view kGgufLongestMatch = "rwkv";

struct GgufArchitecture {
  std::string_view name;          // "general.architecture"
  std::string_view architecture;  // config.json, "architectures"
  std::string_view model_type;    // config.json
  std::string_view windowed;      // "architectures" of a file that names a sliding window; empty: windows mean nothing
  bool pairs_side_by_side;        // rows of queries and keys that rotate together are neighbours, not half a head apart
};
/// Models that GGUF files hold and Corbel reads.
inline constexpr auto kGgufArchitectures = std::to_array<GgufArchitecture>({
    {"llama", "LlamaForCausalLM", "llama", "MistralForCausalLM", true},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", "", false},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", "", false},
});

/// tokenizer.json, types of stages: what goes in front of word pieces.
inline constexpr std::string_view kWordPieceNormalizer = "BertNormalizer";
inline constexpr std::string_view kWordPiecePreTokenizer = "BertPreTokenizer";
inline constexpr std::string_view kWordPiecePostProcessor = "BertProcessing";

struct GgufSplitting {
  std::string_view name;   // "tokenizer.ggml.pre"
  std::string_view shape;  // a row of corbel/text/gguf_splitting.cpp
};

/// Names that llama.cpp gives to the ways of cutting text before bytes are merged.
inline constexpr auto kGgufSplittings = std::to_array<GgufSplitting>({
    {"gpt-2", "words_and_numbers"},
    {"phi-2", "words_and_numbers"},
    {"olmo", "words_and_numbers"},
    {"mpt", "words_and_numbers"},
    {"jais", "words_and_numbers"},
    {"trillion", "words_and_numbers"},
    {"jina-es", "words_and_numbers"},
    {"jina-de", "words_and_numbers"},
    {"jina-v2-es", "words_and_numbers"},
    {"jina-v2-de", "words_and_numbers"},
    {"modern-bert", "words_and_numbers"},
    {"gigachat", "words_and_numbers"},
    {"jina-v1-en", "words_and_numbers_separated"},
    {"jina-v2-code", "words_and_numbers_separated"},
    {"roberta-bpe", "words_and_numbers_separated"},
    {"starcoder", "words_and_digits"},
    {"refact", "words_and_digits"},
    {"command-r", "words_and_digits"},
    {"smollm", "words_and_digits"},
    {"codeshell", "words_and_digits"},
    {"exaone", "words_and_digits"},
    {"minerva-7b", "words_and_digits"},
    {"llama-bpe", "three_digits_whole"},
    {"llama3", "three_digits_whole"},
    {"llama-v3", "three_digits_whole"},
    {"falcon3", "three_digits_whole"},
    {"dbrx", "three_digits"},
    {"smaug-bpe", "three_digits"},
    {"chatglm-bpe", "three_digits"},
    {"qwen2", "single_digits_composed"},
    {"deepseek-r1-qwen", "single_digits_composed"},
    {"megrez", "single_digits_composed"},
    {"stablelm2", "single_digits"},
    {"hunyuan", "single_digits"},
    {"falcon", "punctuation_and_threes"},
    {"deepseek-llm", "scripts_and_digits"},
    {"deepseek-coder", "scripts_and_digits"},
    {"deepseek-v3", "scripts_and_threes"},
    {"gpt-4o", "cased_words"},
    {"tekken", "cased_words_single_digits"},
    {"poro-chat", "blank_words"},
    {"bloom", "blank_words"},
    {"gpt3-finnish", "blank_words"},
    {"viking", "blank_words_and_digits"},
});

/// The file in which sentence-transformers says how long a text may be.
inline constexpr std::string_view kEmbeddingLimitsFile = "sentence_bert_config.json";

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
