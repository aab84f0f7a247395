#include "corbel/engine/receipt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "corbel/engine/sampling_json.h"

namespace corbel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Receipt some_receipt() {
  Receipt receipt;
  receipt.corbel = "0.1.0";
  receipt.model = "models/a \"b\"";
  receipt.run = {"00112233445566778899aabbccddeeff", "cpu/v3", "balanced", "int8", 0};
  receipt.request.prompt = {5, 6, 0, 131071};
  receipt.request.sampling = {.temperature = 0.7,
                              .top_k = 40,
                              .top_p = 0.95,
                              .min_p = 0.05,
                              .repetition_penalty = 1.1,
                              .seed = 0xFFFFFFFFFFFFFFFFU,
                              .choice = 3};
  receipt.request.limits = {.max_tokens = 17, .stop_ids = {1, 2}, .stop_strings = {"\n\n", "end\u00e9"}};
  receipt.request.on_full = OnFull::slide;
  receipt.request.keep_tokens = 4;
  receipt.request.context_tokens = 2048;
  receipt.request.constrained = true;
  receipt.ids = {9, 8, 7};
  receipt.text = "a\u20acb\n";
  receipt.finish = FinishReason::length;
  return receipt;
}

std::string refusal(const Json& json) {
  const auto receipt = read_receipt(json, "r.json");
  return receipt ? std::string("taken") : receipt.error().message;
}

TEST(Receipt, IsReadBackAsItWasWritten) {
  for (const std::int64_t context : {0, 2048}) {
    Receipt receipt = some_receipt();
    receipt.run.context_tokens = context;
    const Json json = receipt_json(receipt);
    const auto read = read_receipt(Json::parse(json.dump()), "r.json");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(receipt_json(*read), json);
    EXPECT_EQ(read->run, receipt.run);
    EXPECT_EQ(read->request.prompt, receipt.request.prompt);
    EXPECT_EQ(read->request.sampling.seed, 0xFFFFFFFFFFFFFFFFU);
    EXPECT_EQ(read->request.sampling.temperature, 0.7);
    EXPECT_THAT(read->request.limits.stop_strings, ElementsAre("\n\n", "end\u00e9"));
    EXPECT_EQ(read->request.on_full, OnFull::slide);
    EXPECT_EQ(read->ids, receipt.ids);
    EXPECT_EQ(read->text, receipt.text);
    EXPECT_EQ(read->finish, FinishReason::length);
  }
}

TEST(Receipt, HasTheFieldsThatTheDocumentNames) {
  const Json json = receipt_json(some_receipt());
  EXPECT_EQ(json.dump(),
            R"({"format":"corbel.receipt.v1","corbel":"0.1.0","model":"models/a \"b\"",)"
            R"("run":{"model_hash":"00112233445566778899aabbccddeeff","profile":"cpu/v3","strategy":"balanced",)"
            R"("kv_cache":"int8","context_tokens":2048,"context_matters":false},)"
            R"("sampling":)" +
                json["sampling"].dump() + R"(,"limits":)" + json["limits"].dump() +
                R"(,"on_full":"slide","keep_tokens":4,"constraint":true,)"
                R"("prompt":{"ids":[5,6,0,131071],"hash":")" +
                json["prompt"]["hash"].get<std::string>() + R"("},"answer":{"ids":[9,8,7],"hash":")" +
                json["answer"]["hash"].get<std::string>() +
                "\",\"text\":\"a\u20acb\\n\",\"finish_reason\":\"length\"}}");
  // python3: xxhash.xxh3_128(struct.pack('<3i', 9, 8, 7)).hexdigest()
  EXPECT_EQ(json["answer"]["hash"], "d80906d373588052d112279c818e9d2c");
}

TEST(Receipt, AGrammarIsReadBackAsItWasWritten) {
  Receipt receipt = some_receipt();
  receipt.request.constraint = {
      GrammarSource::sequence({GrammarSource::marked("<call>"),
                               GrammarSource::json_schema(R"({"type": "object"})", "#/properties/a"),
                               GrammarSource::repeat(GrammarSource::regex("[a-z]+"), 2, 5),
                               GrammarSource::any_of({GrammarSource::json_value(), GrammarSource::until("\n")}),
                               GrammarSource::raw_string("{}", "#", "</p>"), GrammarSource::json_object(),
                               GrammarSource::until_end("x"), GrammarSource::literal("end")}),
      {Whitespace::compact, UndeclaredProperties::as_schema_says},
      {1, 2}};
  const Json json = receipt_json(receipt);
  EXPECT_EQ(json["constraint"].dump(),
            R"({"grammar":{"kind":"sequence","parts":[{"kind":"marked","text":"<call>"},)"
            R"({"kind":"json_schema","text":"{\"type\": \"object\"}","at":"#/properties/a"},)"
            R"({"kind":"repeat","min":2,"max":5,"parts":[{"kind":"regex","text":"[a-z]+"}]},)"
            R"({"kind":"any_of","parts":[{"kind":"json_value"},{"kind":"until","text":"\n"}]},)"
            R"({"kind":"raw_string","text":"{}","at":"#","parts":[{"kind":"marked","text":"</p>"}]},)"
            R"({"kind":"json_object"},{"kind":"until_end","text":"x"},{"kind":"literal","text":"end"}]},)"
            R"("whitespace":"compact","undeclared":"as_schema_says","end_ids":[1,2]})");
  const auto read = read_receipt(Json::parse(json.dump()), "r.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->request.constrained);
  EXPECT_EQ(receipt_json(*read), json);
  Json wrong = json;
  wrong["constraint"]["grammar"]["parts"][2]["kind"] = "poem";
  EXPECT_THAT(refusal(wrong), HasSubstr("\"poem\", which is not known here"));
}

TEST(Receipt, UnknownFieldsOtherFormatsAndAlteredIdsAreRefusedByName) {
  const Json good = receipt_json(some_receipt());
  EXPECT_EQ(refusal(good), "taken");
  const auto with = [&](const char* pointer, const Json& value) {
    Json json = good;
    json[Json::json_pointer(pointer)] = value;
    return refusal(json);
  };
  EXPECT_THAT(with("/format", "corbel.receipt.v2"), HasSubstr("\"corbel.receipt.v2\", this program reads"));
  EXPECT_THAT(with("/new", 1), HasSubstr("\"new\" is not known here"));
  EXPECT_THAT(with("/sampling/new", 1), HasSubstr("\"sampling.new\" is not known here; known: temperature"));
  EXPECT_THAT(with("/limits/new", 1), HasSubstr("\"limits.new\""));
  EXPECT_THAT(with("/run/new", 1), HasSubstr("\"run.new\""));
  EXPECT_THAT(with("/prompt/new", 1), HasSubstr("\"prompt.new\""));
  EXPECT_THAT(with("/answer/new", 1), HasSubstr("\"answer.new\""));
  EXPECT_THAT(with("/answer/ids/1", 5), HasSubstr("the receipt was altered"));
  EXPECT_THAT(with("/prompt/ids/1", -5), HasSubstr("no token id"));
  EXPECT_THAT(with("/prompt/ids/1", 1.5), HasSubstr("prompt.ids"));
  EXPECT_THAT(with("/sampling/temperature", -1), HasSubstr("temperature"));
  EXPECT_THAT(with("/sampling/seed", -1), HasSubstr("\"sampling.seed\" must be a whole number"));
  EXPECT_THAT(with("/sampling/choice", std::int64_t{1} << 32), HasSubstr("sampling.choice"));
  EXPECT_THAT(with("/limits/max_tokens", -1), HasSubstr("max_tokens"));
  EXPECT_THAT(with("/limits/stop_ids", Json::array({std::int64_t{1} << 40})), HasSubstr("token ids"));
  EXPECT_THAT(with("/on_full", "grow"), HasSubstr("\"grow\""));
  EXPECT_THAT(with("/answer/finish_reason", "tired"), HasSubstr("\"tired\""));
  for (const char* part : {"run", "sampling", "limits", "prompt", "answer", "format"}) {
    Json json = good;
    json.erase(part);
    EXPECT_THAT(refusal(json), HasSubstr(part));
  }
  EXPECT_NE(refusal(Json::array()), "taken");
}

TEST(Receipt, AnOptionThatAnOlderReceiptLacksHasItsDefault) {
  Json json = receipt_json(some_receipt());
  json["sampling"].erase("min_p");
  const auto read = read_receipt(json, "r.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->request.sampling.min_p, 0.0);
}

TEST(Receipt, ARequestToAnEngineIsKeptAsItWas) {
  EngineRequest request;
  request.prompt = {4, 5};
  request.sampling.top_k = 3;
  request.limits.stop_ids = {7};
  request.on_full = OnFull::slide;
  request.keep_tokens = 2;
  const ReceiptRequest kept = receipt_request(request, 5, 64);
  EXPECT_EQ(kept.prompt, request.prompt);
  EXPECT_EQ(kept.sampling.top_k, 3);
  EXPECT_EQ(kept.sampling.choice, 5U);
  EXPECT_EQ(kept.limits.stop_ids, request.limits.stop_ids);
  EXPECT_EQ(kept.on_full, OnFull::slide);
  EXPECT_EQ(kept.keep_tokens, 2);
  EXPECT_EQ(kept.context_tokens, 64);
}

TEST(RunIdentityDifference, NamesTheFirstThingWithBothValues) {
  const RunIdentity then = some_receipt().run;
  EXPECT_EQ(first_difference(then, then), "");
  RunIdentity now = then;
  now.context_tokens = 5;
  EXPECT_THAT(first_difference(then, now), HasSubstr("the context is 0 tokens, here it is 5"));
  now.kv_cache = "bf16";
  EXPECT_EQ(first_difference(then, now), "the cache is int8, here it is bf16");
  now.strategy = "memory";
  EXPECT_EQ(first_difference(then, now), "the strategy is balanced, here it is memory");
  now.profile = "cpu/avx512";
  EXPECT_EQ(first_difference(then, now), "the numerics profile is cpu/v3, here it is cpu/avx512");
  now.model_hash = "ff";
  EXPECT_EQ(first_difference(then, now), "the model's hash is 00112233445566778899aabbccddeeff, here it is ff");
}

}  // namespace
}  // namespace corbel
