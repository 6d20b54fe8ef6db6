#include "sim/search/point_runner.h"

#include <algorithm>
#include <utility>

#include "sim/config/keys.h"
#include "sim/machine/topology.h"
#include "sim/search/sweep_names.h"

namespace shardwise {
namespace {

// YAML flow text as what a constraint compares.
ConstraintValue ParseConstraintValue(const std::string& flow, ConstraintType type) {
  Diagnostics ignored;
  const std::optional<YamlNode> node = ParseYaml(flow, Location(), ignored);
  if (!node.has_value() || !node->IsScalar()) return flow;
  if (node->IsNull() && !node->quoted) return {};
  if (type == ConstraintType::kText) return node->text;
  if (const auto flag = node->AsBool()) return *flag;
  if (const auto number = node->AsDouble()) return *number;
  return node->text;
}

ConstraintValue ResultOf(const MetricColumn& column, const PointMetrics& metrics) {
  return std::visit(
      [&](auto field) -> ConstraintValue {
        if constexpr (std::is_same_v<decltype(field), int64_t PointMetrics::*>) {
          return static_cast<double>(metrics.*field);
        } else {
          return metrics.*field;
        }
      },
      column.field);
}

Outcome OutcomeOf(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return Outcome::kIllegal;
    case absl::StatusCode::kUnimplemented:
      return Outcome::kNotModelled;
    default:
      return Outcome::kFailed;
  }
}

PointMetrics ResolvedMetrics(const Scenario& scenario, int64_t chips) {
  PointMetrics metrics;
  metrics.model = scenario.model.model_name;
  metrics.topology = scenario.topology.name;
  metrics.precision = scenario.model.quantization == Quantization::kNone ? "bf16" : "fp8";
  metrics.chips = chips;
  metrics.devices = scenario.mesh.devices();
  metrics.global_batch_size = scenario.model.global_batch_size;
  metrics.sequence_length = scenario.model.max_target_length;
  return metrics;
}

void AddResults(const PointResult& result, PointMetrics& metrics) {
  metrics.step_time_s = result.step_time.seconds();
  metrics.tflops_per_chip = result.metrics.tflops_per_chip;
  metrics.tokens_per_s_per_chip = result.metrics.tokens_per_s_per_chip;
  metrics.mfu = result.metrics.mfu;
  metrics.hfu = result.metrics.hfu;
  metrics.hbm_peak_bytes = result.hbm_peak_bytes;
  metrics.hbm_usable_bytes = result.hbm_usable_bytes;
  metrics.bound_by = result.bound_by;
  metrics.lower_bound = result.lower_bound;
  metrics.exposed_axes = result.exposed_axes;
  metrics.exposed_s = result.exposed_time.seconds();
}

std::string OutOfMemoryText(const PointMetrics& metrics) {
  MemoryProfile profile;
  profile.peak_bytes = metrics.hbm_peak_bytes;
  profile.usable_bytes = metrics.hbm_usable_bytes;
  return profile.OutOfMemoryText();
}

}  // namespace

std::string FirstSentence(const Status& status) {
  constexpr size_t kLongest = 500;
  constexpr std::string_view kMark = "error: ";
  const std::string text = Message(status);
  std::string line = text.substr(0, text.find('\n'));
  if (const size_t mark = line.find(kMark); mark != std::string::npos) {
    line.erase(0, mark + kMark.size());
  }
  if (line.size() > kLongest) line.resize(kLongest);
  return line;
}

PointRunner::PointRunner(const SweepPlan& plan, SharedCaches& caches)
    : plan_(plan), keys_(plan.spec.Keys()), evaluator_(caches) {
  for (const Constraint& constraint : plan.spec.constraints) {
    checks_.push_back(MakeCheck(constraint));
  }
}

PointRunner::Check PointRunner::MakeCheck(const Constraint& constraint) const {
  Check check = {.constraint = &constraint, .names = {}, .stage = Stage::kValues};
  for (const std::string& text : constraint.names()) {
    Name& name = check.names.emplace_back();
    name.type = SweepConstraintNames().find(text).value_or(ConstraintType::kAny);
    Stage stage = Stage::kValues;
    if (const auto key = std::find(keys_.begin(), keys_.end(), text); key != keys_.end()) {
      name.swept = static_cast<int>(key - keys_.begin());
    } else if (name.result = FindResult(text); name.result != nullptr) {
      stage = name.result->resolved ? Stage::kResolved : Stage::kSimulated;
    } else {
      name.key = text;
      stage = Stage::kResolved;
    }
    check.stage = std::max(check.stage, stage);
  }
  return check;
}

std::vector<Override> PointRunner::Overrides(const PointRecord& record) const {
  std::vector<Override> overrides;
  for (size_t k = 0; k < keys_.size(); ++k) {
    if (record.values[k].has_value()) overrides.emplace_back(keys_[k], *record.values[k]);
  }
  return overrides;
}

// Of a key that is not swept: other keys may decide it, model_name above all.
std::string PointRunner::ResolvedValue(const std::string& key, const PointRecord& record) {
  if (resolved_.empty()) {
    std::vector<std::string> arguments = plan_.arguments;
    for (const auto& [name, value] : Overrides(record)) arguments.push_back(name + "=" + value);
    StatusOr<Scenario> scenario = LoadScenario(arguments, plan_.environment);
    if (scenario.ok()) resolved_ = std::move(scenario->keys);
  }
  for (const ResolvedKey& resolved : resolved_) {
    if (resolved.name == key) return resolved.value;
  }
  return "null";
}

ConstraintValue PointRunner::ValueOf(const Name& name, const PointRecord& record,
                                     const PointMetrics& metrics) {
  if (name.result != nullptr) return ResultOf(*name.result, metrics);
  if (name.swept < 0) return ParseConstraintValue(ResolvedValue(name.key, record), name.type);
  const SweptValue& value = record.values[static_cast<size_t>(name.swept)];
  return value.has_value() ? ParseConstraintValue(*value, name.type) : ConstraintValue();
}

const Constraint* PointRunner::Broken(Stage stage, const PointRecord& record,
                                      const PointMetrics& metrics) {
  for (const Check& check : checks_) {
    if (check.stage != stage) continue;
    std::vector<ConstraintValue> values;
    for (const Name& name : check.names) values.push_back(ValueOf(name, record, metrics));
    if (!check.constraint->Holds(values)) return check.constraint;
  }
  return nullptr;
}

StatusOr<int64_t> PointRunner::Chips(const Scenario& scenario) {
  const std::pair key(scenario.topology.name, scenario.topology.num_slices);
  if (const auto known = chips_.find(key); known != chips_.end()) return known->second;
  SW_ASSIGN_OR_RETURN(const Topology topology, LoadTopology(key.first, key.second));
  return chips_[key] = topology.chips();
}

Status PointRunner::Simulate(PointRecord& record) {
  const auto broken = [&](Stage stage, const PointMetrics& metrics) {
    const Constraint* constraint = Broken(stage, record, metrics);
    if (constraint == nullptr) return false;
    record.outcome = Outcome::kFiltered;
    record.message = constraint->text();
    return true;
  };
  if (broken(Stage::kValues, {})) return absl::OkStatus();
  SW_ASSIGN_OR_RETURN(const Scenario scenario, plan_.base.Resolve(Overrides(record)));
  SW_ASSIGN_OR_RETURN(const int64_t chips, Chips(scenario));
  PointMetrics metrics = ResolvedMetrics(scenario, chips);
  if (broken(Stage::kResolved, metrics)) return absl::OkStatus();
  SW_ASSIGN_OR_RETURN(const PointResult result, evaluator_.Evaluate(scenario));
  AddResults(result, metrics);
  record.metrics = metrics;
  if (!result.fits) {
    record.outcome = Outcome::kDoesNotFit;
    record.message = OutOfMemoryText(metrics);
  } else {
    broken(Stage::kSimulated, metrics);
  }
  return absl::OkStatus();
}

PointRecord PointRunner::Run(int64_t index) {
  resolved_.clear();
  PointRecord record;
  record.index = index;
  record.values = plan_.spec.Values(index);
  if (const Status status = Simulate(record); !status.ok()) {
    record.outcome = OutcomeOf(status);
    record.message = FirstSentence(status);
  }
  return record;
}

}  // namespace shardwise
