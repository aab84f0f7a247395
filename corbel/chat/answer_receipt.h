#pragma once
#include <string>

#include "corbel/chat/request_options.h"
#include "corbel/engine/receipt.h"

namespace corbel {

/// What the receipts of one model's answers have in common.
struct ReceiptIssuer {
  std::string corbel;  // version
  std::string model;   // as requests name it
  RunIdentity run;
  std::int64_t context_tokens = 0;

  /// The receipt of one answer to `wanted`, whose prompt was `prompt`.
  Json receipt_of(const AnswerRequest& wanted, std::span<const std::int32_t> prompt,
                  const GenerateResult& result) const;
};

}  // namespace corbel
