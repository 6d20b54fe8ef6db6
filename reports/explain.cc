#include "reports/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "kernels/base/check.h"
#include "reports/explain_entries.h"
#include "sim/config/diagnostics.h"

namespace shardwise {
namespace {

constexpr int kWidth = 80;
constexpr size_t kEntriesShown = 4;

const ExplainedValue* FindValue(const Explanation& entry, std::string_view id) {
  const auto found = std::find_if(entry.values.begin(), entry.values.end(),
                                  [&](const ExplainedValue& value) { return value.id == id; });
  return found == entry.values.end() ? nullptr : &*found;
}

// The value asked for goes to the front.
void PutFirst(std::string_view id, Explanation& entry) {
  const auto found = std::find_if(entry.values.begin(), entry.values.end(),
                                  [&](const ExplainedValue& value) { return value.id == id; });
  if (found != entry.values.end()) std::rotate(entry.values.begin(), found, found + 1);
}

std::string ValueText(const ExplainedValue& value) {
  const std::string text = CellText(value.value, value.unit);
  const auto* number = std::get_if<double>(&value.value);
  return value.unit == Unit::kNumber && number != nullptr ? fmt::format("{:.7g}", *number) : text;
}

// Text of a formula with `write` in place of each name.
template <class Write>
std::string Filled(std::string_view formula, const Write& write) {
  std::string out;
  while (!formula.empty()) {
    const size_t open = std::min(formula.find('{'), formula.size());
    out += formula.substr(0, open);
    formula.remove_prefix(open);
    if (formula.empty()) break;
    const size_t close = formula.find('}');
    SW_CHECK(close != std::string_view::npos, "a formula without }}: {}", formula);
    out += write(formula.substr(1, close - 1));
    formula.remove_prefix(close + 1);
  }
  return out;
}

void Write(const Explanation& x, std::string& out) {
  out += WrapText(fmt::format("{} ({})", x.name, x.kind), 0, kWidth);
  out += WrapText(x.meaning, 2, kWidth);
  const auto number_of = [&](std::string_view name) {
    const ExplainedValue* own = FindValue(x, name);
    for (const ExplainedValue& input : x.inputs) {
      if (own == nullptr && input.id == name) own = &input;
    }
    return own == nullptr ? std::string(name) : ValueText(*own);
  };
  for (size_t v = 0; v < x.values.size(); ++v) {
    const ExplainedValue& value = x.values[v];
    const std::string text = ValueText(value);
    if (text.empty()) continue;
    std::string line = fmt::format("{} = {}", value.id, text);
    if (!value.meaning.empty() && value.meaning != x.meaning) {
      line += fmt::format(" ({})", value.meaning);
    }
    if (!value.source.empty()) line += fmt::format(" [{}]", value.source);
    out += WrapText(line, 2, kWidth);
    if (value.formula.empty()) continue;
    const auto plain = [](std::string_view name) { return std::string(name); };
    out += WrapText("= " + Filled(value.formula, plain), 6, kWidth);
    out += WrapText("= " + Filled(value.formula, number_of), 6, kWidth);
  }
  const auto list = [&](std::string_view title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    out += fmt::format("  {}\n", title);
    for (const std::string& line : lines) out += WrapText(line, 4, kWidth);
  };
  std::vector<std::string> inputs;
  for (const ExplainedValue& input : x.inputs) {
    inputs.push_back(fmt::format("{} = {}{} [{}]", input.id, ValueText(input),
                                 input.meaning.empty() ? "" : fmt::format(" ({})", input.meaning),
                                 input.source));
  }
  list("inputs:", inputs);
  list("how it came about:", x.rules);
  list("what would change it:", x.changes);
}

}  // namespace

double NumberOf(const ExplainedValue& value) {
  if (const auto* count = std::get_if<int64_t>(&value.value)) return static_cast<double>(*count);
  if (const auto* number = std::get_if<double>(&value.value)) return *number;
  if (const auto* time = std::get_if<Duration>(&value.value)) {
    const auto ps = static_cast<double>(time->ps);
    return value.unit == Unit::kPicoseconds ? ps : ps / 1e12;
  }
  return 0;
}

std::vector<std::string> NamesIn(std::string_view formula) {
  std::vector<std::string> names;
  Filled(formula, [&](std::string_view name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.emplace_back(name);
    return std::string();
  });
  return names;
}

Explainer::Explainer(const Evaluation& evaluation, const Report& report) {
  const auto add = [&](std::vector<ExplainEntry> list) {
    for (ExplainEntry& entry : list) {
      const size_t at = entries_.size();
      entry.aliases.push_back(entry.explanation.name);
      for (const std::string& name : entry.aliases) {
        std::vector<size_t>& named = by_name_[name];
        if (named.empty() || named.back() != at) named.push_back(at);
      }
      entries_.push_back(std::move(entry.explanation));
    }
  };
  add(ExplainNumbers(evaluation, report));
  add(ExplainKeys(evaluation, report));
  add(ExplainProgram(evaluation));
  add(ExplainRows(evaluation, report));
  for (Explanation& entry : entries_) AddInputs(entry);
}

// The number called `name`, or the value of that id in the entry called so.
const ExplainedValue* Explainer::FindNumber(std::string_view name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return nullptr;
  for (const size_t at : found->second) {
    const ExplainedValue* own = FindValue(entries_[at], name);
    if (own != nullptr) return own;
  }
  return &entries_[found->second.front()].values.front();
}

void Explainer::AddInputs(Explanation& entry) {
  for (ExplainedValue& value : entry.values) {
    for (const std::string& name : NamesIn(value.formula)) {
      const auto same = [&](const ExplainedValue& known) { return known.id == name; };
      if (FindValue(entry, name) != nullptr ||
          std::any_of(entry.inputs.begin(), entry.inputs.end(), same)) {
        continue;
      }
      const ExplainedValue* input = FindNumber(name);
      SW_CHECK(input != nullptr, "{} of {}: no number is called {}", value.id, entry.name, name);
      entry.inputs.push_back(*input);
      entry.inputs.back().id = name;
      if (!input->formula.empty()) entry.inputs.back().source = "explain " + name;
      entry.inputs.back().formula.clear();
    }
  }
}

StatusOr<std::vector<Explanation>> Explainer::Explain(std::string_view name) const {
  // "collectives[0].busy_s": the longest front part that is a name, and what it has behind that.
  for (size_t end = name.size(); end != std::string_view::npos && end > 0;
       end = name.find_last_of(".[", end - 1)) {
    const auto found = by_name_.find(name.substr(0, end));
    if (found == by_name_.end()) continue;
    std::string_view id = name.substr(end);
    if (id.starts_with('.')) id.remove_prefix(1);
    std::vector<Explanation> out;
    for (const size_t at : found->second) {
      const std::string_view wanted = id.empty() ? name : id;
      if (!id.empty() && FindValue(entries_[at], id) == nullptr) continue;
      out.push_back(entries_[at]);
      PutFirst(wanted, out.back());
    }
    if (!out.empty()) return out;
  }
  std::vector<std::string_view> names;
  for (const auto& [known, at] : by_name_) names.push_back(known);
  std::string hint = SuggestName(name, names);
  if (hint.empty()) {
    std::string parts;
    size_t shown = 0;
    for (const std::string_view known : names) {
      if (known.find(name) == std::string_view::npos || shown == kEntriesShown) continue;
      parts += fmt::format("{}{}", shown++ == 0 ? "" : ", ", Quote(known));
    }
    hint = parts.empty() ? "explain --list prints every name" : "names with it: " + parts;
  }
  return InvalidArgument("nothing here is called {}; {}", Quote(name), hint);
}

std::vector<std::pair<std::string, std::string>> Explainer::Names() const {
  std::vector<std::pair<std::string, std::string>> names;
  for (const Explanation& entry : entries_) names.emplace_back(entry.kind, entry.name);
  std::stable_sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string RenderText(const std::vector<Explanation>& explanations) {
  std::string out;
  for (size_t i = 0; i < explanations.size(); ++i) {
    if (i == kEntriesShown) {
      out += fmt::format("\nand {} more of this name\n", explanations.size() - i);
      break;
    }
    if (i > 0) out += "\n";
    Write(explanations[i], out);
  }
  return out;
}

}  // namespace shardwise
