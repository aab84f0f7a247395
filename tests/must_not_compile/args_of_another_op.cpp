// An op takes its own arguments; those of another op are another type even where the fields are alike.
// expect: no match for call to
#include "corbel/device/run_context.h"

void use(const corbel::Prepared<corbel::AttentionPrefill>& attention, const corbel::AttentionPrefill::Args& right,
         const corbel::AttentionDecode::Args& wrong, corbel::RunContext& context) {
#ifdef CORBEL_MUST_COMPILE
  attention(right, context);
  static_cast<void>(wrong);
#else
  attention(wrong, context);
  static_cast<void>(right);
#endif
}
