#include "sim/config/traced_text.h"

#include <algorithm>
#include <utility>

namespace shardwise {

TracedText TracedText::Substr(size_t start, size_t length) const {
  const size_t end = length > text.size() - start ? text.size() : start + length;
  TracedText part;
  part.text = text.substr(start, end - start);
  part.at.assign(at.begin() + static_cast<std::ptrdiff_t>(start),
                 at.begin() + static_cast<std::ptrdiff_t>(end));
  return part;
}

TracedSource::TracedSource(SourcePtr source) : source_(std::move(source)), line_starts_{0} {
  const std::string& text = source_->text;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') line_starts_.push_back(static_cast<uint32_t>(i) + 1);
  }
}

TracedText TracedSource::Part(size_t start, size_t end) const {
  TracedText part;
  part.text = source_->text.substr(start, end - start);
  part.at.resize(part.text.size());
  for (size_t i = 0; i < part.at.size(); ++i) part.at[i] = static_cast<uint32_t>(start + i);
  return part;
}

Location TracedSource::At(uint32_t offset, size_t length) const {
  const auto after = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  return {.source = source_,
          .line = static_cast<int>(after - line_starts_.begin()),
          .column = static_cast<int>(offset - *std::prev(after)) + 1,
          .length = std::max(1, static_cast<int>(length))};
}

Location TracedSource::At(const TracedText& text, const Location& fallback) const {
  return text.at.empty() ? fallback : At(text.at.front(), text.text.size());
}

size_t TracedSource::LineStart(int line) const {
  const size_t index = static_cast<size_t>(std::max(line, 1)) - 1;
  return index < line_starts_.size() ? line_starts_[index] : source_->text.size();
}

}  // namespace shardwise
