// Text that remembers, for every byte, where in a file it came from: what is left of a recipe after
// quotes, variables and nested command strings can still be pointed at.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/diagnostics.h"

namespace shardwise {

// Stands for what only running a script would tell: $(date), a variable nobody sets.
inline constexpr char kUnknownText = '\x01';

struct TracedText {
  std::string text;
  std::vector<uint32_t> at;  // offset in the file of every byte

  void Append(char c, uint32_t offset) {
    text += c;
    at.push_back(offset);
  }
  void Append(const TracedText& other) {
    text += other.text;
    at.insert(at.end(), other.at.begin(), other.at.end());
  }
  TracedText Substr(size_t start, size_t length = std::string::npos) const;
  bool IsKnown() const { return text.find(kUnknownText) == std::string::npos; }
};

// The text of a whole file, and places in it.
class TracedSource {
 public:
  explicit TracedSource(SourcePtr source);

  TracedText All() const { return Part(0, source_->text.size()); }
  TracedText Part(size_t start, size_t end) const;
  // `length` bytes from `offset` on.
  Location At(uint32_t offset, size_t length) const;
  // Where a text begins; `fallback` if it is empty.
  Location At(const TracedText& text, const Location& fallback) const;
  // First byte of a line (1-based).
  size_t LineStart(int line) const;
  const SourcePtr& source() const { return source_; }

 private:
  SourcePtr source_;
  std::vector<uint32_t> line_starts_;
};

}  // namespace shardwise
