#include "sim/search/batch_sizes.h"

#include <charconv>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The number that starts at `at`: digits with sign, point and exponent.
std::string_view NumberAt(std::string_view text, size_t at) {
  size_t end = at + (text[at] == '-' ? 1 : 0);
  while (end < text.size() && (IsDigit(text[end]) || text[end] == '.' || text[end] == 'e' ||
                               (text[end - 1] == 'e' && (text[end] == '-' || text[end] == '+')))) {
    ++end;
  }
  return text.substr(at, end - at);
}

bool StartsNumber(std::string_view text, size_t at) {
  return IsDigit(text[at]) || (text[at] == '-' && at + 1 < text.size() && IsDigit(text[at + 1]));
}

std::optional<int64_t> Whole(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool SameInputs(const Block& a, const Block& b) {
  if (a.inputs.size() != b.inputs.size()) return false;
  for (size_t i = 0; i < a.inputs.size(); ++i) {
    const BlockInput &x = a.inputs[i], &y = b.inputs[i];
    if (x.value != y.value || x.name != y.name || x.binding != y.binding ||
        x.stack_axis != y.stack_axis || x.role != y.role || x.space != y.space) {
      return false;
    }
  }
  return true;
}

bool SameOutputs(const Block& a, const Block& b) {
  if (a.outputs.size() != b.outputs.size() || a.donated != b.donated) return false;
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    const BlockOutput &x = a.outputs[i], &y = b.outputs[i];
    if (x.value != y.value || x.name != y.name || x.binding != y.binding ||
        x.stack_axis != y.stack_axis || x.space != y.space) {
      return false;
    }
  }
  return true;
}

// Compares one pair of blocks.
class BlockComparer {
 public:
  BlockComparer(const Block& low, const Block& high, int block, SizeTable& table,
                std::map<std::pair<std::string, std::string>, int>& known, ProgramSizes& sizes)
      : low_(low), high_(high), block_(block), table_(table), known_(known), sizes_(sizes) {}

  bool Run() {
    if (low_.name != high_.name || low_.nodes.size() != high_.nodes.size() ||
        low_.types.size() != high_.types.size() || !SameInputs(low_, high_) ||
        !SameOutputs(low_, high_)) {
      return false;
    }
    for (size_t n = 0; n < low_.nodes.size(); ++n) {
      if (!CompareNode(static_cast<int>(n))) return false;
    }
    for (size_t v = 0; v < low_.types.size(); ++v) {
      if (!CompareType(static_cast<int>(v))) return false;
    }
    return true;
  }

 private:
  bool CompareNode(int n) {
    const Node &a = low_.nodes[n], &b = high_.nodes[n];
    if (a.op != b.op || a.in != b.in || a.out != b.out || a.phase != b.phase ||
        a.region != b.region) {
      return false;
    }
    if (a.attrs == b.attrs) return true;
    const auto [entry, is_new] =
        known_.try_emplace({std::string(a.op->name) + ' ' + a.attrs.ToText(), b.attrs.ToText()},
                           static_cast<int>(sizes_.patterns.size()));
    if (is_new) {
      auto pattern = AttrsPattern::Between(a.op, a.attrs, b.attrs, table_);
      if (pattern.has_value()) {
        sizes_.patterns.push_back(*std::move(pattern));
      } else {
        entry->second = -1;
      }
    }
    if (entry->second >= 0) {
      sizes_.attrs.push_back({block_, n, entry->second});
      return true;
    }
    // One operation per element, whatever the constant.
    if (a.op->op_class != OpClass::kPointwise || a.op->work != nullptr) return false;
    sizes_.constants.emplace_back(block_, n);
    return true;
  }

  bool CompareType(int v) {
    const TensorType &a = low_.types[v], &b = high_.types[v];
    if (a.dtype != b.dtype || a.rank() != b.rank()) return false;
    for (int d = 0; d < a.rank(); ++d) {
      if (a.dims[d] == b.dims[d]) continue;
      const int size = table_.Add(a.dims[d], b.dims[d]);
      sizes_.extents.push_back({block_, v, static_cast<int16_t>(d), static_cast<int16_t>(size)});
    }
    return true;
  }

  const Block &low_, &high_;
  const int block_;
  SizeTable& table_;
  std::map<std::pair<std::string, std::string>, int>& known_;  // texts -> pattern, -1: none
  ProgramSizes& sizes_;
};

}  // namespace

int SizeTable::Add(int64_t low, int64_t high) {
  const auto [entry, is_new] = number_.try_emplace({low, high}, static_cast<int>(ends_.size()));
  if (is_new) ends_.emplace_back(low, high);
  return entry->second;
}

bool SizeTable::At(int64_t batch, std::vector<int64_t>& sizes) const {
  sizes.resize(ends_.size());
  if (batch < low_ || batch > high_) return false;
  for (size_t i = 0; i < ends_.size(); ++i) {
    const auto [low, high] = ends_[i];
    const __int128 rise = static_cast<__int128>(high - low) * (batch - low_);
    if (rise % (high_ - low_) != 0) return false;
    sizes[i] = low + static_cast<int64_t>(rise / (high_ - low_));
  }
  return true;
}

std::optional<AttrsPattern> AttrsPattern::Between(const OpDef* op, const Attrs& low,
                                                  const Attrs& high, SizeTable& table) {
  AttrsPattern pattern;
  pattern.op_ = op;
  pattern.literals_.emplace_back();
  const std::string_view a = low.ToText(), b = high.ToText();
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (StartsNumber(a, i) && StartsNumber(b, j)) {
      const std::string_view x = NumberAt(a, i), y = NumberAt(b, j);
      i += x.size();
      j += y.size();
      if (x == y) {
        pattern.literals_.back() += x;
        continue;
      }
      const auto from = Whole(x), to = Whole(y);
      if (!from.has_value() || !to.has_value()) return std::nullopt;
      pattern.sizes_.push_back(table.Add(*from, *to));
      pattern.literals_.emplace_back();
      continue;
    }
    if (a[i] != b[j]) return std::nullopt;
    pattern.literals_.back() += a[i];
    ++i, ++j;
  }
  if (i != a.size() || j != b.size()) return std::nullopt;
  return pattern;
}

std::string AttrsPattern::TextAt(const std::vector<int64_t>& sizes) const {
  std::string text = literals_[0];
  for (size_t i = 0; i < sizes_.size(); ++i) {
    text += std::to_string(sizes[sizes_[i]]);
    text += literals_[i + 1];
  }
  return text;
}

Attrs AttrsPattern::At(const std::vector<int64_t>& sizes) const {
  const std::string text = TextAt(sizes);
  StatusOr<Attrs> attrs = op_->parse_attrs(text);
  SW_CHECK(attrs.ok(), "{}{{{}}}: {}", op_->name, text, Message(attrs.status()));
  return *std::move(attrs);
}

std::vector<Attrs> ProgramSizes::AttrsAt(const std::vector<int64_t>& sizes) const {
  std::vector<Attrs> made;
  made.reserve(patterns.size());
  for (const AttrsPattern& pattern : patterns) made.push_back(pattern.At(sizes));
  return made;
}

void ProgramSizes::Apply(const std::vector<int64_t>& sizes, const std::vector<Attrs>& made,
                         Program& program) const {
  for (const Extent& extent : extents) {
    program.blocks[extent.block].types[extent.value].dims[extent.dim] = sizes[extent.size];
  }
  for (const NodeAttrs& node : attrs) {
    program.blocks[node.block].nodes[node.node].attrs = made[node.pattern];
  }
}

std::optional<ProgramSizes> CompareSizes(const Program& low, const Program& high,
                                         SizeTable& table) {
  ProgramSizes sizes;
  if (low.blocks.size() != high.blocks.size()) return std::nullopt;
  std::map<std::pair<std::string, std::string>, int> known;
  for (size_t b = 0; b < low.blocks.size(); ++b) {
    if (!BlockComparer(low.blocks[b], high.blocks[b], static_cast<int>(b), table, known, sizes)
             .Run()) {
      return std::nullopt;
    }
  }
  return sizes;
}

}  // namespace shardwise
