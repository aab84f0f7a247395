#include "corbel/format/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

namespace corbel {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file.append(rest);
}

/// A file of this header and `data_bytes` bytes of data.
std::string file_of(std::string_view header, std::size_t data_bytes) {
  return with_length(header.size(), cat(header, std::string(data_bytes, 'd')));
}

std::string message_of(const std::string& file) {
  const Result<SafetensorsHeader> header = parse_safetensors_header(std::as_bytes(std::span(file)), "m.safetensors");
  return header ? "accepted" : header.error().message;
}

/// One tensor "a" of four bytes of data, with this entry.
std::string entry_message(std::string_view entry) { return message_of(file_of(cat("{\"a\":", entry, "}"), 4)); }

TEST(SafetensorsHeader, GivesDtypeShapeAndPlaceOfEveryTensorWhateverTheOrderOfTheHeader) {
  const std::string text = R"({"b":{"dtype":"BF16","shape":[2,1],"data_offsets":[4,8]},
    "__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}   )";
  const std::string file = file_of(text, 8);
  const Result<SafetensorsHeader> header = parse_safetensors_header(std::as_bytes(std::span(file)), "m");
  ASSERT_TRUE(header) << header.error().message;
  ASSERT_EQ(header->entries.size(), 2u);
  const auto& b = header->entries.at("b");
  EXPECT_EQ(b.dtype, "BF16");
  EXPECT_EQ(b.shape, (Shape{2, 1}));
  EXPECT_EQ(b.begin, 8 + text.size() + 4);
  EXPECT_EQ(b.end, file.size());
  EXPECT_EQ(header->entries.at("a").shape, Shape{});
  EXPECT_EQ(header->metadata.at("format"), "pt");
}

TEST(SafetensorsHeader, AcceptsNoTensorsAndTensorsWithoutElements) {
  EXPECT_EQ(message_of(file_of("{}", 0)), "accepted");
  EXPECT_EQ(message_of(file_of(R"({"z":{"dtype":"F32","shape":[0,4096],"data_offsets":[0,0]},
    "a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[3,0],"data_offsets":[4,4]}})",
                               4)),
            "accepted");
}

TEST(SafetensorsHeader, RefusesALengthThatLies) {
  EXPECT_EQ(message_of("1234567"), "m.safetensors: has 7 bytes, a safetensors file has at least 10");
  EXPECT_EQ(message_of(with_length(3, "{}")),
            "m.safetensors: the header claims 3 bytes, the file has 2 after the length. Is the download complete?");
  for (const std::uint64_t length : {std::uint64_t{100'000'001}, ~std::uint64_t{0}, ~std::uint64_t{7}})
    EXPECT_EQ(message_of(with_length(length, "{}")),
              cat("m.safetensors: the header claims ", length,
                  " bytes, allowed are at most 100000000. Is this a safetensors file?"));
  EXPECT_EQ(message_of(with_length(0, "{}")), "m.safetensors: the header does not begin with {");
  EXPECT_EQ(message_of(with_length(3, " {}")), "m.safetensors: the header does not begin with {");
}

TEST(SafetensorsHeader, NamesAGitLfsPointer) {
  EXPECT_EQ(message_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
            "m.safetensors: is a Git LFS pointer, not the weights; run `git lfs pull` in its folder");
}

TEST(SafetensorsHeader, RefusesBadJsonWithItsPlace) {
  EXPECT_THAT(message_of(file_of("{\"a\":}", 0)), testing::StartsWith("m.safetensors (header):1:6: syntax error"));
  EXPECT_THAT(message_of(file_of("{} {}", 0)), testing::StartsWith("m.safetensors (header):1:4: "));
  EXPECT_THAT(message_of(file_of("{\"\xff\":1}", 0)), HasSubstr("ill-formed UTF-8"));
  EXPECT_EQ(message_of(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],)"
                               R"("data_offsets":[1,2]}})",
                               2)),
            "m.safetensors (header):1:56: the key \"a\" appears twice in one object");
}

TEST(SafetensorsHeader, RefusesEntriesThatAreNoTensor) {
  EXPECT_EQ(entry_message("7"), "m.safetensors: tensor \"a\": the document is 7, expected an object with \"dtype\"");
  EXPECT_EQ(entry_message("{}"), "m.safetensors: tensor \"a\": \"dtype\" is missing, expected a string");
  EXPECT_EQ(entry_message(R"({"dtype":"F32"})"), "m.safetensors: tensor \"a\": \"shape\" is not a list of sizes");
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})"),
            "m.safetensors: tensor \"a\": \"shape\" is not a list of sizes");
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})"),
            "m.safetensors: tensor \"a\": \"shape[0]\" is 1.0, expected a whole number");
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[1]})"),
            "m.safetensors: tensor \"a\" needs \"data_offsets\": [begin, end] with 0 <= begin <= end");
}

TEST(SafetensorsHeader, RefusesAnUnknownDtypeAndListsTheKnown) {
  EXPECT_THAT(
      entry_message(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})"),
      testing::StartsWith("m.safetensors: tensor \"a\" has the unknown dtype \"F33\"; known: F32, BF16, F16, "));
}

TEST(SafetensorsHeader, RefusesShapesThatAreNegativeTooLongOrMoreThan64Bits) {
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
            "m.safetensors: tensor \"a\" has the negative size -1");
  EXPECT_EQ(entry_message(R"({"dtype":"U8","shape":[1,1,1,1,1,4],"data_offsets":[0,4]})"),
            "m.safetensors: tensor \"a\" has 6 axes, Corbel reads at most 5");
  // 2^32 x 2^32 wraps to 0 in 64 bits: "no elements, nothing to check".
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"),
            "m.safetensors: tensor \"a\" has the shape [4294967296, 4294967296]: too many elements to count");
  // The same hidden behind a zero.
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]})"),
            "m.safetensors: tensor \"a\" has the shape [4294967296, 4294967296, 0]: too many elements to count");
  // The elements fit, their bits do not.
  EXPECT_EQ(
      entry_message(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})"),
      "m.safetensors: tensor \"a\" is F32 [4611686018427387904] = no whole number of bytes, its data_offsets span 0");
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]})"),
            "m.safetensors: tensor \"a\": \"shape[0]\" is 9223372036854775808, expected a whole number");
}

TEST(SafetensorsHeader, RefusesSpansThatAreNotShapeTimesDtype) {
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
            "m.safetensors: tensor \"a\" is F32 [2] = 8 bytes, its data_offsets span 4");
  EXPECT_EQ(entry_message(R"({"dtype":"F4","shape":[3],"data_offsets":[0,1]})"),
            "m.safetensors: tensor \"a\" is F4 [3] = no whole number of bytes, its data_offsets span 1");
}

TEST(SafetensorsHeader, RefusesOffsetsThatAreNegativeReversedOrBeyondTheFile) {
  const std::string needs = "m.safetensors: tensor \"a\" needs \"data_offsets\": [begin, end] with 0 <= begin <= end";
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})"), needs);
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), needs);
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4,8]})"), needs);
  EXPECT_EQ(entry_message(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
            "m.safetensors: tensor \"a\" ends at byte 8 of the data, the file has 4 bytes of data. Is the download "
            "complete?");
  EXPECT_THAT(entry_message(R"({"dtype":"U8","shape":[4],"data_offsets":[9223372036854775803,9223372036854775807]})"),
              HasSubstr("ends at byte 9223372036854775807 of the data"));
}

TEST(SafetensorsHeader, RefusesGapsOverlapsAndDataThatNobodyOwns) {
  const auto two = [](std::string_view a, std::string_view b) {
    return message_of(file_of(cat(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)", a,
                                  R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)", b, "}}"),
                              9));
  };
  EXPECT_EQ(
      two("[0,4]", "[5,9]"),
      "m.safetensors: tensor \"b\" begins at byte 5 of the data, tensor \"a\" ends at 4: a gap lies between them");
  EXPECT_EQ(two("[3,7]", "[0,4]"),
            "m.safetensors: tensor \"a\" begins at byte 3 of the data, tensor \"b\" ends at 4: they overlap");
  EXPECT_EQ(two("[1,5]", "[5,9]"),
            "m.safetensors: tensor \"a\" begins at byte 1 of the data, the start of the data ends at 0: a gap lies "
            "between them");
  EXPECT_EQ(two("[0,4]", "[4,8]"),
            "m.safetensors: the tensors end at byte 8 of the data, the file has 9 bytes of data");
}

TEST(SafetensorsHeader, RefusesMetadataThatIsNotText) {
  EXPECT_EQ(message_of(file_of(R"({"__metadata__":[]})", 0)), "m.safetensors: \"__metadata__\" is not an object");
  EXPECT_EQ(message_of(file_of(R"({"__metadata__":{"a":1}})", 0)),
            "m.safetensors: \"__metadata__\" has a value that is not a string at \"a\"");
}

class SafetensorsFiles : public testing::Test {
 protected:
  fs::path path_ = fs::path(testing::TempDir()) / cat("corbel_safetensors_", ::getpid(), ".safetensors");
  ~SafetensorsFiles() override { fs::remove(path_); }
};

TEST_F(SafetensorsFiles, GiveBackWhatWasWritten) {
  const std::vector<float> weights{1.0f, -2.0f, 0.5f, 4.0f, 8.0f, 16.0f};
  const std::vector<std::int64_t> ids{7};
  const std::vector<TensorToWrite> tensors{
      {"w \"quoted\"", "F32", {2, 3}, std::as_bytes(std::span(weights))},
      {"empty", "BF16", {0, 3}, {}},
      {"ids", "I64", {1}, std::as_bytes(std::span(ids))},
  };
  const Result<void> written = write_safetensors(path_, tensors, {{"made", "here"}});
  ASSERT_TRUE(written) << written.error().message;
  const Result<SafetensorsFile> file = SafetensorsFile::open(path_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->names(), testing::ElementsAre("empty", "ids", "w \"quoted\""));
  EXPECT_EQ(file->metadata().at("made"), "here");
  EXPECT_EQ(file->description(), path_.string());

  const std::optional<SourceTensor> w = file->find("w \"quoted\"");
  ASSERT_TRUE(w);
  EXPECT_EQ(w->format, &f32_format());
  EXPECT_EQ(w->shape, (Shape{2, 3}));
  EXPECT_EQ(w->file, path_.filename().string());
  EXPECT_EQ(std::memcmp(w->bytes.data(), weights.data(), w->bytes.size()), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->bytes.data()) % 64, 0u);
  EXPECT_EQ(file->find("empty")->format, &bf16_format());
  EXPECT_TRUE(file->find("empty")->bytes.empty());

  EXPECT_FALSE(file->find("ids"));
  EXPECT_EQ(file->find_raw("ids")->bytes.size(), 8u);
  EXPECT_EQ(file->describe("ids"), cat("I64 [1] in ", path_.filename().string(), ", which is no weight format"));
  EXPECT_EQ(file->describe("empty"), cat("bf16 [0, 3] in ", path_.filename().string()));
  EXPECT_EQ(file->describe("other"), "absent");
  EXPECT_FALSE(file->find("other"));
}

TEST_F(SafetensorsFiles, CanBeReadByTheFormatsOwnRules) {
  // The bytes of a file that the reference library writes for {"a": tensor([1, 2], dtype=uint8)}, padded to 8.
  const std::string text = R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}   )";
  std::ofstream(path_, std::ios::binary) << with_length(text.size(), text + "\x01\x02");
  const Result<SafetensorsFile> file = SafetensorsFile::open(path_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->find_raw("a")->bytes[1], std::byte{2});
}

TEST_F(SafetensorsFiles, AreNotWrittenWhenATensorIsNotWhatItsNameDtypeAndShapeSay) {
  const std::vector<std::uint8_t> data(4);
  const auto bytes = std::as_bytes(std::span(data));
  const auto refusal = [&](const std::vector<TensorToWrite>& tensors) {
    const Result<void> written = write_safetensors(path_, tensors);
    return written ? "written" : written.error().message.substr(cat("cannot write ", path_.string(), ": ").size());
  };
  EXPECT_EQ(refusal({{"a", "F32", {2}, bytes}}), "tensor \"a\" is F32 [2], given are 4 bytes");
  EXPECT_THAT(refusal({{"a", "float", {1}, bytes}}), HasSubstr("unknown dtype \"float\""));
  EXPECT_EQ(refusal({{"a", "F32", {1}, bytes}, {"a", "F32", {1}, bytes}}), "two tensors are named \"a\"");
  EXPECT_THAT(refusal({{"\xff", "F32", {1}, bytes}}), HasSubstr("invalid UTF-8"));
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(SafetensorsFiles, NameAMissingFile) {
  EXPECT_EQ(SafetensorsFile::open(path_).error().message,
            cat("cannot open ", path_.string(), ": No such file or directory"));
}

}  // namespace
}  // namespace corbel
