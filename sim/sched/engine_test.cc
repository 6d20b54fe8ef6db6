#include "sim/sched/engine.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace shardwise {
namespace {

// Round numbers: one unit of a resource takes 1 ps.
Capacities UnitCapacities() {
  Capacities capacities;
  capacities.per_second.fill(1e12);
  return capacities;
}

Stage Work(Resource r, double amount) {
  Stage stage;
  stage[r] = amount;
  return stage;
}

Demand One(Stage stage) { return {{stage}, ""}; }

TEST(EngineTest, FlowAloneTakesItsLatencyAndItsLongestDemand) {
  Stage stage = Work(Resource::kHbm, 700);
  stage[Resource::kMxu] = 300;
  stage.latency = {40};
  const Demand demand = One(stage);
  const EngineTask task = {&demand, 0, {}};
  EXPECT_EQ(RunEngine({&task, 1}, UnitCapacities()).makespan.ps, 740);
  EXPECT_EQ(AloneTime(demand, UnitCapacities()).ps, 740);
}

TEST(EngineTest, FloorHoldsAFlowBackButUsesNothing) {
  Stage slow = Work(Resource::kHbm, 500);
  slow.floor = {1000};  // takes half of the memory's rate
  const Demand a = One(slow), b = One(Work(Resource::kHbm, 500));
  const std::vector<EngineTask> tasks = {{&a, 0, {}}, {&b, 1, {}}};
  const EngineResult result = RunEngine(tasks, UnitCapacities());
  // Shares 1/2 and 1: both at 2/3 of their full speed until b ends at 750, then a at full speed.
  EXPECT_EQ(result.tasks[1].end.ps, 750);
  EXPECT_EQ(result.tasks[0].end.ps, 1250);
}

TEST(EngineTest, TwoEqualFlowsOnOneResourceHalve) {
  const Demand a = One(Work(Resource::kHbm, 600)), b = One(Work(Resource::kHbm, 1000));
  const std::vector<EngineTask> tasks = {{&a, 0, {}}, {&b, 1, {}}};
  const EngineResult result = RunEngine(tasks, UnitCapacities());
  EXPECT_EQ(result.tasks[0].end.ps, 1200);
  EXPECT_EQ(result.tasks[1].end.ps, 1600);
}

TEST(EngineTest, FlowsOnOtherResourcesDoNotMeet) {
  const Demand a = One(Work(Resource::kMxu, 600)), b = One(Work(Resource::kIciX, 1000));
  const std::vector<EngineTask> tasks = {{&a, 0, {}}, {&b, 1, {}}};
  const EngineResult result = RunEngine(tasks, UnitCapacities());
  EXPECT_EQ(result.tasks[0].end.ps, 600);
  EXPECT_EQ(result.tasks[1].end.ps, 1000);
}

TEST(EngineTest, AFlowThatNeedsLittleIsHardlySlowed) {
  Stage mostly_mxu = Work(Resource::kMxu, 1000);
  mostly_mxu[Resource::kHbm] = 100;
  const Demand a = One(mostly_mxu), b = One(Work(Resource::kHbm, 10000));
  const std::vector<EngineTask> tasks = {{&a, 0, {}}, {&b, 1, {}}};
  const EngineResult result = RunEngine(tasks, UnitCapacities());
  // Fractions rise together until 0.1 x + x = 1.
  EXPECT_EQ(result.tasks[0].end.ps, 1100);
  EXPECT_EQ(result.tasks[1].end.ps, 10100);
}

TEST(EngineTest, LatencyUsesNothing) {
  Stage late = Work(Resource::kHbm, 500);
  late.latency = {500};
  const Demand a = One(Work(Resource::kHbm, 500)), b = One(late);
  const std::vector<EngineTask> tasks = {{&a, 0, {}}, {&b, 1, {}}};
  EXPECT_EQ(RunEngine(tasks, UnitCapacities()).makespan.ps, 1000);
}

TEST(EngineTest, LanesRunInOrderAndTasksWait) {
  const Demand a = One(Work(Resource::kMxu, 100)), b = One(Work(Resource::kIciX, 300));
  const std::vector<EngineTask> tasks = {
      {&a, 0, {}}, {&b, 1, {0}}, {&a, 0, {}}, {&a, 0, {1}}, {nullptr, 0, {}}};
  const EngineResult result = RunEngine(tasks, UnitCapacities());
  EXPECT_EQ(result.tasks[1].begin.ps, 100);
  EXPECT_EQ(result.tasks[2].begin.ps, 100);
  EXPECT_EQ(result.tasks[3].begin.ps, 400);
  EXPECT_EQ(result.tasks[4].end.ps, 500);
  EXPECT_EQ(result.makespan.ps, 500);
}

// A random task graph over three lanes and three resources.
struct RandomGraph {
  std::vector<Demand> demands;
  std::vector<EngineTask> tasks;
};

RandomGraph Draw() {
  RandomGraph graph;
  const int count = *rc::gen::inRange(1, 12);
  for (int t = 0; t < count; ++t) {
    Demand demand;
    for (int s = *rc::gen::inRange(0, 3); s > 0; --s) {
      Stage stage;
      stage.latency = {*rc::gen::inRange<int64_t>(0, 300)};
      stage.floor = {*rc::gen::inRange<int64_t>(0, 500)};
      for (Resource r : {Resource::kMxu, Resource::kHbm, Resource::kIciX}) {
        stage[r] = *rc::gen::inRange(0, 1000);
      }
      demand.stages.push_back(stage);
    }
    graph.demands.push_back(demand);
  }
  for (int t = 0; t < count; ++t) {
    EngineTask task = {&graph.demands[t], *rc::gen::inRange(0, 3), {}};
    for (int before = 0; before < t; ++before) {
      if (*rc::gen::inRange(0, 4) == 0) task.after.push_back(before);
    }
    graph.tasks.push_back(task);
  }
  return graph;
}

TEST(EngineTest, RandomGraphsKeepTheLaws) {
  EXPECT_TRUE(rc::check([] {
    const RandomGraph graph = Draw();
    const Capacities capacities = UnitCapacities();
    const EngineResult result = RunEngine(graph.tasks, capacities);

    Amounts asked{};
    Duration serial;
    std::vector<Duration> longest(graph.tasks.size());  // path that ends with the task
    Duration critical;
    std::vector<Duration> lane(3);
    for (size_t t = 0; t < graph.tasks.size(); ++t) {
      const EngineTask& task = graph.tasks[t];
      const Duration alone = AloneTime(*task.demand, capacities);
      Duration before = lane[task.lane];
      for (int b : task.after) {
        RC_ASSERT(result.tasks[b].end <= result.tasks[t].begin);
        before = std::max(before, longest[b]);
      }
      longest[t] = before + alone;
      lane[task.lane] = longest[t];
      critical = std::max(critical, longest[t]);
      serial += alone;
      RC_ASSERT(result.tasks[t].end - result.tasks[t].begin >= alone);
      for (int r = 0; r < kResourceCount; ++r) {
        asked[r] += task.demand->total(static_cast<Resource>(r));
      }
    }
    RC_ASSERT(result.makespan >= critical);
    // Each event may round up once.
    RC_ASSERT(result.makespan.ps <= serial.ps + 4 * static_cast<int64_t>(graph.tasks.size()));
    for (int r = 0; r < kResourceCount; ++r) {
      RC_ASSERT(std::abs(result.done[r] - asked[r]) < 1e-6);
      RC_ASSERT(static_cast<double>(result.makespan.ps) >= asked[r] - 1);
    }
    const EngineResult again = RunEngine(graph.tasks, capacities);
    for (size_t t = 0; t < graph.tasks.size(); ++t) {
      RC_ASSERT(again.tasks[t].begin == result.tasks[t].begin);
      RC_ASSERT(again.tasks[t].end == result.tasks[t].end);
    }
  }));
}

TEST(EngineTest, TwiceTheRatesAndHalfTheLatenciesHalveTheTime) {
  EXPECT_TRUE(rc::check([] {
    RandomGraph graph = Draw();
    // Thousands of times longer than the rounding of the events.
    for (Demand& demand : graph.demands) {
      for (Stage& stage : demand.stages) {
        stage.latency.ps *= 10000;
        stage.floor.ps *= 10000;
        for (double& work : stage.work) work *= 10000;
      }
    }
    const Duration slow = RunEngine(graph.tasks, UnitCapacities()).makespan;
    Capacities twice = UnitCapacities();
    for (double& rate : twice.per_second) rate *= 2;
    for (Demand& demand : graph.demands) {
      for (Stage& stage : demand.stages) {
        stage.latency.ps /= 2;
        stage.floor.ps /= 2;
      }
    }
    const Duration fast = RunEngine(graph.tasks, twice).makespan;
    RC_ASSERT(std::abs(2 * fast.ps - slow.ps) <= 100);
  }));
}

}  // namespace
}  // namespace shardwise
