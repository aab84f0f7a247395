#include "corbel/blocks/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "corbel/base/disk_names.h"

namespace corbel {
namespace {

/// What a config means: frequencies and attention factor of a sequence of `length` tokens, head_dim 16.
struct RopeVector {
  const char* name;
  const char* config;
  std::int32_t length;
  float attention;
  std::vector<float> frequencies;
};

// Printed by tools/golden/rope_vectors.py: precedence of fields as transformers 5.23.0 has it, formulas in float64.
// clang-format off
const std::vector<RopeVector> kVectors = {
    {"no_scaling", R"({"max_position_embeddings": 2048, "rope_theta": 500000.0})", 1, 1.0F,
     {1.0F, 0.1939227432012558F, 0.03760603070259094F, 0.007292664609849453F, 0.0014142135623842478F, 0.00027424818836152554F, 5.3182957344688475e-05F, 1.0313385246263351e-05F}},
    {"theta_default", R"({"max_position_embeddings": 2048})", 1, 1.0F,
     {1.0F, 0.3162277638912201F, 0.10000000149011612F, 0.03162277489900589F, 0.009999999776482582F, 0.003162277629598975F, 0.0010000000474974513F, 0.0003162277571391314F}},
    {"new_spelling", R"({"max_position_embeddings": 2048, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}})", 1, 1.0F,
     {1.0F, 0.17782793939113617F, 0.03162277489900589F, 0.005623413249850273F, 0.0010000000474974513F, 0.00017782794020604342F, 3.162277789670043e-05F, 5.62341347176698e-06F}},
    {"theta_inside_wins", R"({"max_position_embeddings": 2048, "rope_theta": 500000.0, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}})", 1, 1.0F,
     {1.0F, 0.3162277638912201F, 0.10000000149011612F, 0.03162277489900589F, 0.009999999776482582F, 0.003162277629598975F, 0.0010000000474974513F, 0.0003162277571391314F}},
    {"linear", R"({"max_position_embeddings": 2048, "rope_scaling": {"type": "linear", "factor": 4.0}})", 1, 1.0F,
     {0.25F, 0.07905694097280502F, 0.02500000037252903F, 0.007905693724751472F, 0.0024999999441206455F, 0.0007905694073997438F, 0.0002500000118743628F, 7.905693928478286e-05F}},
    {"scaling_beats_parameters", R"({"max_position_embeddings": 2048, "rope_scaling": {"type": "linear", "factor": 4.0}, "rope_parameters": {"rope_type": "linear", "factor": 2.0}})", 1, 1.0F,
     {0.25F, 0.07905694097280502F, 0.02500000037252903F, 0.007905693724751472F, 0.0024999999441206455F, 0.0007905694073997438F, 0.0002500000118743628F, 7.905693928478286e-05F}},
    {"empty_scaling_does_not", R"({"max_position_embeddings": 2048, "rope_scaling": {}, "rope_parameters": {"rope_type": "linear", "factor": 2.0}})", 1, 1.0F,
     {0.5F, 0.15811388194561005F, 0.05000000074505806F, 0.015811387449502945F, 0.004999999888241291F, 0.0015811388147994876F, 0.0005000000237487257F, 0.0001581138785695657F}},
    {"rope_type_beats_type", R"({"max_position_embeddings": 2048, "rope_scaling": {"type": "linear", "rope_type": "default", "factor": 4.0}})", 1, 1.0F,
     {1.0F, 0.3162277638912201F, 0.10000000149011612F, 0.03162277489900589F, 0.009999999776482582F, 0.003162277629598975F, 0.0010000000474974513F, 0.0003162277571391314F}},
    {"dynamic", R"({"max_position_embeddings": 64, "rope_scaling": {"type": "dynamic", "factor": 2.0}})", 64, 1.0F,
     {1.0F, 0.3162277638912201F, 0.10000000149011612F, 0.03162277489900589F, 0.009999999776482582F, 0.003162277629598975F, 0.0010000000474974513F, 0.0003162277571391314F}},
    {"dynamic", R"({"max_position_embeddings": 64, "rope_scaling": {"type": "dynamic", "factor": 2.0}})", 65, 1.0F,
     {1.0F, 0.314840704202652F, 0.09912466257810593F, 0.031208477914333344F, 0.009825699031352997F, 0.0030935299582779408F, 0.0009739691158756614F, 0.00030664511723443866F}},
    {"dynamic", R"({"max_position_embeddings": 64, "rope_scaling": {"type": "dynamic", "factor": 2.0}})", 300, 1.0F,
     {1.0F, 0.23342373967170715F, 0.05448664352297783F, 0.012718476355075836F, 0.0029687942005693913F, 0.0006929870578460395F, 0.00016175962809938937F, 3.7758538383059204e-05F}},
    {"dynamic_knows_no_original", R"({"max_position_embeddings": 64, "original_max_position_embeddings": 16, "rope_scaling": {"type": "dynamic", "factor": 3.0}})", 64, 1.0F,
     {1.0F, 0.3162277638912201F, 0.10000000149011612F, 0.03162277489900589F, 0.009999999776482582F, 0.003162277629598975F, 0.0010000000474974513F, 0.0003162277571391314F}},
    {"dynamic_knows_no_original", R"({"max_position_embeddings": 64, "original_max_position_embeddings": 16, "rope_scaling": {"type": "dynamic", "factor": 3.0}})", 100, 1.0F,
     {1.0F, 0.27457723021507263F, 0.07539264857769012F, 0.020701104775071144F, 0.005684051662683487F, 0.0015607110690325499F, 0.00042853571358136833F, 0.00011766614625230432F}},
    {"yarn", R"({"max_position_embeddings": 1024, "rope_theta": 1000000.0, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}})", 1, 1.138629436111989F,
     {1.0F, 0.13337095081806183F, 0.015811387449502945F, 0.0014058533124625683F, 0.0002500000118743628F, 4.4456985051510856e-05F, 7.905694474175107e-06F, 1.405853367941745e-06F}},
    {"yarn_null_factor", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "yarn", "factor": null, "original_max_position_embeddings": 128}})", 1, 1.2079441541679836F,
     {1.0F, 0.2239946722984314F, 0.0416666679084301F, 0.003952846862375736F, 0.0012499999720603228F, 0.0003952847036998719F, 0.0001250000059371814F, 3.952846964239143e-05F}},
    {"yarn_explicit", R"({"max_position_embeddings": 1024, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "attention_factor": 0.7, "beta_fast": 16.0, "beta_slow": 2.0, "truncate": false}})", 1, 0.7F,
     {1.0F, 0.29152563214302063F, 0.05066439509391785F, 0.007905693724751472F, 0.0024999999441206455F, 0.0007905694073997438F, 0.0002500000118743628F, 7.905693928478286e-05F}},
    {"yarn_mscale", R"({"max_position_embeddings": 4096, "rope_scaling": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 128, "mscale": 1.0, "mscale_all_dim": 0.5}})", 1, 1.1557219901962608F,
     {1.0F, 0.2134537398815155F, 0.03500000014901161F, 0.0007905694073997438F, 0.0002500000118743628F, 7.905693928478286e-05F, 2.499999936844688e-05F, 7.905694474175107e-06F}},
    {"yarn_one_mscale_is_none", R"({"max_position_embeddings": 4096, "rope_scaling": {"rope_type": "yarn", "factor": 40.0, "original_max_position_embeddings": 128, "mscale": 1.0, "mscale_all_dim": 0}})", 1, 1.3688879454113936F,
     {1.0F, 0.2134537398815155F, 0.03500000014901161F, 0.0007905694073997438F, 0.0002500000118743628F, 7.905693928478286e-05F, 2.499999936844688e-05F, 7.905694474175107e-06F}},
    {"yarn_top_level_original_wins", R"({"max_position_embeddings": 1024, "original_max_position_embeddings": 64, "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}})", 1, 1.138629436111989F,
     {1.0F, 0.23717083036899567F, 0.05000000074505806F, 0.007905693724751472F, 0.0024999999441206455F, 0.0007905694073997438F, 0.0002500000118743628F, 7.905693928478286e-05F}},
    {"by_wavelength", R"({"max_position_embeddings": 2048, "rope_theta": 500000.0, "rope_scaling": {"rope_type": "by_wavelength", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}})", 1, 1.0F,
     {1.0F, 0.1939227432012558F, 0.010538232512772083F, 0.0009115830762311816F, 0.00017677669529803097F, 3.428102354519069e-05F, 6.647869668086059e-06F, 1.289173155782919e-06F}},
    {"by_wavelength_attention_factor_means_nothing", R"({"max_position_embeddings": 2048, "rope_scaling": {"rope_type": "by_wavelength", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256, "attention_factor": 2.0}})", 1, 1.0F,
     {1.0F, 0.3162277638912201F, 0.10000000149011612F, 0.006613106466829777F, 0.0012499999720603228F, 0.0003952847036998719F, 0.0001250000059371814F, 3.952846964239143e-05F}},
    {"longrope", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0], "original_max_position_embeddings": 128}})", 128, 1.1952286093343936F,
     {1.0F, 0.28747978806495667F, 0.0833333283662796F, 0.024325214326381683F, 0.0071428571827709675F, 0.002108185086399317F, 0.0006249999860301614F, 0.0001860163320088759F}},
    {"longrope", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0], "original_max_position_embeddings": 128}})", 129, 1.1952286093343936F,
     {1.0F, 0.12649109959602356F, 0.02500000037252903F, 0.005270462948828936F, 0.0011111111380159855F, 0.0002432521287119016F, 4.999999873689376e-05F, 1.0540925359237008e-05F}},
    {"longrope_top_level", R"({"max_position_embeddings": 1024, "original_max_position_embeddings": 64, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0]}})", 64, 1.2909944487358056F,
     {1.0F, 0.28747978806495667F, 0.0833333283662796F, 0.024325214326381683F, 0.0071428571827709675F, 0.002108185086399317F, 0.0006249999860301614F, 0.0001860163320088759F}},
    {"longrope_top_level", R"({"max_position_embeddings": 1024, "original_max_position_embeddings": 64, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0]}})", 65, 1.2909944487358056F,
     {1.0F, 0.12649109959602356F, 0.02500000037252903F, 0.005270462948828936F, 0.0011111111380159855F, 0.0002432521287119016F, 4.999999873689376e-05F, 1.0540925359237008e-05F}},
    {"longrope_factor", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0], "factor": 16.0, "original_max_position_embeddings": 128}})", 128, 1.2535663410560174F,
     {1.0F, 0.28747978806495667F, 0.0833333283662796F, 0.024325214326381683F, 0.0071428571827709675F, 0.002108185086399317F, 0.0006249999860301614F, 0.0001860163320088759F}},
    {"longrope_factor", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0], "factor": 16.0, "original_max_position_embeddings": 128}})", 129, 1.2535663410560174F,
     {1.0F, 0.12649109959602356F, 0.02500000037252903F, 0.005270462948828936F, 0.0011111111380159855F, 0.0002432521287119016F, 4.999999873689376e-05F, 1.0540925359237008e-05F}},
    {"longrope_attention_factor", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0], "attention_factor": 1.25, "original_max_position_embeddings": 128}})", 129, 1.25F,
     {1.0F, 0.12649109959602356F, 0.02500000037252903F, 0.005270462948828936F, 0.0011111111380159855F, 0.0002432521287119016F, 4.999999873689376e-05F, 1.0540925359237008e-05F}},
    {"longrope_no_original", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0]}})", 1024, 1.0F,
     {1.0F, 0.28747978806495667F, 0.0833333283662796F, 0.024325214326381683F, 0.0071428571827709675F, 0.002108185086399317F, 0.0006249999860301614F, 0.0001860163320088759F}},
    {"longrope_no_original", R"({"max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "long_factor": [1.0, 2.5, 4.0, 6.0, 9.0, 13.0, 20.0, 30.0]}})", 1025, 1.0F,
     {1.0F, 0.12649109959602356F, 0.02500000037252903F, 0.005270462948828936F, 0.0011111111380159855F, 0.0002432521287119016F, 4.999999873689376e-05F, 1.0540925359237008e-05F}},
};
// clang-format on

/// Sources under corbel/ name no model; one of the types on disk does.
std::string with_disk_names(std::string text) {
  const std::string placeholder = "\"by_wavelength\"";
  if (const auto at = text.find(placeholder); at != std::string::npos)
    text.replace(at, placeholder.size(), cat('"', disk_names::kRopeByWavelength, '"'));
  return text;
}

Result<RotarySpec> read(const std::string& text, std::int64_t head_dim = 16) {
  CORBEL_ASSIGN(const Json config, parse_json(with_disk_names(text), "config.json"));
  return read_rotary_spec(JsonFields(config, "config.json"), head_dim);
}

std::string refusal(const std::string& text, std::int64_t head_dim = 16) {
  const auto spec = read(text, head_dim);
  return spec ? std::string("accepted") : spec.error().message;
}

class RotaryVectors : public testing::TestWithParam<RopeVector> {};

TEST_P(RotaryVectors, TheTableHoldsTheAnglesOfTheFloat64Formulas) {
  const RopeVector& vector = GetParam();
  const auto spec = read(vector.config);
  ASSERT_TRUE(spec) << spec.error().message;
  const RopeTable::Spec table = make_rope_table_spec(*spec);
  ASSERT_TRUE(RopeTable::check(table));
  const auto pairs = static_cast<std::int64_t>(vector.frequencies.size());
  ASSERT_EQ(table.rotary_dim, 2 * pairs);

  std::int32_t position = 1000;
  std::vector<float> out(static_cast<std::size_t>(2 * pairs));
  RopeTable::reference(
      table, {make_view(&position, {1, 1}), make_view(&vector.length, {1}), make_view(out.data(), {1, 2, pairs})});
  for (std::int64_t i = 0; i < pairs; ++i) {
    // One unit in the last place of the frequency (another power function) turns the angle by up to 6e-5 here.
    const double angle = static_cast<float>(1000.0F * vector.frequencies[i]);
    const double slack = 2e-7 + angle * 1.2e-7;
    EXPECT_NEAR(out[i], std::cos(angle) * vector.attention, slack) << "pair " << i;
    EXPECT_NEAR(out[pairs + i], std::sin(angle) * vector.attention, slack) << "pair " << i;
  }
}

std::string vector_name(const testing::TestParamInfo<RopeVector>& info) {
  return cat(info.param.name, "_length_", info.param.length);
}
INSTANTIATE_TEST_SUITE_P(All, RotaryVectors, testing::ValuesIn(kVectors), vector_name);

TEST(RotaryConfig, AScalingWithoutItsFactorIsRefusedByName) {
  for (const char* type : {"linear", "dynamic", "yarn", "by_wavelength"}) {
    const std::string message = refusal(cat(R"({"rope_scaling": {"rope_type": ")", type, R"("}})"));
    EXPECT_NE(message.find("rope_scaling.factor"), std::string::npos) << message;
  }
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "linear", "factor": null}})").find("rope_scaling.factor"),
            std::string::npos);
}

TEST(RotaryConfig, ScalingByWavelengthNeedsBothOfItsBounds) {
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "by_wavelength", "factor": 8.0, "high_freq_factor": 4.0}})")
                .find("low_freq_factor"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "by_wavelength", "factor": 8.0, "low_freq_factor": 1.0}})")
                .find("high_freq_factor"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "by_wavelength", "factor": 8.0, "low_freq_factor": 4.0,
                         "high_freq_factor": 4.0}})")
                .find("the second the larger"),
            std::string::npos);
}

TEST(RotaryConfig, AShareOfTheHeadThatIsNoWholeEvenNumberIsRefused) {
  for (const char* share : {"0.4", "0", "-0.5", "1.5", "0.1875", "1e300"}) {
    const std::string message = refusal(cat(R"({"partial_rotary_factor": )", share, "}"));
    EXPECT_NE(message.find("partial_rotary_factor"), std::string::npos) << share << ": " << message;
  }
  EXPECT_EQ(read(R"({"partial_rotary_factor": 0.5})")->rotary_dim, 8);
  // 0.4 is no binary fraction: 80 * 0.4 must still be 32.
  EXPECT_EQ(read(R"({"partial_rotary_factor": 0.4})", 80)->rotary_dim, 32);
  EXPECT_NE(refusal("{}", 15).find("even"), std::string::npos);
}

TEST(RotaryConfig, LongropeListsMustBePositiveAndOfOneValuePerPair) {
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "longrope", "short_factor": [1, 2], "long_factor": [1, 2]}})")
                .find("must have 8"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "longrope", "short_factor": [1,1,1,1,1,1,1,1],
                         "long_factor": [1,1,1,1,0,1,1,1]}})")
                .find("positive"),
            std::string::npos);
}

TEST(RotaryConfig, AnUnknownTypeIsAnsweredWithTheKnownOnes) {
  const std::string message = refusal(R"({"rope_parameters": {"rope_type": "yarn2"}})");
  EXPECT_NE(message.find("\"rope_parameters.rope_type\" is \"yarn2\""), std::string::npos) << message;
  EXPECT_NE(message.find("longrope"), std::string::npos) << message;
}

TEST(RotaryConfig, FieldsOfAnotherTypeAreRefused) {
  EXPECT_NE(refusal(R"({"rope_scaling": "linear"})").find("rope_scaling"), std::string::npos);
  EXPECT_NE(refusal(R"({"rope_scaling": {"type": "linear", "factor": "4"}})").find("factor"), std::string::npos);
  EXPECT_NE(refusal(R"({"rope_theta": 1.0})").find("rope_theta"), std::string::npos);
  EXPECT_NE(
      refusal(R"({"rope_scaling": {"type": "yarn", "factor": 4.0, "attention_factor": 0}})").find("attention_factor"),
      std::string::npos);
}

}  // namespace
}  // namespace corbel
