#include "sim/sched/engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

// A flow whose rest is shorter than this has ended: far below the picosecond it is rounded up to,
// far above the rounding of doubles of the size of a step (1e13 ps).
constexpr double kRestPs = 1e-2;
constexpr double kFull = 1 - 1e-12;

struct Active {
  int task = 0;
  size_t stage = 0;
  bool in_latency = true;
  int64_t latency_end = 0;
  // Flow: picoseconds left at full speed, and share of each resource taken at full speed.
  double rest = 0;
  double fraction = 1;  // of full speed, now
  Amounts share{};
};

class Engine {
 public:
  Engine(std::span<const EngineTask> tasks, const Capacities& capacities)
      : tasks_(tasks), capacities_(capacities) {
    result_.tasks.resize(tasks.size());
    waiting_for_.resize(tasks.size());
    first_follower_.resize(tasks.size() + 1);
    int lanes = 0;
    for (const EngineTask& task : tasks) lanes = std::max(lanes, task.lane + 1);
    ForEachOrder(lanes, [&](int before, int task) {
      ++first_follower_[before + 1];
      ++waiting_for_[task];
    });
    for (size_t t = 0; t < tasks.size(); ++t) first_follower_[t + 1] += first_follower_[t];
    followers_.resize(first_follower_.back());
    std::vector<int> next(first_follower_.begin(), first_follower_.end() - 1);
    ForEachOrder(lanes, [&](int before, int task) { followers_[next[before]++] = task; });
  }

  EngineResult Run() {
    for (size_t t = 0; t < tasks_.size(); ++t) {
      if (waiting_for_[t] == 0) ready_.push_back(static_cast<int>(t));
    }
    StartReady();
    while (!active_.empty()) {
      if (flows_changed_) ShareResources();
      AdvanceTo(NextEvent());
      StartReady();
    }
    SW_CHECK(ended_ == tasks_.size(), "{} of {} tasks wait for each other", tasks_.size() - ended_,
             tasks_.size());
    result_.makespan = {now_};
    return std::move(result_);
  }

 private:
  // Calls visit(before, task) for every pair of which the second waits for the first.
  template <class Visit>
  void ForEachOrder(int lanes, Visit visit) const {
    std::vector<int> last_of_lane(lanes, -1);
    for (size_t t = 0; t < tasks_.size(); ++t) {
      for (int before : tasks_[t].after) visit(before, static_cast<int>(t));
      int& last = last_of_lane[tasks_[t].lane];
      if (last >= 0) visit(last, static_cast<int>(t));
      last = static_cast<int>(t);
    }
  }

  void StartReady() {
    // Tasks without work end at once and may make others ready.
    for (size_t i = 0; i < ready_.size(); ++i) {
      Active active;
      active.task = ready_[i];
      result_.tasks[active.task].begin = {now_};
      if (BeginStage(active)) {
        active_.push_back(active);
      } else {
        End(active.task);
      }
    }
    ready_.clear();
  }

  // False when no stage is left that takes time.
  bool BeginStage(Active& active) {
    const Demand* demand = tasks_[active.task].demand;
    for (; demand != nullptr && active.stage < demand->stages.size(); ++active.stage) {
      const Stage& stage = demand->stages[active.stage];
      active.in_latency = true;
      active.latency_end = now_ + stage.latency.ps;
      if (stage.latency.ps > 0) return true;
      if (BeginFlow(active)) return true;
    }
    return false;
  }

  bool BeginFlow(Active& active) {
    const Stage& stage = tasks_[active.task].demand->stages[active.stage];
    const double alone = std::ceil(WorkPicoseconds(stage, capacities_));
    if (alone <= 0) return false;
    active.in_latency = false;
    active.rest = alone;
    active.fraction = 1;
    for (int r = 0; r < kResourceCount; ++r) {
      result_.done[r] += stage.work[r];
      active.share[r] =
          stage.work[r] == 0 ? 0 : stage.work[r] * 1e12 / capacities_.per_second[r] / alone;
    }
    flows_changed_ = true;
    return true;
  }

  void End(int task) {
    result_.tasks[task].end = {now_};
    ++ended_;
    for (int f = first_follower_[task]; f < first_follower_[task + 1]; ++f) {
      const int next = followers_[f];
      if (--waiting_for_[next] == 0) ready_.push_back(next);
    }
  }

  // Progressive filling: all fractions rise together; flows on a full resource stop rising.
  void ShareResources() {
    flows_changed_ = false;
    std::vector<Active*>& rising = rising_;
    rising.clear();
    for (Active& flow : active_) {
      if (flow.in_latency) continue;
      flow.fraction = 0;
      rising.push_back(&flow);
    }
    // Alone, a flow asks for no more than all of any resource.
    if (rising.size() == 1) {
      rising[0]->fraction = 1;
      return;
    }
    Amounts taken{};
    double level = 0;
    while (!rising.empty()) {
      double rise = 1 - level;
      Amounts wanted{};
      for (const Active* flow : rising) {
        for (int r = 0; r < kResourceCount; ++r) wanted[r] += flow->share[r];
      }
      for (int r = 0; r < kResourceCount; ++r) {
        if (wanted[r] > 0) rise = std::min(rise, std::max(0.0, 1 - taken[r]) / wanted[r]);
      }
      level += rise;
      for (int r = 0; r < kResourceCount; ++r) taken[r] += rise * wanted[r];
      for (Active* flow : rising) flow->fraction = level;
      if (level >= kFull) break;
      std::erase_if(rising, [&](const Active* flow) {
        for (int r = 0; r < kResourceCount; ++r) {
          if (flow->share[r] > 0 && taken[r] >= kFull) return true;
        }
        return false;
      });
    }
    for (Active& flow : active_) {
      if (!flow.in_latency && flow.fraction >= kFull) flow.fraction = 1;
    }
  }

  int64_t NextEvent() const {
    int64_t next = std::numeric_limits<int64_t>::max();
    for (const Active& active : active_) {
      next = std::min(next, active.in_latency
                                ? active.latency_end
                                : now_ + static_cast<int64_t>(
                                             std::ceil(active.rest / active.fraction - kRestPs)));
    }
    return std::max(next, now_);
  }

  void AdvanceTo(int64_t next) {
    const double passed = static_cast<double>(next - now_);
    now_ = next;
    size_t kept = 0;
    for (size_t i = 0; i < active_.size(); ++i) {
      Active& active = active_[i];
      bool goes_on = true;
      if (active.in_latency) {
        if (active.latency_end == now_) goes_on = BeginFlow(active) || NextStage(active);
      } else {
        active.rest -= passed * active.fraction;
        if (active.rest <= kRestPs) {
          flows_changed_ = true;
          goes_on = NextStage(active);
        }
      }
      if (goes_on) {
        if (kept != i) active_[kept] = active;
        ++kept;
      } else {
        End(active.task);
      }
    }
    active_.resize(kept);
  }

  bool NextStage(Active& active) {
    ++active.stage;
    return BeginStage(active);
  }

  std::span<const EngineTask> tasks_;
  const Capacities& capacities_;
  EngineResult result_;
  std::vector<int> waiting_for_;  // tasks still to end before a task may begin
  // Tasks that wait for task t: followers_[first_follower_[t]] to followers_[first_follower_[t+1]].
  std::vector<int> first_follower_, followers_;
  std::vector<int> ready_;
  std::vector<Active> active_;
  std::vector<Active*> rising_;
  bool flows_changed_ = false;
  size_t ended_ = 0;
  int64_t now_ = 0;
};

}  // namespace

EngineResult RunEngine(std::span<const EngineTask> tasks, const Capacities& capacities) {
  return Engine(tasks, capacities).Run();
}

}  // namespace shardwise
