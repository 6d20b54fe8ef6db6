#include "reports/step_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>

#include "kernels/base/check.h"
#include "reports/format.h"
#include "reports/render_json.h"
#include "reports/report_tables.h"
#include "sim/config/diagnostics.h"

namespace shardwise {
namespace {

double Change(double a, double b) { return Ratio(b - a, std::fabs(a)); }

// Items of both sides by name: a's order, then what only b has.
template <class T, class NameOf>
std::vector<std::pair<const T*, const T*>> Join(const std::vector<T>& a, const std::vector<T>& b,
                                                const NameOf& name_of) {
  std::map<std::string, size_t> place;
  std::vector<std::pair<const T*, const T*>> joined;
  const auto at = [&](const T& item) -> std::pair<const T*, const T*>& {
    const auto [found, is_new] = place.emplace(name_of(item), joined.size());
    if (is_new) joined.emplace_back(nullptr, nullptr);
    return joined[found->second];
  };
  for (const T& item : a) at(item).first = &item;
  for (const T& item : b) at(item).second = &item;
  return joined;
}

class Summary {
 public:
  Summary() {
    table_.columns = {{"quantity", "", Unit::kText},
                      {"a", "", Unit::kNumber},
                      {"b", "", Unit::kNumber},
                      {"change", "", Unit::kNumber},
                      {"change_fraction", "", Unit::kError},
                      {"", "quantity", Unit::kText},
                      {"", "A", Unit::kText},
                      {"", "B", Unit::kText},
                      {"", "change", Unit::kText}};
  }

  // `id` for machines; what people read is named and written by `write`.
  template <class Write>
  void Add(std::string id, std::string name, double a, double b, const Write& write) {
    table_.rows.push_back({std::move(id), a, b, b - a, Change(a, b), std::move(name), write(a),
                           write(b),
                           a == b ? std::string("=") : FormatSignedPercent(Change(a, b))});
  }

  Table Take() { return std::move(table_); }

 private:
  Table table_;
};

Table BuildSummary(const ResultFile& a, const ResultFile& b) {
  const auto plain = [](double value) { return fmt::format("{:.3f}", value); };
  const auto count = [](double value) { return FormatCount(static_cast<int64_t>(value)); };
  const auto percent = [](double value) { return FormatPercent(value); };
  const auto memory = [](double value) { return FormatGiB(static_cast<int64_t>(value)); };
  const auto time = [](double value) { return FormatTime({std::llround(value * 1e12)}); };
  Summary summary;
  summary.Add("step_time_s", "step", a.step_time.seconds(), b.step_time.seconds(), time);
  summary.Add("tokens_per_step", "tokens per step", static_cast<double>(a.tokens),
              static_cast<double>(b.tokens), count);
  summary.Add("tokens_per_s_per_device", "tokens/s/device", a.tokens_per_s_per_device,
              b.tokens_per_s_per_device, plain);
  summary.Add("tflops_per_device", "model TFLOP/s/device", a.tflops_per_device, b.tflops_per_device,
              plain);
  summary.Add("mfu", "MFU", a.mfu, b.mfu, percent);
  summary.Add("hfu", "HFU", a.hfu, b.hfu, percent);
  summary.Add("mxu_utilization", "MXU utilization", a.mxu_utilization, b.mxu_utilization, percent);
  summary.Add("hbm_utilization", "HBM utilization", a.hbm_utilization, b.hbm_utilization, percent);
  summary.Add("hbm_peak_bytes", "HBM peak", static_cast<double>(a.hbm_peak_bytes),
              static_cast<double>(b.hbm_peak_bytes), memory);
  summary.Add("hbm_usable_bytes", "HBM usable", static_cast<double>(a.hbm_usable_bytes),
              static_cast<double>(b.hbm_usable_bytes), memory);
  summary.Add("host_temp_bytes", "host memory", static_cast<double>(a.host_bytes),
              static_cast<double>(b.host_bytes), memory);
  return summary.Take();
}

Table KeyTable() {
  Table table;
  table.columns = {{"key", "key", Unit::kText},
                   {"a", "A", Unit::kText, 24},
                   {"b", "B", Unit::kText, 24},
                   {"origin_a", "origin of A", Unit::kText, -30},
                   {"origin_b", "origin of B", Unit::kText, -30}};
  return table;
}

Table BuildKeys(const std::vector<ResultKey>& a, const std::vector<ResultKey>& b) {
  Table table = KeyTable();
  const auto joined = Join(a, b, [](const ResultKey& key) { return key.name; });
  // What follows from other keys comes last.
  for (const bool computed : {false, true}) {
    for (const auto& [left, right] : joined) {
      const ResultKey none;
      const ResultKey& x = left == nullptr ? none : *left;
      const ResultKey& y = right == nullptr ? none : *right;
      if (x.value == y.value && left != nullptr && right != nullptr) continue;
      if ((x.origin == "computed" && y.origin == "computed") != computed) continue;
      table.rows.push_back(
          {left == nullptr ? y.name : x.name, x.value, y.value, x.origin, y.origin});
    }
  }
  return table;
}

void AddFlags(const ResultFile& a, const ResultFile& b, Table& keys) {
  const auto flags_of = [](const ResultFile& result) {
    std::vector<ResultKey> flags;
    for (const std::string& flag : result.xla_flags) {
      const size_t equals = std::min(flag.find('='), flag.size());
      ResultKey key = {flag.substr(0, equals), flag.substr(std::min(equals + 1, flag.size())),
                       "XLA flag"};
      std::erase_if(flags, [&](const ResultKey& before) { return before.name == key.name; });
      flags.push_back(std::move(key));
    }
    return flags;
  };
  Table more = BuildKeys(flags_of(a), flags_of(b));
  for (auto& row : more.rows) keys.rows.push_back(std::move(row));
}

// Times of both sides by id; the largest changes first, the whole last.
Table BuildTimes(const std::vector<ResultTime>& a, const std::vector<ResultTime>& b,
                 std::string label) {
  Table table;
  table.columns = {{"id", "", Unit::kText},
                   {"group", "", Unit::kText},
                   {"name", std::move(label), Unit::kText},
                   {"a_ps", "", Unit::kPicoseconds},
                   {"b_ps", "", Unit::kPicoseconds},
                   {"change_ps", "", Unit::kPicoseconds},
                   {"a_s", "A", Unit::kSeconds},
                   {"b_s", "B", Unit::kSeconds},
                   {"change_s", "change", Unit::kTimeChange}};
  Duration sum_a, sum_b;
  const auto add = [&](std::string id, std::string group, std::string name, Duration x,
                       Duration y) {
    table.rows.push_back(
        {std::move(id), std::move(group), std::move(name), x, y, y - x, x, y, y - x});
  };
  for (const auto& [left, right] : Join(a, b, [](const ResultTime& time) { return time.id; })) {
    const ResultTime& any = left == nullptr ? *right : *left;
    const Duration x = left == nullptr ? Duration{} : left->time;
    const Duration y = right == nullptr ? Duration{} : right->time;
    std::string id = any.id;
    std::replace(id.begin(), id.end(), '\n', ' ');
    add(std::move(id), any.group, any.name, x, y);
    sum_a += x;
    sum_b += y;
  }
  std::stable_sort(table.rows.begin(), table.rows.end(), [](const auto& x, const auto& y) {
    return std::llabs(std::get<Duration>(x[5]).ps) > std::llabs(std::get<Duration>(y[5]).ps);
  });
  add("step", "", "step", sum_a, sum_b);
  return table;
}

Table BuildCollectives(const std::vector<ResultCollective>& a,
                       const std::vector<ResultCollective>& b) {
  Table table;
  table.columns = {{"kind", "collective", Unit::kText},
                   {"axes", "axes", Unit::kText},
                   {"count_a", "", Unit::kCount},
                   {"count_b", "", Unit::kCount},
                   {"bytes_a", "sent A", Unit::kBytes},
                   {"bytes_b", "sent B", Unit::kBytes},
                   {"busy_a_s", "", Unit::kSeconds},
                   {"busy_b_s", "", Unit::kSeconds},
                   {"exposed_a_s", "exposed A", Unit::kSeconds},
                   {"exposed_b_s", "exposed B", Unit::kSeconds},
                   {"exposed_change_s", "change", Unit::kTimeChange}};
  const auto name_of = [](const ResultCollective& c) { return c.kind + "\n" + c.axes; };
  for (const auto& [left, right] : Join(a, b, name_of)) {
    const ResultCollective none;
    const ResultCollective& x = left == nullptr ? none : *left;
    const ResultCollective& y = right == nullptr ? none : *right;
    const ResultCollective& any = left == nullptr ? y : x;
    table.rows.push_back({any.kind, any.axes, x.count, y.count, x.bytes, y.bytes, x.busy, y.busy,
                          x.exposed, y.exposed, y.exposed - x.exposed});
  }
  const auto change = static_cast<size_t>(table.Find("exposed_change_s"));
  std::stable_sort(table.rows.begin(), table.rows.end(), [&](const auto& x, const auto& y) {
    return std::llabs(std::get<Duration>(x[change]).ps) >
           std::llabs(std::get<Duration>(y[change]).ps);
  });
  return table;
}

Table BuildMemory(const ResultFile& a, const ResultFile& b) {
  Table table;
  table.columns = {{"role", "held at the peak", Unit::kText},
                   {"a_bytes", "A", Unit::kMemory},
                   {"b_bytes", "B", Unit::kMemory},
                   {"change_bytes", "change", Unit::kMemoryChange}};
  const auto add = [&](const std::string& name, int64_t x, int64_t y) {
    table.rows.push_back({name, x, y, y - x});
  };
  using Role = std::pair<std::string, int64_t>;
  int64_t rest_a = a.hbm_peak_bytes, rest_b = b.hbm_peak_bytes;
  for (const auto& [left, right] :
       Join(a.memory, b.memory, [](const Role& role) { return role.first; })) {
    const int64_t x = left == nullptr ? 0 : left->second;
    const int64_t y = right == nullptr ? 0 : right->second;
    add(left == nullptr ? right->first : left->first, x, y);
    rest_a -= x;
    rest_b -= y;
  }
  if (rest_a != 0 || rest_b != 0) add("not listed", rest_a, rest_b);
  std::stable_sort(table.rows.begin(), table.rows.end(), [](const auto& x, const auto& y) {
    return std::llabs(std::get<int64_t>(x[3])) > std::llabs(std::get<int64_t>(y[3]));
  });
  add("peak", a.hbm_peak_bytes, b.hbm_peak_bytes);
  return table;
}

std::vector<std::string> BuildNotes(const ResultFile& a, const ResultFile& b) {
  std::vector<std::string> notes;
  const auto differ = [&](std::string_view what, const std::string& x, const std::string& y) {
    if (x != y) notes.push_back(fmt::format("{}: {} and {}", what, x, y));
  };
  differ("program versions", a.tool_version, b.tool_version);
  differ("models", a.model, b.model);
  differ("topologies", a.topology, b.topology);
  if (a.tokens != b.tokens) {
    notes.push_back(fmt::format(
        "tokens per step differ: per token B takes {}",
        FormatSignedPercent(Change(a.step_time.seconds() / static_cast<double>(a.tokens),
                                   b.step_time.seconds() / static_cast<double>(b.tokens)))));
  }
  for (const auto& [result, name] : {std::pair(&a, "A"), std::pair(&b, "B")}) {
    if (!result->fits) notes.push_back(fmt::format("{} does not fit into memory", name));
  }
  return notes;
}

}  // namespace

ResultFile ResultOf(const Report& report) {
  StatusOr<ResultFile> result = ParseResult(RenderJson(report), "report");
  SW_CHECK(result.ok(), "{}", Message(result.status()));
  return *std::move(result);
}

StepDiff CompareSteps(const ResultFile& a, std::string_view name_a, const ResultFile& b,
                      std::string_view name_b) {
  StepDiff diff;
  diff.name_a = name_a;
  diff.name_b = name_b;
  diff.time_a = a.step_time;
  diff.time_b = b.step_time;
  diff.time_change = Change(a.step_time.seconds(), b.step_time.seconds());
  diff.per_token_change = Change(a.step_time.seconds() / static_cast<double>(a.tokens),
                                 b.step_time.seconds() / static_cast<double>(b.tokens));
  diff.fits_a = a.fits;
  diff.fits_b = b.fits;
  diff.summary = BuildSummary(a, b);
  diff.keys = BuildKeys(a.config, b.config);
  AddFlags(a, b, diff.keys);
  diff.waterfall = BuildTimes(a.waterfall, b.waterfall, "bar of the waterfall");
  diff.causes = BuildTimes(a.causes, b.causes, "cause");
  diff.collectives = BuildCollectives(a.collectives, b.collectives);
  diff.memory = BuildMemory(a, b);
  diff.constants = BuildKeys(a.constants, b.constants);
  diff.notes = BuildNotes(a, b);
  return diff;
}

StatusOr<DiffThreshold> ParseThreshold(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 5> kUnits = {
      {{"ps", 1}, {"ns", 1e3}, {"us", 1e6}, {"ms", 1e9}, {"s", 1e12}}};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  constexpr double kMost = 1e6;
  if (error == std::errc() && value >= 0 && value <= kMost) {
    DiffThreshold threshold;
    if (unit == "%") {
      threshold.fraction = value / 100;
      return threshold;
    }
    for (const auto& [name, ps] : kUnits) {
      if (unit != name) continue;
      threshold.time = {std::llround(value * ps)};
      return threshold;
    }
  }
  return InvalidArgument("--threshold {} is no share or time; for example 1% or 5ms", Quote(text));
}

std::optional<std::string> Regression(const StepDiff& diff, const DiffThreshold& threshold) {
  if (diff.fits_a && !diff.fits_b) return "B does not fit, A does";
  const double seconds = diff.time_a.seconds() * diff.per_token_change;
  const double allowed = diff.time_a.seconds() * threshold.fraction + threshold.time.seconds();
  if (seconds <= allowed) return std::nullopt;
  return fmt::format("B is {} slower, more than {}", FormatTime({std::llround(seconds * 1e12)}),
                     FormatTime({std::llround(allowed * 1e12)}));
}

}  // namespace shardwise
