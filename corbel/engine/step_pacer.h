#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace corbel {

/// What steps cost, learnt from those that were run, and how many rows of prompts a step may have so that the sequences
/// that decode do not wait for long. Decides nothing about values: times move rows between steps, never bits.
///
/// Tables of running means: seconds of a step without prompts by its rows, and what one row of a prompt takes by its
/// position (its attention reads all that is before it), beside decoding rows and in steps of prompts alone. Steps
/// alone have many rows, which are cheaper each: they stand in where nothing was measured beside streams yet.
class StepPacer {
 public:
  /// stretch  a step with rows of prompts may take so many times what it would without; above 1
  explicit StepPacer(double stretch) : stretch_(stretch) {}

  struct Shape {
    std::int64_t decode_rows = 0;  // of decoding sequences, drafts included
    std::int64_t prompt_rows = 0;
    double prompt_position = 0.0;  // mean over the prompts' rows
  };
  void measured(const Shape& shape, double seconds) noexcept;

  /// How many streams may wait for a prompt of so many tokens, those in the prefix cache left out: many for a short
  /// one, which is soon done.
  static double streams_for_prompt(std::int64_t tokens) noexcept;
  /// Seconds that prompts may add to a step of so many decoding rows; infinite when nothing decodes or nothing is
  /// known. When `streams`, the sum of streams_for_prompt(), is more than these rows, as many times more.
  double seconds_for_prompts(std::int64_t decode_rows, double streams) const noexcept;
  /// Seconds that a prompt's row at this position adds to a step of decoding rows: measured there or nearby, or a
  /// guess; 0 when nothing is known.
  double prompt_row_seconds(std::int64_t position) const noexcept;
  /// Rows that prompts get in any case: they go on, however slow the machine. Fewer where one takes so long, far behind
  /// in a long prompt, that streams would wait three times as long.
  std::int64_t least_prompt_rows(std::int64_t decode_rows, double row_seconds) const noexcept;
  /// Whether steps of just so many rows and no prompts were measured.
  bool knows(std::int64_t decode_rows) const noexcept { return decode_[place_of_rows(decode_rows)] != 0.0; }
  /// Seconds of a step of so many rows and no prompts, from the nearest numbers of rows that were measured; 0 when
  /// none was. Above the highest of them each row adds what one in a step of prompts alone took.
  double decode_seconds(std::int64_t rows) const noexcept;
  /// Rows behind `rows` were left out for what they are said to cost. What nobody runs is not measured again, and one
  /// step that the machine stopped in would hold for ever: so it is believed a little less each time, and anew when it
  /// is measured the next time.
  void doubt_more_rows_than(std::int64_t rows) noexcept;

 private:
  static constexpr int kRows = 65;      // the last one: all that are more
  static constexpr int kPositions = 9;  // up to 1k, 2k, 4k, ...
  using Rows = std::array<double, kPositions>;
  static int place_of(double position) noexcept;
  static int nearest(const Rows& rows, int place) noexcept;
  static std::size_t place_of_rows(std::int64_t rows) noexcept {
    return static_cast<std::size_t>(std::min<std::int64_t>(rows, kRows - 1));
  }

  double stretch_;
  std::array<double, kRows> decode_{};  // 0: not measured
  std::array<bool, kRows> doubted_{};
  Rows beside_row_{};
  Rows alone_row_{};
};

}  // namespace corbel
