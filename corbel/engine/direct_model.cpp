#include "corbel/engine/direct_model.h"

namespace corbel {
namespace {

std::span<const float> as_row(const TensorView& logits) {
  return {static_cast<const float*>(logits.data), static_cast<std::size_t>(logits.columns())};
}

}  // namespace

Result<DirectModel> DirectModel::make(const TextModel& model, Device& device, std::int64_t context_tokens) {
  CORBEL_ASSIGN(StepRunner made, StepRunner::make(model, device, {.context_tokens = context_tokens}));
  auto runner = std::make_unique<StepRunner>(std::move(made));
  CORBEL_ASSIGN(Session session, Session::make(*runner));
  return DirectModel(std::move(runner), std::move(session));
}

Result<std::span<const float>> DirectModel::prefill_forward(std::span<const std::int32_t> tokens) {
  next_ = -1;
  CORBEL_ASSIGN(const TensorView logits, session_.prefill(tokens));
  return as_row(logits);
}

Result<std::span<const float>> DirectModel::decode_forward(std::int32_t token) {
  next_ = -1;
  CORBEL_ASSIGN(const TensorView logits, session_.decode(token));
  return as_row(logits);
}

Result<std::int32_t> DirectModel::forward_first(std::span<const std::int32_t> tokens) {
  CORBEL_ASSIGN(const std::span<const float> logits, prefill_forward(tokens));
  next_ = argmax(logits);
  return next_;
}

Result<std::int32_t> DirectModel::forward_next() {
  if (next_ < 0) return fail(Code::bad_request, "forward_next() without forward_first()");
  CORBEL_ASSIGN(const std::span<const float> logits, decode_forward(next_));
  next_ = argmax(logits);
  return next_;
}

}  // namespace corbel
