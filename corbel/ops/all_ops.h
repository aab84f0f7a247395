#pragma once
#include "corbel/ops/attention.h"
#include "corbel/ops/encode_packed.h"
#include "corbel/ops/linear.h"
#include "corbel/ops/normalization.h"
#include "corbel/ops/rope.h"
#include "corbel/ops/rows.h"

namespace corbel {

template <typename... Ops>
struct OpList {};

/// Every op there is. Adding one is its contract and a word here; device tables and the conformance test follow from
/// it.
using AllOps = OpList<Embedding, Add, GatherRows, RmsNorm, LayerNorm, Linear, RopeTable, RopeApply, KvAppend, KvExport,
                      KvCopy, AttentionPrefill, AttentionDecode, EncodePacked>;

}  // namespace corbel
