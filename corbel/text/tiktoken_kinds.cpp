#include "corbel/text/tiktoken_kinds.h"

#include "corbel/text/split_regexes.h"

namespace corbel {
namespace {

constexpr std::string_view kWordsAndNumbers =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// tiktoken 0.14, tiktoken_ext/openai_public.py: r50k_base, p50k_base, cl100k_base, o200k_base.
constexpr RankSpecials kEndOnly[] = {{"<|endoftext|>", "", 50256}};
constexpr RankSpecials kFillInMiddle[] = {{"<|endoftext|>", "", 100257},
                                          {"<|fim_prefix|>", "", 100258},
                                          {"<|fim_middle|>", "", 100259},
                                          {"<|fim_suffix|>", "", 100260},
                                          {"<|endofprompt|>", "", 100276}};
constexpr RankSpecials kEndAndPrompt[] = {{"<|endoftext|>", "", 199999}, {"<|endofprompt|>", "", 200018}};

// meta-llama/llama-models, tokenizer.py, as of Llama 3.1; Llama 3.0 calls three of them reserved.
constexpr RankSpecials kHeaders[] = {{"<|begin_of_text|>", "", 128000},
                                     {"<|end_of_text|>", "", 128001},
                                     {"<|reserved_special_token_", "|>", 128002, 0, 2},
                                     {"<|finetune_right_pad_id|>", "", 128004},
                                     {"<|reserved_special_token_2|>", "", 128005},
                                     {"<|start_header_id|>", "", 128006},
                                     {"<|end_header_id|>", "", 128007},
                                     {"<|eom_id|>", "", 128008},
                                     {"<|eot_id|>", "", 128009},
                                     {"<|python_tag|>", "", 128010},
                                     {"<|reserved_special_token_", "|>", 128011, 3, 245}};
constexpr std::string_view kBeginOfText[] = {"<|begin_of_text|>"};

// Qwen/Qwen-7B, tokenization_qwen.py.
constexpr RankSpecials kTurns[] = {{"<|endoftext|>", "", 151643},
                                   {"<|im_start|>", "", 151644},
                                   {"<|im_end|>", "", 151645},
                                   {"<|extra_", "|>", 151646, 0, 205}};

// THUDM/glm-4-9b-chat, tokenization_chatglm.py; its special tokens stand in tokenizer_config.json.
constexpr std::string_view kMaskAndStart[] = {"[gMASK]", "<sop>"};

constexpr RankKind kKinds[] = {
    {50256, kWordsAndNumbers, false, kEndOnly, {}},   {50280, kWordsAndNumbers, false, kEndOnly, {}},
    {100256, kThreeDigits, false, kFillInMiddle, {}}, {128000, kThreeDigits, false, kHeaders, kBeginOfText},
    {151329, kThreeDigits, false, {}, kMaskAndStart}, {151643, kSingleDigits, true, kTurns, {}},
    {199998, kCasedWords, false, kEndAndPrompt, {}},
};

}  // namespace

std::span<const RankKind> rank_kinds() noexcept { return kKinds; }

}  // namespace corbel
