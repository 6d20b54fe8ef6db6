// One point of a sweep, from its values to its record.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sim/search/point_evaluator.h"
#include "sim/search/point_record.h"
#include "sim/search/sweep_plan.h"

namespace shardwise {

// For one thread.
class PointRunner {
 public:
  // Both must outlive the runner.
  PointRunner(const SweepPlan& plan, SharedCaches& caches);

  // Constraints are asked as soon as what they name is known: of swept keys alone before anything
  // else, of the resolved configuration before the simulation, of results after it.
  PointRecord Run(int64_t index);

 private:
  enum class Stage : uint8_t { kValues, kResolved, kSimulated };
  // A name of a constraint: a swept key, a result, or another key.
  struct Name {
    int swept = -1;
    const MetricColumn* result = nullptr;
    std::string key;
    ConstraintType type = ConstraintType::kAny;
  };
  struct Check {
    const Constraint* constraint = nullptr;
    std::vector<Name> names;
    Stage stage = Stage::kValues;
  };

  Check MakeCheck(const Constraint& constraint) const;
  // The constraint of a stage that does not hold; null: all hold.
  const Constraint* Broken(Stage stage, const PointRecord& record, const PointMetrics& metrics);
  ConstraintValue ValueOf(const Name& name, const PointRecord& record, const PointMetrics& metrics);
  std::string ResolvedValue(const std::string& key, const PointRecord& record);
  std::vector<Override> Overrides(const PointRecord& record) const;
  Status Simulate(PointRecord& record);
  StatusOr<int64_t> Chips(const Scenario& scenario);

  const SweepPlan& plan_;
  std::vector<std::string> keys_;
  std::vector<Check> checks_;
  PointEvaluator evaluator_;
  std::map<std::pair<std::string, int64_t>, int64_t> chips_;  // by topology and slices
  std::vector<ResolvedKey> resolved_;  // of the point being run, once a constraint has asked
};

// The sentence of a failed status: of the first diagnostic, without its place.
std::string FirstSentence(const Status& status);

}  // namespace shardwise
