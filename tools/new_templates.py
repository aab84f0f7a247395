"""The files that tools/new.py writes. @name@ is the snake_case name, @Name@ the PascalCase one."""

MODEL = {
    "models/@name@/@name@.cpp": '''\
// <fill in: which models this family covers>. README.md is the card.
#include "corbel/model/decoder_config.h"

namespace corbel {

ModelFamily @name@_family();

namespace {

// config.json to specs and a table of weight roles; what a plain decoder shares with all others is read by
// read_decoder_config. Change here what makes this family its own: windows, norms, scales.
Result<std::unique_ptr<TextModel>> make_@name@(const ModelSource& source, const Device& device) {
  CORBEL_ASSIGN(CausalLmDescription description, read_decoder_config(source));
  return make_causal_lm_model(std::move(description), "@name@", source, device);
}

}  // namespace

ModelFamily @name@_family() { return {"@name@", {"@Name@ForCausalLM"}, make_@name@}; }

}  // namespace corbel
''',
    "models/@name@/README.md": '''\
# @name@: <fill in: which models, in a line>

<fill in: the shape of the network in two lines>
`architectures` in config.json: `@Name@ForCausalLM`.

## Covered checkpoints
<fill in: sizes and versions>. A tensor that no role asks for is refused, so a variant with more to it does not load by accident.

## Switches
| config.json | values | absent means |
|---|---|---|

## Quirks
- <fill in: what is not as the paper says>

## Goldens
`goldens/NAME` are tiny random checkpoints recorded from Hugging Face (tools/golden/README.md); every switch above has one.
''',
}

BLOCK = {
    "corbel/blocks/@name@.h": '''\
#pragma once
#include <string>

#include "corbel/blocks/block.h"

namespace corbel {

/// <fill in: one sentence of purpose, the formula, its source>
/// What the model IS: changing a field changes the answer. A variant is a new block, or a field whose default keeps the
/// old bits.
struct @Name@Spec {
  std::int64_t hidden = 0;
  Result<void> validate() const;
};

/// How we RUN it. Fields that can move bits say so; they are equal for prefill and decode.
struct @Name@ImplConfig {
  bool bf16_products = true;  // moves bits: bf16 weights multiply activations rounded to bf16 (Arithmetic::bf16)
};

@Name@ImplConfig get_default_impl_config(const @Name@Spec&, const DeviceInfo&, Mode, Strategy = Strategy::balanced);

/// Immutable; the store that loaded them must outlive them.
struct @Name@Weights {
  std::string module;
  LinearLayer projection;
};

/// Roles: @name@ (the module), @name@.projection.
Result<@Name@Weights> make_@name@_weights(const @Name@Spec&, const @Name@ImplConfig&, const WeightContext&);

/// x, out: f32 [rows, hidden]; out may not overlap x.
struct @Name@Args {
  TensorView x;
  TensorView out;
};

/// Token-wise: rows know no phase, and both names do the same. (A block that mixes positions has two argument types.)
void prefill_forward(const @Name@Args&, const @Name@Spec&, const @Name@ImplConfig&, const @Name@Weights&,
                     RunContext&) noexcept;
void decode_forward(const @Name@Args&, const @Name@Spec&, const @Name@ImplConfig&, const @Name@Weights&,
                    RunContext&) noexcept;

}  // namespace corbel
''',
    "corbel/blocks/@name@.cpp": '''\
#include "corbel/blocks/@name@.h"

namespace corbel {

Result<void> @Name@Spec::validate() const {
  if (hidden > 0) return {};
  return fail(Code::bad_file, cat("@name@: hidden is ", hidden, "; it must be positive"));
}

@Name@ImplConfig get_default_impl_config(const @Name@Spec&, const DeviceInfo& device, Mode, Strategy strategy) {
  return {.bf16_products = device.has_bf16_dot && strategy != Strategy::accuracy};
}

Result<@Name@Weights> make_@name@_weights(const @Name@Spec& spec, const @Name@ImplConfig& config,
                                          const WeightContext& context) {
  CORBEL_TRY(spec.validate());
  @Name@Weights weights;
  weights.module = context.names.module("@name@");
  LinearPlan plan;
  plan.in_features = spec.hidden;
  plan.parts = {{context.names.module("@name@.projection"), spec.hidden}};
  plan.bf16_products = config.bf16_products;
  CORBEL_ASSIGN(weights.projection, make_linear(plan, context));
  return weights;
}

void prefill_forward(const @Name@Args& args, const @Name@Spec&, const @Name@ImplConfig&, const @Name@Weights& weights,
                     RunContext& context) noexcept {
  weights.projection.run(args.x, {args.out}, context);
  context.tap(weights.module, "", args.out);
}

void decode_forward(const @Name@Args& args, const @Name@Spec& spec, const @Name@ImplConfig& config,
                    const @Name@Weights& weights, RunContext& context) noexcept {
  prefill_forward(args, spec, config, weights, context);
}

}  // namespace corbel
''',
    "corbel/blocks/@name@_test.cpp": '''\
#include "corbel/blocks/@name@.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace corbel {
namespace {

TEST(@Name@, ASpecWithoutASizeIsRefusedByName) {
  const Result<void> refused = @Name@Spec{}.validate();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("hidden is 0"));
}

// <fill in: compare with an independent computation in double, and with a golden's tap>

}  // namespace
}  // namespace corbel
''',
}

OP = {
    "corbel/ops/@name@.h": '''\
#pragma once
#include "corbel/ops/op.h"

namespace corbel {

/// <fill in: one sentence of purpose, the formula, the order of its roundings, its source>
///
/// x, out  f32 [rows, hidden]; out may be x
/// Checked: 1 <= hidden. Cannot fail when called.
struct @Name@ {
  static constexpr std::string_view kName = "@name@";
  struct Spec {
    std::int64_t hidden = 0;
  };
  struct Args {
    TensorView x;
    TensorView out;
  };
  static Result<void> check(const Spec& spec);
  static void reference(const Spec& spec, const Args& args) noexcept;
  static std::vector<OpCase<@Name@>> cases(CaseScale scale);
};

}  // namespace corbel
''',
    "corbel/ops/@name@.cpp": '''\
#include "corbel/ops/@name@.h"

#include "corbel/ops/case_shapes.h"
#include "corbel/ops/spec_check.h"

namespace corbel {

Result<void> @Name@::check(const Spec& spec) { return check_size(kName, "hidden", spec.hidden); }

// The plain answer, integers exactly and floats in the stated order: a kernel must equal it bit for bit.
void @Name@::reference(const Spec& spec, const Args& args) noexcept {
  const Rows<const float> x(args.x);
  const Rows<float> out(args.out);
  for (std::int64_t row = 0; row < args.x.rows(); ++row)
    for (std::int64_t i = 0; i < spec.hidden; ++i) out[row][i] = x[row][i];
}

std::vector<OpCase<@Name@>> @Name@::cases(CaseScale scale) {
  std::vector<OpCase<@Name@>> cases;
  const auto add_case = [&cases](std::int64_t rows, std::int64_t hidden) {
    cases.push_back({cat("rows=", rows, " hidden=", hidden), Spec{hidden}, [rows, hidden](CaseMemory& memory) {
                       Args args;
                       args.x = memory.input(DType::f32, {rows, hidden});
                       args.out = memory.output(DType::f32, {rows, hidden});
                       return args;
                     }});
  };
  add_case(3, 33);
  if (scale == CaseScale::quick) return cases;
  for (const std::int64_t hidden : {1, 15, 16, 17, 129}) add_case(2, hidden);
  for (const CaseShape& shape : case_shapes()) add_case(5, shape.hidden);
  return cases;
}

}  // namespace corbel
''',
    "corbel/ops/@name@_test.cpp": '''\
#include "corbel/ops/@name@.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace corbel {
namespace {

TEST(@Name@, ASpecWithoutASizeIsRefusedByName) {
  const Result<void> refused = @Name@::check({});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("hidden is 0"));
}

// <fill in: bound the arithmetic against double>. Kernels are compared with the reference by tests/conformance.

}  // namespace
}  // namespace corbel
''',
}

FORMAT = {
    "corbel/format/@name@.h": '''\
#pragma once
#include "corbel/format/weight_format.h"

namespace corbel {

/// @name@: <fill in: how many values in how many bytes, drawn byte by byte>. It is on disk: the order never changes.
///   bytes 0-3  float32, little endian
/// value(i) = <fill in>. |error| <= <fill in> inside the range.
struct @Name@Block {
  float value;
};
static_assert(sizeof(@Name@Block) == 4);

const WeightFormat& @name@_format();

}  // namespace corbel
''',
    "corbel/format/@name@.cpp": '''\
#include "corbel/format/@name@.h"

#include <cstring>

namespace corbel {
namespace {

// Stored blocks may lie at any address: copy them out and in.
void decode(const std::byte* stored, std::int64_t count, float* values) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    @Name@Block block;
    std::memcpy(&block, stored + i * static_cast<std::int64_t>(sizeof block), sizeof block);
    values[i] = block.value;
  }
}

void encode(const float* values, std::int64_t count, std::byte* stored) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    const @Name@Block block{values[i]};
    std::memcpy(stored + i * static_cast<std::int64_t>(sizeof block), &block, sizeof block);
  }
}

constexpr WeightFormat kFormat{"@name@", 1, sizeof(@Name@Block), 0.0, decode, encode};

}  // namespace

const WeightFormat& @name@_format() { return kFormat; }

}  // namespace corbel
''',
    "corbel/format/@name@_test.cpp": '''\
#include "corbel/format/@name@.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace corbel {
namespace {

TEST(@Name@, DecodingWhatWasEncodedStaysWithinTheStatedError) {
  const WeightFormat& format = @name@_format();
  std::array<float, 64> values;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * 3.0F;
  std::array<std::byte, 64 * sizeof(@Name@Block)> stored;
  std::array<float, 64> back;
  format.encode(values.data(), values.size(), stored.data());
  format.decode(stored.data(), back.size(), back.data());
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_LE(std::fabs(back[i] - values[i]), format.relative_error * std::fabs(values[i])) << "value " << i;
}

}  // namespace
}  // namespace corbel
''',
}

ENDPOINT = {
    "corbel/server/@name@_endpoint.h": '''\
#pragma once
#include "corbel/base/json.h"

namespace corbel {

/// <fill in: method and path, one sentence of purpose, whose interface it follows>
/// Request: <fill in: fields, units, defaults and bounds>. Refused, naming the field: a wrong type, a value out of bounds.
/// A field that is unknown is ignored.
Result<Json> answer_@name@(const Json& request);

}  // namespace corbel
''',
    "corbel/server/@name@_endpoint.cpp": '''\
#include "corbel/server/@name@_endpoint.h"

#include <nlohmann/json.hpp>

namespace corbel {

Result<Json> answer_@name@(const Json& request) {
  const JsonFields fields(request, "request");
  CORBEL_ASSIGN(std::string model, fields.get_string("model", ""));
  Json answer;
  answer["model"] = model;
  return answer;
}

}  // namespace corbel
''',
    "corbel/server/@name@_endpoint_test.cpp": '''\
#include "corbel/server/@name@_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace corbel {
namespace {

TEST(@Name@Endpoint, AWrongTypeIsRefusedByField) {
  const Json request = Json::parse(R"({"model": 3})");
  const Result<Json> refused = answer_@name@(request);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("model"));
}

}  // namespace
}  // namespace corbel
''',
}

# kind -> (files, what to do next)
KINDS = {
    "model": (MODEL, "nothing else to edit: the folder is found by being there. Record goldens (tools/golden/README.md)."),
    "block": (BLOCK, "nothing else to edit: corbel/blocks is built from its files."),
    "op": (OP, "edit corbel/ops/all_ops.h: include the header and add the type to AllOps. Every device now answers for it with the "
               "reference, and tests/conformance tries it. A cpu kernel is an entry in the table of corbel/device/cpu."),
    "format": (FORMAT, "edit corbel/format/weight_format.cpp: add the format to the table of all formats. A fast kernel is one file "
                       "more in corbel/device/cpu."),
    "endpoint": (ENDPOINT, "edit the server's table of routes: method, path, function."),
}
