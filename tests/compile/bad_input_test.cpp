#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "corbel/format/artifact.h"
#include "tests/compile/tiny_checkpoint.h"

// Checkpoints that something is wrong with, or odd.

namespace corbel {
namespace {

using testing::HasSubstr;

/// Changes the values of one row.
using RowChange = std::function<void(std::span<float>)>;

/// A checkpoint with one row changed.
class ChangedSource final : public TensorSource {
 public:
  ChangedSource(std::shared_ptr<const TensorSource> base, std::string tensor, std::int64_t row, RowChange change)
      : base_(std::move(base)), tensor_(std::move(tensor)), row_(row), change_(std::move(change)) {}
  std::optional<SourceTensor> find(std::string_view name) const override { return changed(base_->find(name)); }
  std::optional<SourceTensor> find_shaped(std::string_view name, const Shape& wanted) const override {
    return changed(base_->find_shaped(name, wanted));
  }
  bool has(std::string_view name) const override { return base_->has(name); }
  std::vector<std::string> names() const override { return base_->names(); }
  std::string description() const override { return base_->description(); }

 private:
  std::optional<SourceTensor> changed(std::optional<SourceTensor> found) const {
    if (!found || found->name != tensor_) return found;
    if (bytes_.empty()) {
      bytes_.assign(found->bytes.begin(), found->bytes.end());
      const std::int64_t columns = found->shape[1];
      std::vector<float> values(static_cast<std::size_t>(columns));
      std::byte* const stored = bytes_.data() + row_ * found->format->bytes(columns);
      found->format->decode(stored, columns, values.data());
      change_(values);
      found->format->encode(values.data(), columns, stored);
    }
    found->bytes = bytes_;
    return found;
  }
  std::shared_ptr<const TensorSource> base_;
  std::string tensor_;
  std::int64_t row_;
  RowChange change_;
  mutable std::vector<std::byte> bytes_;
};

void change_row(CompileRequest& request, const std::string& tensor, std::int64_t row, RowChange change) {
  request.source.tensors = std::make_shared<ChangedSource>(request.source.tensors, tensor, row, std::move(change));
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinite = std::numeric_limits<float>::infinity();

TEST_F(Compile, NanAndInfiniteWeightsAreNamedAndRefusedUnlessAllowed) {
  Bench bench(2);
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  for (const float value : {kNan, kInfinite, -kInfinite}) {
    for (const double bits : {0.0, 7.5}) {
      CompileRequest wanted = request("x.corbel");
      wanted.bits = bits;
      change_row(wanted, name, 17, [=](std::span<float> row) { row[5] = value; });
      const auto refused = compile_model(wanted, *bench.device, {});
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().message, HasSubstr(name));
      EXPECT_THAT(refused.error().message, HasSubstr("[17, 5]"));
      EXPECT_THAT(refused.error().message, HasSubstr("--allow-nonfinite"));
      EXPECT_THAT(files(), testing::IsEmpty());
      wanted.allow_nonfinite = true;
      const auto done = compile_model(wanted, *bench.device, {});
      EXPECT_TRUE(done) << done.error().message;
      std::filesystem::remove(wanted.output);
    }
  }
}

TEST_F(Compile, NanWeightsAreNamedWhereCalibrationMeetsThemFirst) {
  Bench bench(2);
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"}) {
    for (const QuantMethod method : {QuantMethod::search, QuantMethod::gptq}) {
      CompileRequest wanted = request("x.corbel", "w4", method);
      wanted.calibration = tokens();
      change_row(wanted, name, 11, [](std::span<float> row) { row[300] = kNan; });
      const auto refused = compile_model(wanted, *bench.device, {});
      ASSERT_FALSE(refused);
      EXPECT_THAT(refused.error().message, HasSubstr(name)) << quant_method_name(method);
      EXPECT_THAT(refused.error().message, HasSubstr("[11, 300]"));
      EXPECT_THAT(files(), testing::IsEmpty());
    }
  }
}

TEST_F(Compile, AnInfiniteWeightThatIsAllowedLeavesTheOthersTheirImportance) {
  Bench bench(2);
  CompileRequest wanted = request("x.corbel");
  wanted.calibration = tokens();
  wanted.allow_nonfinite = true;
  // One column of what goes into down_proj is infinite then; NaN, which later layers see, any comparison stops.
  change_row(wanted, "model.layers.0.mlp.up_proj.weight", 11, [](std::span<float> row) { row[30] = kInfinite; });
  const auto done = compile_model(wanted, *bench.device, {});
  ASSERT_TRUE(done) << done.error().message;
  for (const CompiledTensor& tensor : done->tensors) {
    EXPECT_TRUE(std::isfinite(tensor.errors.weighted_noise)) << tensor.name;
    if (tensor.errors.noise > 0.0) {
      EXPECT_GT(tensor.errors.sqnr_db(), 15.0) << tensor.name;
    }
  }
}

TEST_F(Compile, GptqIsRefusedForItsProductsWhereAnInfiniteWeightIsAllowed) {
  Bench bench(2);
  CompileRequest wanted = request("x.corbel", "w4", QuantMethod::gptq);
  wanted.calibration = tokens();
  wanted.allow_nonfinite = true;  // so the weight is not to blame, and the advice to allow it would lead nowhere
  change_row(wanted, "model.layers.0.mlp.up_proj.weight", 11, [](std::span<float> row) { row[30] = kInfinite; });
  const auto refused = compile_model(wanted, *bench.device, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no finite products"));
  EXPECT_THAT(files(), testing::IsEmpty());
}

/// Largest |stored - wanted| of one row, and the largest |wanted|.
struct RowError {
  double error = 0.0;
  double largest = 0.0;
};
RowError row_error(const Artifact& artifact, const TensorSource& source, const std::string& name, std::int64_t row) {
  const auto wanted = source.find(name);
  const auto stored = artifact.tensors(artifact.manifest().profiles[0])->find(name);
  const std::int64_t columns = wanted->shape[1];
  std::vector<float> want(static_cast<std::size_t>(columns));
  std::vector<float> got(want.size());
  wanted->format->decode_row(wanted->bytes.data(), columns, row, want.data());
  stored->format->decode_row(stored->bytes.data(), columns, row, got.data());
  RowError found;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double d = std::fabs(static_cast<double>(got[i]) - want[i]);
    if (!(d <= found.error)) found.error = d;  // NaN stays
    found.largest = std::max(found.largest, std::fabs(static_cast<double>(want[i])));
  }
  return found;
}

TEST_F(Compile, ConstantAndZeroRowsAndOneGiantValueStayWithinTheBoundByEveryMethod) {
  Bench bench(2);
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const std::vector<std::pair<std::string, RowChange>> changes = {
      {"zero", [](std::span<float> row) { std::fill(row.begin(), row.end(), 0.0F); }},
      {"constant", [](std::span<float> row) { std::fill(row.begin(), row.end(), -0.75F); }},
      {"one giant", [](std::span<float> row) { row[301] = 3e38F; }},
      {"smallest", [](std::span<float> row) { std::fill(row.begin(), row.end(), 1e-40F); }}};
  for (const auto& [what, change] : changes) {
    for (const char* quant : {"w8", "w6", "w4", "w4g8", "bf16"}) {
      for (const QuantMethod method : {QuantMethod::fast, QuantMethod::search, QuantMethod::gptq}) {
        if (what == "one giant" && method == QuantMethod::gptq) continue;  // what calibration sees overflows
        CompileRequest wanted = request("x.corbel", quant, method);
        if (method == QuantMethod::gptq) wanted.calibration = tokens();
        change_row(wanted, name, 9, change);
        const auto done = compile_model(wanted, *bench.device, {});
        ASSERT_TRUE(done) << what << ' ' << quant << ": " << done.error().message;
        const auto artifact = Artifact::open(wanted.output).value();
        const RowError changed = row_error(*artifact, *wanted.source.tensors, name, 9);
        const WeightFormat& format = *artifact->tensors(artifact->manifest().profiles[0])->find(name)->format;
        // gptq moves a row's errors to later columns; what is too small to encode is zero.
        const double times = method == QuantMethod::gptq ? 3.0 : 1.0;
        EXPECT_LE(changed.error, times * format.relative_error * changed.largest + 1e-38)
            << what << ' ' << quant << ' ' << quant_method_name(method);
        const RowError neighbour = row_error(*artifact, *wanted.source.tensors, name, 10);
        EXPECT_LE(neighbour.error, times * format.relative_error * neighbour.largest) << what << ' ' << quant;
      }
    }
  }
}

TEST_F(Compile, AValueThatA16BitFormatCannotHoldIsRefusedByName) {
  Bench bench(2);
  CompileRequest wanted = request("x.corbel", "f16", QuantMethod::fast);
  change_row(wanted, "model.layers.1.mlp.up_proj.weight", 3, [](std::span<float> row) { row[7] = 70000.0F; });
  const auto refused = compile_model(wanted, *bench.device, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("model.layers.1.mlp.up_proj.weight\" has values up to 70144"));
  EXPECT_THAT(refused.error().message, HasSubstr("more than f16 holds"));
  EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(Compile, AStaticProfileBeyondTheModelsContextIsRefused) {
  Bench bench(1);
  CompileRequest wanted = request("x.corbel");
  wanted.limits = {.is_static = true, .context_tokens = 513, .input_tokens = 0};
  for (const auto& refused :
       {compile_model(wanted, *bench.device, {}).error().message, plan_compile(wanted, *bench.device).error().message})
    EXPECT_THAT(refused, HasSubstr("--context is 513; the model was made for at most 512 tokens"));
  wanted.limits.context_tokens = 512;
  EXPECT_TRUE(compile_model(wanted, *bench.device, {}));
}

TEST_F(Compile, SizesThatAreMultiplesOfNothingReadBackWithinTheBound) {
  constexpr std::string_view kOdd = R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 352,
    "intermediate_size": 10036, "num_hidden_layers": 1, "num_attention_heads": 3, "num_key_value_heads": 1,
    "head_dim": 16, "vocab_size": 10036, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "tie_word_embeddings": false, "hidden_act": "silu"})";
  Bench bench(2);
  for (const std::string& keep : {std::string(), std::string("gate_proj|up_proj=w8")}) {
    CompileRequest wanted = request("odd.corbel", "w4", QuantMethod::fast, kOdd);
    if (!keep.empty()) wanted.plan.keep = {*parse_keep_rule(keep)};
    const auto done = compile_model(wanted, *bench.device, {});
    ASSERT_TRUE(done) << done.error().message;
    const auto artifact = Artifact::open(wanted.output).value();
    EXPECT_TRUE(artifact->check());
    for (const TensorPlan& tensor : done->plan.tensors) {
      if (tensor.is_vector()) continue;
      const RowError last = row_error(*artifact, *wanted.source.tensors, tensor.use.name, tensor.rows() - 1);
      EXPECT_LE(last.error, (tensor.format->relative_error + 1e-6) * last.largest) << tensor.use.name;
    }
  }
}

}  // namespace
}  // namespace corbel
