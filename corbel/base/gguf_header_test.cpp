#include "corbel/base/gguf_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "corbel/base/test_gguf_bytes.h"

namespace corbel {
namespace {

using namespace gguf_bytes;
using testing::ElementsAre;
using testing::HasSubstr;

Result<GgufHeader> parse(const std::string& bytes) {
  return GgufHeader::parse(std::as_bytes(std::span(bytes)), "t.gguf");
}
std::string refusal(const std::string& bytes) {
  const auto made = parse(bytes);
  return made.has_value() ? "not refused" : made.error().message;
}

std::string good_file() {
  return head(2, 7) + u32("a.count", 7) + string("a.name", "x") + boolean("a.flag", true) +
         strings("a.list", {"one", "", "three"}) + numbers<float>("a.scores", 6, {1.5F, -2}) +
         numbers<std::int32_t>("a.types", 5, {1, -3}) + u32("general.alignment", 64) + tensor("w", {3, 4}, 0, 0) +
         tensor("v", {8}, 1, 64);
}

TEST(GgufHeader, GivesValuesAndTensorsAsTheyWereWritten) {
  const std::string bytes = good_file();
  const auto header = parse(bytes);
  ASSERT_TRUE(header.has_value()) << header.error().message;
  EXPECT_EQ(header->version(), 3U);
  EXPECT_EQ(*header->get_int("a.count", 0, 0, 10), 7);
  EXPECT_EQ(*header->get_int("absent", -5, 0, 10), -5);
  EXPECT_EQ(*header->require_string("a.name"), "x");
  EXPECT_TRUE(*header->get_bool("a.flag", false));
  EXPECT_THAT(*header->get_strings("a.list"), ElementsAre("one", "", "three"));
  EXPECT_THAT(*header->get_floats("a.scores"), ElementsAre(1.5F, -2.0F));
  EXPECT_THAT(*header->get_ints("a.types"), ElementsAre(1, -3));
  EXPECT_THAT(header->keys(), testing::SizeIs(7));
  ASSERT_EQ(header->tensors().size(), 2U);
  EXPECT_EQ(header->tensors()[0].name, "w");
  EXPECT_THAT(header->tensors()[0].shape, ElementsAre(3U, 4U));
  EXPECT_EQ(header->tensors()[1].offset, 64U);
  EXPECT_EQ(header->data_begin(), (bytes.size() + 63) / 64 * 64);
}

TEST(GgufHeader, IsRefusedWhereverItIsCutOff) {
  const std::string bytes = good_file();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(refusal(bytes.substr(0, size)), HasSubstr("t.gguf: ")) << size;
  }
}

TEST(GgufHeader, CountsThatTheFileCannotHoldAreRefusedBeforeMemoryIsTaken) {
  constexpr std::uint64_t kHuge = 1ULL << 62;
  EXPECT_THAT(refusal(head(kHuge, 0)), HasSubstr("claims 4611686018427387904 tensors"));
  EXPECT_THAT(refusal(head(0, kHuge)), HasSubstr("claims 4611686018427387904 keys"));
  EXPECT_THAT(refusal(head(3, 3) + std::string(60, 'x')), HasSubstr("more than 60 bytes can hold"));
  EXPECT_THAT(refusal(head(0, 1) + array("k", 8, kHuge, "")), HasSubstr("claims 4611686018427387904 elements"));
  EXPECT_THAT(refusal(head(0, 1) + array("k", 4, ~0ULL, "")), HasSubstr("claims 18446744073709551615 elements"));
  EXPECT_THAT(refusal(head(0, 1) + raw<std::uint64_t>(kHuge) + std::string(20, 'x')), HasSubstr("is it cut off?"));
}

TEST(GgufHeader, EveryLieIsRefusedNamingItsPlace) {
  EXPECT_THAT(refusal(""), HasSubstr("the mark \"GGUF\""));
  EXPECT_THAT(refusal("GGML" + std::string(40, '\0')), HasSubstr("starts with \"GGUF\", found \"GGML\""));
  EXPECT_THAT(refusal(head(0, 0, 1)), HasSubstr("GGUF version 1;"));
  EXPECT_THAT(refusal(head(0, 0, 0x03000000)), HasSubstr("big-endian"));
  EXPECT_THAT(refusal(head(0, 1) + text("k") + raw<std::uint32_t>(13) + raw<std::uint64_t>(0)),
              HasSubstr("\"k\" has the type 13"));
  EXPECT_THAT(refusal(head(0, 1) + array("k", 9, 1, std::string(12, '\0'))), HasSubstr("array of arrays"));
  EXPECT_THAT(refusal(head(0, 1) + text("k") + raw<std::uint32_t>(7) + raw<std::uint8_t>(2)),
              HasSubstr("bool of value 2"));
  EXPECT_THAT(refusal(head(0, 2) + u32("k", 1) + u32("k", 2)), HasSubstr("\"k\" stands twice"));
  EXPECT_THAT(refusal(head(0, 1) + u32("", 1)), HasSubstr("has 0 bytes; it must have 1 to 65535"));
  EXPECT_THAT(refusal(head(0, 1) + u32("general.alignment", 24)), HasSubstr("power of two"));
  EXPECT_THAT(refusal(head(1, 0) + tensor("t", {1, 1, 1, 1, 1}, 0, 0)), HasSubstr("5 dimensions"));
  EXPECT_THAT(refusal(head(1, 0) + tensor("t", {1}, 0, 5)), HasSubstr("no multiple of 32"));
  EXPECT_THAT(refusal(head(2, 0) + tensor("t", {1}, 0, 0) + tensor("t", {1}, 0, 0)), HasSubstr("\"t\" stands twice"));
}

TEST(GgufHeader, WrongTypesAreRefusedNamingTheKey) {
  const std::string bytes = good_file();
  const auto header = parse(bytes);
  ASSERT_TRUE(header.has_value());
  EXPECT_THAT(header->get_int("a.name", 0, 0, 1).error().message,
              HasSubstr("\"a.name\" must be an integer from 0 to 1, found the string \"x\""));
  EXPECT_THAT(header->get_int("a.count", 0, 0, 6).error().message, HasSubstr("found 7 (u32)"));
  EXPECT_THAT(header->get_strings("a.scores").error().message, HasSubstr("found an array of 2 x f32"));
  EXPECT_THAT(header->get_floats("a.count").error().message, HasSubstr("\"a.count\" must be an array of f32"));
  EXPECT_THAT(header->get_bool("a.count", true).error().message, HasSubstr("must be a bool"));
  EXPECT_THAT(header->require_string("absent").error().message, HasSubstr("\"absent\" is missing"));
}

}  // namespace
}  // namespace corbel
