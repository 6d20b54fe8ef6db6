#include "sim/config/xla_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "kernels/base/check.h"
#include "kernels/base/embedded.h"
#include "sim/config/table_text.h"
#include "sim/config/yaml.h"

namespace shardwise {
namespace {

struct FlagTable {
  std::vector<XlaFlagSpec> flags;
  std::vector<std::string_view> names;

  FlagTable() {
    const auto text = FindEmbedded("configs/maxtext/xla_flags.tsv");
    SW_CHECK(text.has_value(), "the table of XLA flags is not built in");
    ForEachRow<5>(*text, [&](const std::array<std::string_view, 5>& row) {
      XlaFlagSpec& flag = flags.emplace_back();
      flag.name = row[0];
      flag.type = row[1];
      std::string_view uses = row[2];
      flag.use = ParseKeyUse(NextField(uses, '|'));
      flag.elsewhere = uses.empty() ? flag.use : ParseKeyUse(uses);
      flag.families = row[3];
      flag.meaning = row[4];
    });
    std::sort(flags.begin(), flags.end(),
              [](const XlaFlagSpec& a, const XlaFlagSpec& b) { return a.name < b.name; });
    for (const XlaFlagSpec& flag : flags) names.push_back(flag.name);
  }
};

const FlagTable& Table() {
  static const FlagTable table;
  return table;
}

std::string_view NameOf(std::string_view flag) {
  flag.remove_prefix(2);
  return flag.substr(0, flag.find('='));
}

// "--name" or "--name=value" with letters, digits and "_" in the name.
bool IsFlag(std::string_view token, bool strict) {
  if (!token.starts_with("--")) return false;
  const std::string_view name = NameOf(token);
  const bool has_value = name.size() + 2 < token.size();
  return !name.empty() && (has_value || !strict) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n'; }

// Column of `text` in the source line of `at`, at its column or behind a quote; 0: not there.
int ColumnOf(std::string_view text, const Location& at) {
  if (at.source == nullptr || at.line <= 0) return 0;
  const std::string_view line = at.source->Line(at.line);
  for (int column = at.column; column <= at.column + 1; ++column) {
    const size_t start = static_cast<size_t>(column) - 1;
    if (start <= line.size() && line.substr(start).starts_with(text)) return column;
  }
  return 0;
}

std::optional<bool> ReadSwitch(std::string_view value) {
  YamlNode node;
  node.text = value;
  if (value == "1" || value == "0") return value == "1";
  return node.AsBool();
}

// Value as the cost model reads it; nullopt if it is not of the flag's type.
std::optional<std::string> ReadValue(const XlaFlagSpec& flag, std::string_view value) {
  YamlNode node;
  node.text = value;
  std::string_view types = flag.type;
  while (!types.empty()) {
    const std::string_view type = NextField(types, '|');
    if (type == "bool") {
      if (const std::optional<bool> on = ReadSwitch(value)) return *on ? "true" : "false";
    } else if (type == "int") {
      if (const std::optional<int64_t> number = node.AsInt()) return fmt::to_string(*number);
    } else if (type == "float") {
      if (node.AsDouble().has_value()) return std::string(value);
    } else {
      return std::string(value);
    }
  }
  return std::nullopt;
}

std::string TypeText(std::string_view type) {
  const std::string_view first = NextField(type, '|');
  return first == "bool" ? "true or false" : first == "int" ? "a whole number" : "a number";
}

class Resolver {
 public:
  Resolver(std::string_view family, Diagnostics& diagnostics)
      : family_(family), diagnostics_(diagnostics) {}

  void Add(const XlaFlagSetting& setting) {
    const std::string_view text = setting.text;
    std::string_view name = NameOf(text);
    const size_t equals = text.find('=');
    std::string value(equals == std::string_view::npos ? "true" : text.substr(equals + 1));
    const XlaFlagSpec* flag = FindXlaFlag(name);
    if (flag == nullptr && equals == std::string_view::npos && name.starts_with("no")) {
      // --noname switches a flag off.
      if (const XlaFlagSpec* positive = FindXlaFlag(name.substr(2))) {
        flag = positive;
        name.remove_prefix(2);
        value = "false";
      }
    }
    if (flag == nullptr) {
      WarnUnknown(name, setting.at);
    } else if (const auto read = ReadValue(*flag, value)) {
      value = *read;
    } else {
      diagnostics_.Error(setting.at, fmt::format("--{} expects {}, not {}", name,
                                                 TypeText(flag->type), Quote(value)));
      return;
    }
    Set(name, value, setting.at);
  }

  ResolvedXlaFlags Finish() {
    std::string list;
    int modelled = 0, neutral = 0;
    for (const ResolvedXlaFlags::Flag& flag : out_.flags) {
      const XlaFlagSpec* spec = FindXlaFlag(NameOf(flag.text));
      const KeyUse use = spec == nullptr ? KeyUse::kUnmodelled : spec->UseOn(family_);
      modelled += use == KeyUse::kModelled ? 1 : 0;
      neutral += use == KeyUse::kNeutral ? 1 : 0;
      if (use == KeyUse::kUnmodelled) list += " " + flag.text;
    }
    if (!list.empty()) out_.not_modelled.push_back("XLA flags:" + list);
    if (const size_t count = out_.flags.size(); count > 0) {
      out_.notes.push_back(
          fmt::format("{} of {} XLA flag{} {} modelled{}; shardwise keys xla lists them", modelled,
                      count, count == 1 ? "" : "s", modelled == 1 ? "is" : "are",
                      neutral == 0 ? "" : fmt::format(", {} cannot change the time", neutral)));
    }
    return std::move(out_);
  }

 private:
  void Set(std::string_view name, const std::string& value, const Location& at) {
    std::string text = fmt::format("--{}={}", name, value);
    const auto before = std::find_if(out_.flags.begin(), out_.flags.end(),
                                     [&](const auto& flag) { return NameOf(flag.text) == name; });
    if (before != out_.flags.end()) {
      if (before->text != text) {
        out_.notes.push_back(fmt::format("{}: {} wins over {} ({})", at.ToText(), text,
                                         before->text, before->origin));
      }
      out_.flags.erase(before);
    }
    out_.flags.push_back({std::move(text), at.ToText()});
  }

  void WarnUnknown(std::string_view name, const Location& at) {
    const std::string hint = SuggestName(name, Table().names);
    out_.warnings.push_back(fmt::format("{}: XLA flag --{} is not known here{}{}", at.ToText(),
                                        name, hint.empty() ? "" : "; ", hint));
  }

  std::string_view family_;
  Diagnostics& diagnostics_;
  ResolvedXlaFlags out_;
};

}  // namespace

KeyUse XlaFlagSpec::UseOn(std::string_view family) const {
  if (families.empty()) return use;
  for (std::string_view rest = families; !rest.empty();) {
    if (NextField(rest, ',') == family) return use;
  }
  return elsewhere;
}

std::span<const XlaFlagSpec> AllXlaFlags() { return Table().flags; }

const XlaFlagSpec* FindXlaFlag(std::string_view name) {
  const auto& names = Table().names;
  const auto found = std::lower_bound(names.begin(), names.end(), name);
  if (found == names.end() || *found != name) return nullptr;
  return &Table().flags[static_cast<size_t>(found - names.begin())];
}

const ResolvedXlaFlags::Flag* ResolvedXlaFlags::Find(std::string_view name) const {
  for (const Flag& flag : flags) {
    if (NameOf(flag.text) == name) return &flag;
  }
  return nullptr;
}

std::vector<XlaFlagSetting> SplitXlaFlags(std::string_view text, const Location& at, bool strict,
                                          Diagnostics& diagnostics) {
  std::vector<XlaFlagSetting> settings;
  std::map<std::string_view, int> seen;
  const int column = ColumnOf(text, at);
  for (size_t i = 0; i < text.size();) {
    if (IsBlank(text[i])) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && !IsBlank(text[end])) ++end;
    const std::string_view token = text.substr(i, end - i);
    Location here = at;
    if (column > 0) {
      here.column = column + static_cast<int>(i);
      here.length = static_cast<int>(token.size());
    }
    if (!IsFlag(token, strict)) {
      diagnostics.Error(here, fmt::format("{} is not --name=value", Quote(token)));
    } else if (strict && ++seen[NameOf(token)] > 1) {
      diagnostics.Error(here, fmt::format("--{} is given twice", NameOf(token)));
    } else {
      settings.push_back({std::string(token), here});
    }
    i = end;
  }
  return settings;
}

ResolvedXlaFlags ResolveXlaFlags(const std::vector<XlaFlagSetting>& settings,
                                 std::string_view family, Diagnostics& diagnostics) {
  Resolver resolver(family, diagnostics);
  for (const XlaFlagSetting& setting : settings) resolver.Add(setting);
  return resolver.Finish();
}

}  // namespace shardwise
