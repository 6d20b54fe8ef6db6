#include "sim/search/point_evaluator.h"

#include <algorithm>
#include <list>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>
#include <vector>

#include "sim/search/batch_family.h"
#include "sim/search/batch_runner.h"

namespace shardwise {
namespace {

// A family has the size of a few programs, so few are kept: points come grouped.
constexpr size_t kFamilies = 16;
constexpr size_t kResultsPerFamily = 4096;

// A scenario but for its batch, as far as evaluation asks.
struct Setup {
  ModelConfig model;  // batch 0
  Mesh mesh;
  LogicalAxisRules rules;
  TopologyRequest topology;
  SimSettings sim;
  std::vector<std::string> xla_flags;

  bool operator==(const Setup&) const = default;
};

Setup SetupOf(const Scenario& scenario) {
  Setup setup{scenario.model,    scenario.mesh, scenario.rules,
              scenario.topology, scenario.sim,  scenario.xla_flags};
  setup.model.global_batch_size = 0;
  return setup;
}

// All that is known of one setup.
struct Batches {
  explicit Batches(Setup of) : setup(std::move(of)) {}

  const Setup setup;
  std::mutex mutex;  // of what follows
  std::map<int64_t, PointResult> results;
  std::shared_ptr<const Placement> placement;
  std::shared_ptr<const Pricer> pricer;
  std::unique_ptr<BatchStep> first;  // of the first batch, until there is a family
  std::shared_ptr<const BatchFamily> family;
  bool irregular = false;  // no two batches are of one family

  PointResult Keep(const Scenario& scenario, PointResult result) {
    if (results.size() == kResultsPerFamily) results.clear();
    return results[scenario.model.global_batch_size] = std::move(result);
  }
};

Status PlaceAndPrice(const Scenario& scenario, Batches& batches) {
  SW_ASSIGN_OR_RETURN(const Topology topology,
                      LoadTopology(scenario.topology.name, scenario.topology.num_slices));
  SW_ASSIGN_OR_RETURN(Placement placement, PlaceMesh(topology, scenario.mesh,
                                                     scenario.topology.allow_split_physical_axes));
  SW_ASSIGN_OR_RETURN(const double clock_hz, topology.chip.ClockHz(scenario.sim.dvfs_p_state));
  batches.placement = std::make_shared<const Placement>(std::move(placement));
  batches.pricer =
      std::make_shared<const Pricer>(*batches.placement, CostOptions{clock_hz, scenario.xla_flags});
  return absl::OkStatus();
}

// A family of the first batch and the scenario's: from the lower of them far enough up for the
// batches to come, as far as the structure stays.
Status MakeFamily(const Scenario& scenario, Batches& batches) {
  const int64_t batch = scenario.model.global_batch_size;
  BatchStep low = std::move(*batches.first);
  batches.first.reset();
  const int64_t largest = std::max(batch, low.batch);
  if (batch < low.batch) {
    SW_ASSIGN_OR_RETURN(low, BuildBatchStep(scenario, std::gcd(batch, low.batch)));
  }
  for (const int64_t factor : {64, 16, 4, 2}) {
    if (low.batch * factor < largest) break;
    SW_ASSIGN_OR_RETURN(const BatchStep high, BuildBatchStep(scenario, low.batch * factor));
    batches.family = BatchFamily::Between(low, high, scenario.mesh);
    if (batches.family != nullptr) return absl::OkStatus();
  }
  batches.irregular = true;
  return absl::OkStatus();
}

StatusOr<PointResult> EvaluateWhole(const Scenario& scenario) {
  SW_ASSIGN_OR_RETURN(const auto evaluation, Evaluate(scenario));
  return PointResultOf(*evaluation);
}

}  // namespace

struct SharedCaches::Rep {
  // The entry of the scenario's setup; the least recently used one makes room.
  std::shared_ptr<Batches> Find(const Scenario& scenario) {
    Setup setup = SetupOf(scenario);
    const std::lock_guard lock(mutex);
    auto found = std::find_if(recent.begin(), recent.end(),
                              [&](const auto& batches) { return batches->setup == setup; });
    if (found != recent.end()) {
      recent.splice(recent.begin(), recent, found);
    } else {
      recent.push_front(std::make_shared<Batches>(std::move(setup)));
      if (recent.size() > kFamilies) recent.pop_back();
    }
    return recent.front();
  }

  std::mutex mutex;
  std::list<std::shared_ptr<Batches>> recent;
};

struct PointEvaluator::Rep {
  explicit Rep(SharedCaches::Rep& of) : caches(of) {}

  StatusOr<PointResult> Evaluate(const Scenario& scenario);
  StatusOr<PointResult> EvaluateShared(const Scenario& scenario);
  StatusOr<PointResult> EvaluateInFamily(const Scenario& scenario, Batches& batches);

  SharedCaches::Rep& caches;
  std::unique_ptr<BatchRunner> runner;  // of the latest family
};

StatusOr<PointResult> PointEvaluator::Rep::Evaluate(const Scenario& scenario) {
  // What partitioning would warn of is not kept, and under sim.strict refused.
  if (scenario.sim.strict) return EvaluateWhole(scenario);
  StatusOr<PointResult> result = EvaluateShared(scenario);
  // Of several errors the first is the one of a whole evaluation.
  return result.ok() ? std::move(result) : EvaluateWhole(scenario);
}

StatusOr<PointResult> PointEvaluator::Rep::EvaluateShared(const Scenario& scenario) {
  const std::shared_ptr<Batches> batches = caches.Find(scenario);
  {
    const std::lock_guard lock(batches->mutex);
    const auto known = batches->results.find(scenario.model.global_batch_size);
    if (known != batches->results.end()) return known->second;
    if (batches->pricer == nullptr) SW_RETURN_IF_ERROR(PlaceAndPrice(scenario, *batches));
    if (batches->family == nullptr && !batches->irregular) {
      if (batches->first == nullptr) {
        SW_ASSIGN_OR_RETURN(BatchStep step,
                            BuildBatchStep(scenario, scenario.model.global_batch_size));
        SW_ASSIGN_OR_RETURN(PointResult result, EvaluateStep(scenario, step, *batches->placement));
        batches->first = std::make_unique<BatchStep>(std::move(step));
        return batches->Keep(scenario, std::move(result));
      }
      SW_RETURN_IF_ERROR(MakeFamily(scenario, *batches));
    }
  }
  SW_ASSIGN_OR_RETURN(PointResult result, EvaluateInFamily(scenario, *batches));
  const std::lock_guard lock(batches->mutex);
  return batches->Keep(scenario, std::move(result));
}

StatusOr<PointResult> PointEvaluator::Rep::EvaluateInFamily(const Scenario& scenario,
                                                            Batches& batches) {
  std::vector<int64_t> sizes;
  if (batches.family == nullptr ||
      !batches.family->SizesAt(scenario.model.global_batch_size, sizes)) {
    SW_ASSIGN_OR_RETURN(BatchStep step, BuildBatchStep(scenario, scenario.model.global_batch_size));
    return EvaluateStep(scenario, step, *batches.placement);
  }
  if (runner == nullptr || runner->family() != batches.family.get()) {
    SW_ASSIGN_OR_RETURN(const SchedulePolicy policy, ParseSchedulePolicy(scenario.sim.policy));
    runner = std::make_unique<BatchRunner>(batches.family, batches.pricer, policy);
  }
  return runner->Run(scenario, sizes);
}

SharedCaches::SharedCaches() : rep_(std::make_unique<Rep>()) {}
SharedCaches::~SharedCaches() = default;

PointEvaluator::PointEvaluator(SharedCaches& caches) : rep_(std::make_unique<Rep>(*caches.rep_)) {}
PointEvaluator::~PointEvaluator() = default;

StatusOr<PointResult> PointEvaluator::Evaluate(const Scenario& scenario) {
  return rep_->Evaluate(scenario);
}

}  // namespace shardwise
