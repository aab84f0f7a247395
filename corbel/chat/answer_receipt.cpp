#include "corbel/chat/answer_receipt.h"

#include <nlohmann/json.hpp>

namespace corbel {

Json ReceiptIssuer::receipt_of(const AnswerRequest& wanted, std::span<const std::int32_t> prompt,
                               const GenerateResult& result) const {
  ReceiptRequest request = receipt_request(wanted.request, result.choice, context_tokens);
  request.prompt.assign(prompt.begin(), prompt.end());
  request.constraint = wanted.constraint;
  Receipt receipt = make_receipt(run, std::move(request), result);
  receipt.corbel = corbel;
  receipt.model = model;
  return receipt_json(receipt);
}

}  // namespace corbel
