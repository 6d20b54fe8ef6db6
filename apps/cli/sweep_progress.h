// How far a sweep is: one line that is rewritten on a terminal, a line now and then elsewhere.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "sim/search/sweep_threads.h"

namespace shardwise {

// "[=====>     ] 27/51  3.1/s  eta 8 s  best 13.92 s, 4,708 tokens/s/chip  remat_policy=full", cut
// to `width` columns.
std::string ProgressLine(const SweepProgress& progress, const std::vector<std::string>& keys,
                         int width);

class ProgressPrinter {
 public:
  enum class Style : uint8_t { kSilent, kLines, kTerminal };
  // `width` columns of a terminal.
  ProgressPrinter(std::ostream& out, Style style, int width, std::vector<std::string> keys)
      : out_(out), style_(style), width_(width), keys_(std::move(keys)) {}

  void Show(const SweepProgress& progress);
  // Ends the line on a terminal.
  void End();

 private:
  std::ostream& out_;
  Style style_;
  int width_;
  std::vector<std::string> keys_;
  double next_line_ = 10;  // seconds
  bool open_ = false;
};

}  // namespace shardwise
