#pragma once
#include <cstdint>
#include <span>

/// The generated data behind stage_chars.h. Sets are boundaries [first, end, first, end, ...), ascending.
namespace corbel::stage_tables {

extern const std::span<const char32_t> kMarkDifferences;  // "Differences": where the answer is not that of unicode.h
extern const std::span<const char32_t> kNonspacingMarks;
extern const std::span<const char32_t> kControls;
extern const std::span<const char32_t> kChinese;
extern const std::span<const char32_t> kPunctuationDifferences;
extern const std::span<const char32_t> kNumberDifferences;
extern const std::span<const char32_t> kLateForForms;
extern const std::span<const char32_t> kLateExtenders;

// Row i: code points first, first + step, ..., last have the lower case code + difference.
extern const std::span<const char32_t> kLowerFirst;
extern const std::span<const char32_t> kLowerLast;
extern const std::span<const std::uint8_t> kLowerStep;
extern const std::span<const std::int32_t> kLowerDifference;

// Row i: from kScriptFirst[i] up to the next row's. 0: no cut here.
extern const std::span<const char32_t> kScriptFirst;
extern const std::span<const std::uint8_t> kScript;

}  // namespace corbel::stage_tables
