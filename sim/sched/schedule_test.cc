#include "sim/sched/schedule.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <memory>
#include <numeric>

namespace shardwise {
namespace {

Capacities UnitCapacities() {
  Capacities capacities;
  capacities.per_second.fill(1e12);
  return capacities;
}

// One segment of kernels made up by hand, with their prices.
struct Kernels {
  Fusion fusion;
  std::vector<std::unique_ptr<KernelPrice>> owned;
  std::vector<const KernelPrice*> prices;

  int Add(KernelKind kind, CollectiveEngine engine, Stage stage, std::vector<int> after) {
    FusedKernel kernel;
    kernel.kind = kind;
    kernel.after = std::move(after);
    auto price = std::make_unique<KernelPrice>();
    price->demand.stages = {stage};
    price->alone = AloneTime(price->demand, UnitCapacities());
    if (kind == KernelKind::kCollective) {
      auto info = std::make_shared<CollectiveInfo>();
      info->engine = engine;
      price->collective = info;
    }
    fusion.kernels.push_back(std::move(kernel));
    prices.push_back(price.get());
    owned.push_back(std::move(price));
    const int count = static_cast<int>(fusion.kernels.size());
    fusion.segments = {{0, count, false}};
    return count - 1;
  }
  int Compute(double mxu, std::vector<int> after) {
    Stage stage;
    stage[Resource::kMxu] = mxu;
    return Add(KernelKind::kCompute, {}, stage, std::move(after));
  }
  int Cast(double hbm, std::vector<int> after) {
    Stage stage;
    stage[Resource::kHbm] = hbm;
    return Add(KernelKind::kCompute, {}, stage, std::move(after));
  }
  int Gather(double ici, std::vector<int> after,
             CollectiveEngine engine = CollectiveEngine::kSparseCore) {
    Stage stage;
    stage[Resource::kIciX] = ici;
    return Add(KernelKind::kCollective, engine, stage, std::move(after));
  }

  Duration Time(const std::vector<ScheduleItem>& items) const {
    return RunSegment(fusion, fusion.segments[0], items, prices, UnitCapacities()).makespan;
  }
  std::vector<ScheduleItem> Items(SchedulePolicy policy) const {
    return MakeSchedule(fusion, prices, UnitCapacities(), policy).segments[0];
  }
  Duration Time(SchedulePolicy policy) const { return Time(Items(policy)); }
  Duration Ideal() const {
    return RunIdeal(fusion, fusion.segments[0], prices, UnitCapacities()).makespan;
  }
};

TEST(ScheduleTest, GatherHidesBehindTheKernelBeforeItsReader) {
  Kernels k;
  const int first = k.Compute(1000, {});
  const int gather = k.Gather(800, {});
  k.Compute(1000, {first, gather});
  EXPECT_EQ(k.Time(SchedulePolicy::kProgramOrder).ps, 2800);
  EXPECT_EQ(k.Time(SchedulePolicy::kLatencyHiding).ps, 2000);
  EXPECT_EQ(k.Ideal().ps, 2000);
}

TEST(ScheduleTest, CastsMoveToTheFrontWithTheirGather) {
  Kernels k;
  const int first = k.Compute(1000, {});
  const int cast = k.Cast(10, {});
  const int gather = k.Gather(800, {cast});
  k.Compute(1000, {first, gather});
  const std::vector<ScheduleItem> items = k.Items(SchedulePolicy::kLatencyHiding);
  EXPECT_EQ(items.front(), (ScheduleItem{ScheduleItem::Kind::kRun, cast}));
  EXPECT_EQ(items[1], (ScheduleItem{ScheduleItem::Kind::kStart, gather}));
  EXPECT_EQ(k.Time(items).ps, 2010);
}

TEST(ScheduleTest, ScatterRunsBehindWhatFollowsAndItsCastComesLast) {
  Kernels k;
  const int product = k.Compute(1000, {});
  const int scatter = k.Gather(800, {product});
  const int cast = k.Cast(10, {scatter});
  k.Compute(1000, {product});
  const std::vector<ScheduleItem> items = k.Items(SchedulePolicy::kLatencyHiding);
  EXPECT_EQ(items.back(), (ScheduleItem{ScheduleItem::Kind::kRun, cast}));
  EXPECT_EQ(k.Time(items).ps, 2010);
  EXPECT_EQ(k.Time(SchedulePolicy::kProgramOrder).ps, 2810);
}

TEST(ScheduleTest, SynchronousCollectivesStayOnTheTensorCore) {
  Kernels k;
  const int first = k.Compute(1000, {});
  const int gather = k.Gather(800, {}, CollectiveEngine::kTensorCore);
  k.Compute(1000, {first, gather});
  EXPECT_EQ(k.Time(SchedulePolicy::kLatencyHiding).ps, 2800);
  EXPECT_EQ(k.Ideal().ps, 2000);
}

TEST(ScheduleTest, GathersLeaveInTheOrderTheyAreNeeded) {
  Kernels k;
  const int late = k.Gather(500, {});
  const int soon = k.Gather(100, {});
  const int first = k.Compute(1000, {soon});
  k.Compute(1000, {first, late});
  const std::vector<ScheduleItem> items = k.Items(SchedulePolicy::kLatencyHiding);
  EXPECT_EQ(items.front().kernel, soon);
  EXPECT_EQ(k.Time(items).ps, 2100);
}

TEST(ScheduleTest, UnknownPolicyNamesTheKnownOnes) {
  const auto policy = ParseSchedulePolicy("fast");
  ASSERT_FALSE(policy.ok());
  EXPECT_NE(Message(policy.status()).find("latency-hiding"), std::string::npos);
  EXPECT_EQ(*ParseSchedulePolicy("ideal"), SchedulePolicy::kIdeal);
}

Kernels Draw(int most) {
  Kernels k;
  const int count = *rc::gen::inRange(1, most + 1);
  for (int i = 0; i < count; ++i) {
    std::vector<int> after;
    for (int before = 0; before < i; ++before) {
      if (*rc::gen::inRange(0, 3) == 0) after.push_back(before);
    }
    Stage stage;
    stage.latency = {*rc::gen::inRange<int64_t>(0, 50)};
    stage[Resource::kHbm] = *rc::gen::inRange(1, 500);
    const int kind = *rc::gen::inRange(0, 5);
    if (kind <= 1) {
      if (kind == 0) stage[Resource::kMxu] = *rc::gen::inRange(1, 1000);
      k.Add(KernelKind::kCompute, {}, stage, after);
    } else if (kind <= 3) {
      stage[Resource::kIciX] = *rc::gen::inRange(1, 1000);
      const auto engine = kind == 2 ? CollectiveEngine::kSparseCore : CollectiveEngine::kTensorCore;
      k.Add(KernelKind::kCollective, engine, stage, after);
    } else {
      stage[Resource::kPcieFromHost] = *rc::gen::inRange(1, 1000);
      k.Add(KernelKind::kTransfer, {}, stage, after);
    }
  }
  return k;
}

// Every kernel once, after what it needs; asynchronous ones started before they are done.
void ExpectValid(const Kernels& k, const std::vector<ScheduleItem>& items) {
  const size_t count = k.fusion.kernels.size();
  std::vector<int> runs(count, 0), starts(count, 0), dones(count, 0);
  for (const ScheduleItem& item : items) {
    const bool async =
        LaneOf(k.fusion.kernels[item.kernel], *k.prices[item.kernel]) != Lane::kTensorCore;
    if (item.kind == ScheduleItem::Kind::kDone) {
      RC_ASSERT(starts[item.kernel] == 1);
      ++dones[item.kernel];
      continue;
    }
    RC_ASSERT(async == (item.kind == ScheduleItem::Kind::kStart));
    for (int before : k.fusion.kernels[item.kernel].after) {
      RC_ASSERT(runs[before] + dones[before] == 1);
    }
    ++(async ? starts : runs)[item.kernel];
  }
  for (size_t i = 0; i < count; ++i) RC_ASSERT(runs[i] + dones[i] == 1);
}

// Items of kernels in the given order; asynchronous ones are waited for at once, or when needed.
std::vector<ScheduleItem> ItemsOf(const Kernels& k, const std::vector<int>& order, bool at_once) {
  std::vector<ScheduleItem> items;
  std::vector<int> running;
  auto wait = [&](int kernel) {
    const auto it = std::find(running.begin(), running.end(), kernel);
    if (it == running.end()) return;
    running.erase(it);
    items.push_back({ScheduleItem::Kind::kDone, kernel});
  };
  for (int kernel : order) {
    for (int before : k.fusion.kernels[kernel].after) wait(before);
    if (LaneOf(k.fusion.kernels[kernel], *k.prices[kernel]) == Lane::kTensorCore) {
      items.push_back({ScheduleItem::Kind::kRun, kernel});
      continue;
    }
    items.push_back({ScheduleItem::Kind::kStart, kernel});
    running.push_back(kernel);
    if (at_once) wait(kernel);
  }
  while (!running.empty()) wait(running.front());
  return items;
}

Duration BestOfAllOrders(const Kernels& k) {
  std::vector<int> order(k.fusion.kernels.size());
  std::iota(order.begin(), order.end(), 0);
  Duration best = {INT64_MAX};
  do {
    std::vector<int> place(order.size());
    for (size_t i = 0; i < order.size(); ++i) place[order[i]] = static_cast<int>(i);
    bool valid = true;
    for (size_t kernel = 0; kernel < order.size(); ++kernel) {
      for (int before : k.fusion.kernels[kernel].after) {
        valid = valid && place[before] < place[kernel];
      }
    }
    if (!valid) continue;
    best = std::min({best, k.Time(ItemsOf(k, order, true)), k.Time(ItemsOf(k, order, false))});
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

void ExpectPoliciesInOrder(int most_kernels) {
  const Kernels k = Draw(most_kernels);
  const std::vector<ScheduleItem> hiding = k.Items(SchedulePolicy::kLatencyHiding);
  const std::vector<ScheduleItem> program = k.Items(SchedulePolicy::kProgramOrder);
  ExpectValid(k, hiding);
  ExpectValid(k, program);
  const Duration best = BestOfAllOrders(k);
  RC_ASSERT(k.Ideal() <= best);
  RC_ASSERT(best <= k.Time(hiding));
  RC_ASSERT(k.Time(hiding) <= k.Time(program));
}

TEST(ScheduleTest, RandomKernelsAgainstBruteForce) {
  EXPECT_TRUE(rc::check([] { ExpectPoliciesInOrder(6); }));
}

// All 40320 orders of eight kernels with few dependencies.
TEST(ScheduleTest, EightKernelsAgainstBruteForce) {
  Kernels k;
  const int cast = k.Cast(20, {});
  const int first = k.Gather(300, {cast});
  const int second = k.Gather(700, {});
  const int product = k.Compute(900, {first});
  const int scatter = k.Gather(400, {product});
  const int other = k.Compute(500, {product, second});
  k.Gather(200, {other}, CollectiveEngine::kTensorCore);
  k.Cast(60, {scatter});
  const Duration best = BestOfAllOrders(k);
  EXPECT_LE(k.Ideal(), best);
  EXPECT_LE(best, k.Time(SchedulePolicy::kLatencyHiding));
  EXPECT_LT(k.Time(SchedulePolicy::kLatencyHiding), k.Time(SchedulePolicy::kProgramOrder));
}

TEST(ScheduleTest, LargeRandomSegmentsAreValid) {
  EXPECT_TRUE(rc::check([] {
    const Kernels k = Draw(40);
    ExpectValid(k, k.Items(SchedulePolicy::kLatencyHiding));
    RC_ASSERT(k.Ideal() <= k.Time(SchedulePolicy::kLatencyHiding));
    RC_ASSERT(k.Time(SchedulePolicy::kLatencyHiding) <= k.Time(SchedulePolicy::kProgramOrder));
  }));
}

}  // namespace
}  // namespace shardwise
