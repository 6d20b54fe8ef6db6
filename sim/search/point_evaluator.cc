#include "sim/search/point_evaluator.h"

#include <algorithm>
#include <condition_variable>
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
constexpr size_t kFamilies = 4;
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
  std::condition_variable changed;
  std::map<int64_t, PointResult> results;
  std::shared_ptr<const Placement> placement;
  std::shared_ptr<const Pricer> pricer;
  // A thread evaluates the first batch while the next one builds the other end of a family.
  int64_t first_batch = 0;           // 0: nobody has begun
  std::unique_ptr<BatchStep> first;  // when it is built, until there is a family
  bool first_done = false;
  bool family_begun = false;
  std::shared_ptr<const BatchFamily> family;
  bool failed = false;     // a step could not be built
  bool irregular = false;  // no two batches are of one family

  bool Knows(const Scenario& scenario) const {
    return results.count(scenario.model.global_batch_size) > 0;
  }
  PointResult Keep(const Scenario& scenario, PointResult result) {
    if (results.size() == kResultsPerFamily) results.clear();
    return results[scenario.model.global_batch_size] = std::move(result);
  }
};

// Sets a flag and wakes those who wait, if not told in time that all went well.
class FailureMark {
 public:
  explicit FailureMark(Batches& batches) : batches_(batches) {}
  ~FailureMark() {
    if (passed_) return;
    const std::lock_guard lock(batches_.mutex);
    batches_.failed = true;
    batches_.changed.notify_all();
  }
  FailureMark(const FailureMark&) = delete;
  FailureMark& operator=(const FailureMark&) = delete;
  void Pass() { passed_ = true; }

 private:
  Batches& batches_;
  bool passed_ = false;
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

// The first batch of the setup, which becomes one end of its family.
StatusOr<PointResult> EvaluateFirst(const Scenario& scenario, Batches& batches) {
  FailureMark mark(batches);
  SW_ASSIGN_OR_RETURN(BatchStep step, BuildBatchStep(scenario, scenario.model.global_batch_size));
  SW_ASSIGN_OR_RETURN(PointResult result, EvaluateStep(scenario, step, *batches.placement));
  mark.Pass();
  const std::lock_guard lock(batches.mutex);
  batches.first = std::make_unique<BatchStep>(std::move(step));
  batches.first_done = true;
  batches.changed.notify_all();
  return batches.Keep(scenario, std::move(result));
}

// A family of the first batch and the scenario's: from the lower of them far enough up for the
// batches to come, as far as the structure stays.
Status MakeFamily(const Scenario& scenario, Batches& batches) {
  FailureMark mark(batches);
  const int64_t batch = scenario.model.global_batch_size;
  const bool upwards = batch > batches.first_batch;
  const int64_t lowest = upwards ? batches.first_batch : std::gcd(batch, batches.first_batch);
  const int64_t largest = std::max(batch, batches.first_batch);
  std::unique_ptr<BatchStep> low;
  std::unique_ptr<const BatchFamily> family;
  for (const int64_t factor : {64, 16, 4, 2}) {
    if (family != nullptr || lowest * factor < largest) break;
    SW_ASSIGN_OR_RETURN(const BatchStep high, BuildBatchStep(scenario, lowest * factor));
    if (low == nullptr && upwards) {
      std::unique_lock lock(batches.mutex);
      batches.changed.wait(lock, [&] { return batches.first != nullptr || batches.failed; });
      if (batches.failed) return InvalidArgument("the first batch could not be evaluated");
      low = std::move(batches.first);
    } else if (low == nullptr) {
      SW_ASSIGN_OR_RETURN(BatchStep step, BuildBatchStep(scenario, lowest));
      low = std::make_unique<BatchStep>(std::move(step));
    }
    family = BatchFamily::Between(*low, high, scenario.mesh);
  }
  mark.Pass();
  const std::lock_guard lock(batches.mutex);
  batches.irregular = family == nullptr;
  batches.family = std::move(family);
  batches.changed.notify_all();
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
  StatusOr<PointResult> EvaluateInFamily(const Scenario& scenario, const Batches& batches);
  BatchRunner& RunnerOf(const Batches& batches, SchedulePolicy policy);

  SharedCaches::Rep& caches;
  std::list<BatchRunner> runners;  // of the latest families
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
    std::unique_lock lock(batches->mutex);
    if (batches->Knows(scenario)) return batches->results[scenario.model.global_batch_size];
    if (batches->pricer == nullptr) SW_RETURN_IF_ERROR(PlaceAndPrice(scenario, *batches));
    if (batches->first_batch == 0) {
      batches->first_batch = scenario.model.global_batch_size;
      lock.unlock();
      return EvaluateFirst(scenario, *batches);
    }
    if (batches->first_batch == scenario.model.global_batch_size) {
      batches->changed.wait(lock, [&] { return batches->first_done || batches->failed; });
      if (batches->Knows(scenario)) return batches->results[batches->first_batch];
    } else if (!std::exchange(batches->family_begun, true)) {
      lock.unlock();
      SW_RETURN_IF_ERROR(MakeFamily(scenario, *batches));
    } else {
      batches->changed.wait(lock, [&] {
        return batches->family != nullptr || batches->irregular || batches->failed;
      });
    }
  }
  SW_ASSIGN_OR_RETURN(PointResult result, EvaluateInFamily(scenario, *batches));
  const std::lock_guard lock(batches->mutex);
  return batches->Keep(scenario, std::move(result));
}

StatusOr<PointResult> PointEvaluator::Rep::EvaluateInFamily(const Scenario& scenario,
                                                            const Batches& batches) {
  BatchValues values;
  if (batches.family == nullptr ||
      !batches.family->ValuesAt(scenario.model.global_batch_size, values)) {
    SW_ASSIGN_OR_RETURN(BatchStep step, BuildBatchStep(scenario, scenario.model.global_batch_size));
    return EvaluateStep(scenario, step, *batches.placement);
  }
  SW_ASSIGN_OR_RETURN(const SchedulePolicy policy, ParseSchedulePolicy(scenario.sim.policy));
  return RunnerOf(batches, policy).Run(scenario, values);
}

// The runner of the family; the least recently used one makes room.
BatchRunner& PointEvaluator::Rep::RunnerOf(const Batches& batches, SchedulePolicy policy) {
  const auto found = std::find_if(runners.begin(), runners.end(), [&](const BatchRunner& runner) {
    return runner.family() == batches.family.get();
  });
  if (found != runners.end()) {
    runners.splice(runners.begin(), runners, found);
  } else {
    runners.emplace_front(batches.family, batches.pricer, batches.placement, policy);
    if (runners.size() > kFamilies) runners.pop_back();
  }
  return runners.front();
}

SharedCaches::SharedCaches() : rep_(std::make_unique<Rep>()) {}
SharedCaches::~SharedCaches() = default;

PointEvaluator::PointEvaluator(SharedCaches& caches) : rep_(std::make_unique<Rep>(*caches.rep_)) {}
PointEvaluator::~PointEvaluator() = default;

StatusOr<PointResult> PointEvaluator::Evaluate(const Scenario& scenario) {
  return rep_->Evaluate(scenario);
}

}  // namespace shardwise
