#include "sim/search/axis_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace shardwise {
namespace {

Location Part(const Location& start, size_t offset, size_t length) {
  Location at = start;
  at.column += static_cast<int>(offset);
  at.length = std::max(1, static_cast<int>(length));
  return at;
}

struct Range {
  YamlNode start, end, by;
  bool multiply = false;
  Location start_at, end_at, by_at;
};

// Values of a range, start first.
class RangeReader {
 public:
  RangeReader(const Range& range, Diagnostics& diagnostics)
      : range_(range), diagnostics_(diagnostics) {}

  std::optional<std::vector<YamlNode>> Read() {
    for (const auto& [node, at] :
         {std::pair(&range_.start, &range_.start_at), std::pair(&range_.end, &range_.end_at),
          std::pair(&range_.by, &range_.by_at)}) {
      const std::optional<double> number = node->AsDouble();
      if (!number.has_value() || !std::isfinite(*number)) {
        return Fail(*at, fmt::format("expected a number, got {}", Quote(node->ToFlow())));
      }
    }
    const std::optional<int64_t> start = range_.start.AsInt(), by = range_.by.AsInt();
    if (!CheckDirection()) return std::nullopt;
    if (start.has_value() && by.has_value()) {
      Integers(*start, *by);
    } else {
      Reals();
    }
    if (values_.size() > kMaxAxisValues) {
      return Fail(range_.by_at, fmt::format("more than {} values", kMaxAxisValues));
    }
    return std::move(values_);
  }

 private:
  double StartNumber() const { return *range_.start.AsDouble(); }
  double EndNumber() const { return *range_.end.AsDouble(); }
  double ByNumber() const { return *range_.by.AsDouble(); }

  std::nullopt_t Fail(const Location& at, std::string text) {
    diagnostics_.Error(at, std::move(text));
    return std::nullopt;
  }

  bool CheckDirection() {
    const double start = StartNumber(), end = EndNumber(), by = ByNumber();
    if (range_.multiply && (start <= 0 || end <= 0)) {
      Fail(start <= 0 ? range_.start_at : range_.end_at, "a range with a multiplier is positive");
      return false;
    }
    if (range_.multiply && by <= 0) {
      Fail(range_.by_at, "the multiplier must be positive");
      return false;
    }
    const double up = range_.multiply ? by - 1 : by;
    if (start != end && (up == 0 || (up > 0) != (end > start))) {
      Fail(range_.by_at,
           fmt::format("never comes from {} to {}", range_.start.text, range_.end.text));
      return false;
    }
    return true;
  }

  void Add(std::string text) {
    YamlNode& value = values_.emplace_back();
    value.text = std::move(text);
    value.line = range_.start_at.line;
    value.column = range_.start_at.column;
  }

  void Integers(int64_t value, int64_t by) {
    const double end = EndNumber();
    const bool up = end >= StartNumber();
    do {
      Add(fmt::to_string(value));
      if (range_.multiply ? __builtin_mul_overflow(value, by, &value)
                          : __builtin_add_overflow(value, by, &value)) {
        return;
      }
    } while (StartNumber() != end && values_.size() <= kMaxAxisValues &&
             (up ? static_cast<double>(value) <= end : static_cast<double>(value) >= end));
  }

  // Twelve digits: 0.1 + 2 * 0.1 is 0.3, and an end that rounding misses by less is met.
  void Reals() {
    const double start = StartNumber(), end = EndNumber(), by = ByNumber();
    const double slack = 1e-12 * std::max(std::abs(start), std::abs(end));
    const bool up = end >= start;
    for (int64_t i = 0; values_.size() <= kMaxAxisValues; ++i) {
      const auto steps = static_cast<double>(i);
      const double value = range_.multiply ? start * std::pow(by, steps) : start + steps * by;
      if (!std::isfinite(value) || (up ? value > end + slack : value < end - slack)) return;
      Add(fmt::format("{:.12g}", value));
      if (start == end) return;
    }
  }

  const Range& range_;
  Diagnostics& diagnostics_;
  std::vector<YamlNode> values_;
};

// Pieces of `text` between separators outside brackets and quotes, each with its offset.
std::vector<std::pair<size_t, std::string_view>> SplitTopLevel(std::string_view text,
                                                               char separator) {
  std::vector<std::pair<size_t, std::string_view>> pieces;
  size_t begin = 0;
  int depth = 0;
  char quote = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : separator;
    if (i < text.size() && quote != 0) {
      if (c == quote) quote = 0;
      continue;
    }
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    // In YAML a quote opens a quoted scalar only where a value begins.
    const bool begins = i == 0 || std::string_view(" ,[{:").find(text[i - 1]) != text.npos;
    if ((c == '\'' || c == '"') && begins) quote = c;
    if (i == text.size() || (c == separator && depth == 0)) {
      pieces.emplace_back(begin, text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  return pieces;
}

YamlNode Scalar(std::string_view text) {
  YamlNode node;
  node.text = text;
  return node;
}

// start:end:*by or start:end:+by; text of another form is no range.
bool LooksLikeRange(std::string_view text) {
  const auto pieces = SplitTopLevel(text, ':');
  return (pieces.size() == 2 || pieces.size() == 3) && Scalar(pieces[0].second).AsDouble() &&
         Scalar(pieces[1].second).AsDouble();
}

std::optional<std::vector<YamlNode>> ParseRange(std::string_view text, const Location& start,
                                                Diagnostics& diagnostics) {
  const auto pieces = SplitTopLevel(text, ':');
  Range range;
  const auto at = [&](size_t i) { return Part(start, pieces[i].first, pieces[i].second.size()); };
  const std::string_view by = pieces.size() == 3 ? pieces[2].second : "";
  if (by.empty() || (by.front() != '*' && by.front() != '+' && by.front() != '-')) {
    Diagnostic& error = diagnostics.Error(pieces.size() == 3 ? at(2) : Part(start, 0, text.size()),
                                          "a range ends with how it goes on");
    error.help =
        fmt::format("{0}:{1}:*2 doubles, {0}:{1}:+2 adds two", pieces[0].second, pieces[1].second);
    return std::nullopt;
  }
  range.start = Scalar(pieces[0].second);
  range.end = Scalar(pieces[1].second);
  range.multiply = by.front() == '*';
  range.by = Scalar(by.substr(by.front() == '-' ? 0 : 1));
  range.start_at = at(0);
  range.end_at = at(1);
  range.by_at = at(2);
  return RangeReader(range, diagnostics).Read();
}

std::optional<std::vector<YamlNode>> ReadRangeMap(const SourcePtr& source, const YamlNode& map,
                                                  Diagnostics& diagnostics) {
  constexpr std::array<std::string_view, 4> kKeys = {"end", "multiplier", "start", "step"};
  for (const YamlNode& key : map.keys) {
    if (std::find(kKeys.begin(), kKeys.end(), key.text) != kKeys.end()) continue;
    diagnostics
        .Error(LocationOf(source, key), fmt::format("unknown key {} of a range", Quote(key.text)))
        .hint = SuggestName(key.text, kKeys);
    return std::nullopt;
  }
  const YamlNode *start = map.Find("start"), *end = map.Find("end");
  const YamlNode *multiplier = map.Find("multiplier"), *step = map.Find("step");
  if (start == nullptr || end == nullptr || (multiplier == nullptr) == (step == nullptr)) {
    diagnostics.Error(LocationOf(source, map), "a range has start, end, and multiplier or step");
    return std::nullopt;
  }
  const YamlNode* by = multiplier != nullptr ? multiplier : step;
  Range range = {.start = *start,
                 .end = *end,
                 .by = *by,
                 .multiply = multiplier != nullptr,
                 .start_at = LocationOf(source, *start),
                 .end_at = LocationOf(source, *end),
                 .by_at = LocationOf(source, *by)};
  return RangeReader(range, diagnostics).Read();
}

}  // namespace

Location LocationOf(const SourcePtr& source, const YamlNode& node) {
  const int length = node.IsScalar() && !node.quoted ? static_cast<int>(node.text.size()) : 1;
  return {
      .source = source, .line = node.line, .column = node.column, .length = std::max(1, length)};
}

std::optional<std::vector<YamlNode>> ParseAxisValues(std::string_view text, const Location& start,
                                                     Diagnostics& diagnostics) {
  if (LooksLikeRange(text)) return ParseRange(text, start, diagnostics);
  std::vector<YamlNode> values;
  for (const auto& [offset, piece] : SplitTopLevel(text, ',')) {
    const Location at = Part(start, offset, piece.size());
    if (piece.find_first_not_of(' ') == std::string_view::npos) {
      diagnostics.Error(at, "a value is missing; '' is the empty text");
      return std::nullopt;
    }
    if (LooksLikeRange(piece)) {
      diagnostics.Error(at, "a range stands alone, not in a list");
      return std::nullopt;
    }
    std::optional<YamlNode> value = ParseYaml(piece, at, diagnostics);
    if (!value.has_value()) return std::nullopt;
    values.push_back(*std::move(value));
  }
  return values;
}

std::optional<std::vector<YamlNode>> ReadAxisValues(const SourcePtr& source, const YamlNode& node,
                                                    Diagnostics& diagnostics) {
  if (node.IsScalar()) return std::vector<YamlNode>{node};
  if (node.IsMap()) return ReadRangeMap(source, node, diagnostics);
  if (!node.children.empty()) return node.children;
  diagnostics.Error(LocationOf(source, node), "an empty list has no values to sweep over");
  return std::nullopt;
}

}  // namespace shardwise
