#include "sim/search/sweep_spec_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/config/keys.h"
#include "sim/search/axis_values.h"
#include "sim/search/point_list.h"
#include "sim/search/sweep_names.h"

namespace shardwise {
namespace {

// The whole of a flag's argument.
Location FlagText(std::string_view flag, const std::string& text) {
  return {.source = FileSource(flag, text),
          .line = 1,
          .column = 1,
          .length = std::max(1, static_cast<int>(text.size()))};
}

Location Part(const Location& whole, size_t offset, size_t length) {
  Location at = whole;
  at.column += static_cast<int>(offset);
  at.length = std::max(1, static_cast<int>(length));
  return at;
}

// Enough to fill what Diagnostics shows; a long list of bad values is not looked at to its end.
constexpr int kMaxMistakes = 50;

class SpecReader {
 public:
  StatusOr<SweepSpec> Read(const SweepRequest& request) {
    if (request.section.has_value()) ReadSection(request.section->first, request.section->second);
    for (const std::string& set : request.sets) ReadSet(set);
    if (!request.list.empty()) ReadList(request.list);
    for (const std::string& zip : request.zips) ReadZip(zip);
    for (const std::string& text : request.where) AddConstraint(text, FlagText("--where", text));
    SW_RETURN_IF_ERROR(diagnostics_.ToStatus());
    SW_RETURN_IF_ERROR(Count(request.limit));
    return std::move(spec_);
  }

 private:
  struct Origin {
    bool flag = false;
    std::vector<Location> keys_at;
  };

  // Position of the axis that holds a key; -1: none does.
  int AxisOf(std::string_view key) const {
    for (size_t a = 0; a < spec_.axes.size(); ++a) {
      const std::vector<std::string>& keys = spec_.axes[a].keys;
      if (std::find(keys.begin(), keys.end(), key) != keys.end()) return static_cast<int>(a);
    }
    return -1;
  }

  // The key of that name, old names included; null after a diagnostic.
  const KeySpec* KeyOf(std::string_view name, const Location& at) {
    int key = FindKey(name);
    if (key < 0 && !RenamedKey(name).empty()) key = FindKey(RenamedKey(name));
    if (key >= 0) return &AllKeys()[static_cast<size_t>(key)];
    diagnostics_.Error(at, fmt::format("unknown key {}", Quote(name))).hint =
        SuggestName(name, AllKeyNames());
    ++mistakes_;
    return nullptr;
  }

  bool CheckLegal(const KeySpec& key, const YamlNode& value, const SourcePtr& source) {
    const std::optional<std::string> problem = CheckValue(key, value);
    if (!problem.has_value()) return true;
    Diagnostic& error = diagnostics_.Error(LocationOf(source, value), *problem);
    ++mistakes_;
    if (key.Allows("enum") && value.IsScalar()) error.hint = SuggestName(value.text, key.Choices());
    return false;
  }

  void AddAxis(std::string_view name, const Location& at, const std::vector<YamlNode>& values,
               bool flag) {
    const KeySpec* key = KeyOf(name, at);
    if (key == nullptr) return;
    SweepAxis axis = {.keys = {std::string(key->name)}, .rows = {}};
    for (const YamlNode& value : values) {
      if (mistakes_ > kMaxMistakes || !CheckLegal(*key, value, at.source)) return;
      axis.rows.push_back({value.ToFlow()});
    }
    CheckDistinct(axis, values, at.source);
    const int there = AxisOf(key->name);
    if (there < 0) {
      spec_.axes.push_back(std::move(axis));
      origins_.push_back({flag, {at}});
    } else if (const auto a = static_cast<size_t>(there); flag && !origins_[a].flag) {
      spec_.axes[a] = std::move(axis);
      origins_[a] = {flag, {at}};
    } else {
      diagnostics_.Error(at, fmt::format("{} is swept twice", key->name))
          .notes.push_back({origins_[a].keys_at.front(), "first here"});
    }
  }

  void CheckDistinct(const SweepAxis& axis, const std::vector<YamlNode>& values,
                     const SourcePtr& source) {
    std::vector<size_t> order(values.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto text = [&](size_t i) -> const std::string& { return *axis.rows[i][0]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return text(a) < text(b); });
    for (size_t i = 1; i < order.size(); ++i) {
      if (text(order[i]) != text(order[i - 1])) continue;
      diagnostics_.Error(LocationOf(source, values[order[i]]),
                         fmt::format("{} is given twice", Quote(text(order[i]))));
      return;
    }
  }

  void ReadSet(const std::string& text) {
    const Location whole = FlagText("--set", text);
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      diagnostics_.Error(whole, "expected key=values").help =
          "--set per_device_batch_size=1,2,4 or --set per_device_batch_size=1:16:*2";
      return;
    }
    const std::string_view values = std::string_view(text).substr(equals + 1);
    const auto parsed =
        ParseAxisValues(values, Part(whole, equals + 1, values.size()), diagnostics_);
    if (!parsed.has_value()) return;
    AddAxis(std::string_view(text).substr(0, equals), Part(whole, 0, equals), *parsed, true);
  }

  void ReadSection(const SourcePtr& source, const YamlNode& section) {
    if (section.IsNull()) return;
    if (!section.IsMap()) {
      diagnostics_.Error(LocationOf(source, section), "sweep expects a map");
      return;
    }
    for (size_t i = 0; i < section.keys.size(); ++i) {
      const YamlNode& name = section.keys[i];
      const YamlNode& value = section.children[i];
      if (name.text == "constraints" || name.text == "zip") continue;
      const auto values = ReadAxisValues(source, value, diagnostics_);
      if (values.has_value()) AddAxis(name.text, LocationOf(source, name), *values, false);
    }
    if (const YamlNode* zips = section.Find("zip")) ReadZipSection(source, *zips);
    if (const YamlNode* constraints = section.Find("constraints")) {
      ReadConstraints(source, *constraints);
    }
  }

  void ReadConstraints(const SourcePtr& source, const YamlNode& constraints) {
    const std::vector<YamlNode> one = {constraints};
    for (const YamlNode& text : constraints.IsSequence() ? constraints.children : one) {
      if (!text.IsScalar()) {
        diagnostics_.Error(LocationOf(source, text), "a constraint is a text");
        continue;
      }
      Location at = LocationOf(source, text);
      if (text.quoted) ++at.column;
      AddConstraint(text.text, at);
    }
  }

  void AddConstraint(const std::string& text, const Location& at) {
    auto constraint = Constraint::Parse(text, at, SweepConstraintNames(), diagnostics_);
    if (constraint.has_value()) spec_.constraints.push_back(*std::move(constraint));
  }

  void ReadZipSection(const SourcePtr& source, const YamlNode& zips) {
    const bool nested = zips.IsSequence() && !zips.children.empty() && !zips.children[0].IsScalar();
    const std::vector<YamlNode> one = {zips};
    for (const YamlNode& zip : nested ? zips.children : one) {
      std::vector<std::pair<std::string, Location>> keys;
      for (const YamlNode& key : zip.children) {
        keys.emplace_back(key.text, LocationOf(source, key));
      }
      Zip(keys, LocationOf(source, zip));
    }
  }

  void ReadZip(const std::string& text) {
    const Location whole = FlagText("--zip", text);
    std::vector<std::pair<std::string, Location>> keys;
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      keys.emplace_back(text.substr(begin, end - begin), Part(whole, begin, end - begin));
      begin = end + 1;
    }
    Zip(keys, whole);
  }

  // Merges the axes of the keys into one, in the place of the first.
  void Zip(const std::vector<std::pair<std::string, Location>>& keys, const Location& whole) {
    if (keys.size() < 2) {
      diagnostics_.Error(whole, "zip names two keys or more");
      return;
    }
    std::vector<size_t> axes;
    for (const auto& [key, at] : keys) {
      const int axis = AxisOf(key);
      if (axis < 0) {
        diagnostics_.Error(at, fmt::format("{} is not swept", Quote(key))).hint = SuggestSwept(key);
        return;
      }
      axes.push_back(static_cast<size_t>(axis));
      const bool twice = std::count(axes.begin(), axes.end(), axes.back()) > 1;
      if (twice || spec_.axes[axes.back()].keys.size() > 1) {
        diagnostics_.Error(at, fmt::format("{} already moves with another key", key));
        return;
      }
      const size_t count = spec_.axes[axes.back()].rows.size();
      if (const size_t first = spec_.axes[axes[0]].rows.size(); count != first) {
        diagnostics_.Error(
            at, fmt::format("{} has {} values, {} has {}", key, count, keys[0].first, first));
        return;
      }
    }
    Merge(axes);
  }

  std::string SuggestSwept(std::string_view key) const {
    const std::vector<std::string> swept = spec_.Keys();
    return SuggestName(key, std::vector<std::string_view>(swept.begin(), swept.end()));
  }

  void Merge(std::vector<size_t> axes) {
    SweepAxis& into = spec_.axes[axes[0]];
    for (size_t i = 1; i < axes.size(); ++i) {
      const SweepAxis& from = spec_.axes[axes[i]];
      into.keys.push_back(from.keys[0]);
      for (size_t r = 0; r < into.rows.size(); ++r) into.rows[r].push_back(from.rows[r][0]);
    }
    std::sort(axes.begin() + 1, axes.end(), std::greater<>());
    for (size_t i = 1; i < axes.size(); ++i) {
      spec_.axes.erase(spec_.axes.begin() + static_cast<std::ptrdiff_t>(axes[i]));
      origins_.erase(origins_.begin() + static_cast<std::ptrdiff_t>(axes[i]));
    }
  }

  // The points of a list are the slowest axis.
  void ReadList(const std::string& path) {
    const std::optional<PointList> list = ReadPointList(path, diagnostics_);
    if (!list.has_value()) return;
    SweepAxis axis;
    std::vector<const KeySpec*> keys;
    for (size_t k = 0; k < list->keys.size(); ++k) {
      const Location& at = list->keys_at[k];
      const KeySpec* key = KeyOf(list->keys[k], at);
      if (key == nullptr) continue;
      if (const int there = AxisOf(key->name); there >= 0) {
        diagnostics_.Error(at, fmt::format("{} is swept twice", key->name))
            .notes.push_back({origins_[static_cast<size_t>(there)].keys_at.front(), "first here"});
      }
      keys.push_back(key);
      axis.keys.emplace_back(key->name);
    }
    if (keys.size() != list->keys.size()) return;
    for (const auto& row : list->rows) {
      std::vector<SweptValue>& out = axis.rows.emplace_back();
      for (size_t k = 0; k < row.size(); ++k) {
        if (mistakes_ > kMaxMistakes) return;
        if (row[k].has_value()) CheckLegal(*keys[k], *row[k], list->source);
        out.push_back(row[k].has_value() ? SweptValue(row[k]->ToFlow()) : std::nullopt);
      }
    }
    spec_.axes.insert(spec_.axes.begin(), std::move(axis));
    origins_.insert(origins_.begin(), {true, list->keys_at});
  }

  Status Count(int64_t limit) {
    if (spec_.axes.empty()) {
      return InvalidArgument(
          "nothing to sweep over: --set key=values, --list FILE, or a file with a sweep: section");
    }
    for (const SweepAxis& axis : spec_.axes) {
      if (__builtin_mul_overflow(spec_.points, static_cast<int64_t>(axis.rows.size()),
                                 &spec_.points)) {
        return InvalidArgument("the axes have more than 2^63 points together");
      }
    }
    if (spec_.points > limit) {
      return InvalidArgument(
          "{} points are more than {}; leave values out, or allow them with --limit {}",
          spec_.points, limit, spec_.points);
    }
    return absl::OkStatus();
  }

  Diagnostics diagnostics_;
  SweepSpec spec_;
  std::vector<Origin> origins_;  // beside spec_.axes
  int mistakes_ = 0;
};

}  // namespace

StatusOr<SweepSpec> ReadSweepSpec(const SweepRequest& request) {
  return SpecReader().Read(request);
}

}  // namespace shardwise
