#include "sim/search/evaluation_order.h"

#include <gtest/gtest.h>

#include <set>

namespace shardwise {
namespace {

SweepAxis Axis(const std::string& key, int rows) {
  SweepAxis axis;
  axis.keys = {key};
  for (int r = 0; r < rows; ++r) axis.rows.push_back({std::to_string(r)});
  return axis;
}

TEST(EvaluationOrder, EveryPointOnceWithTheBatchFastest) {
  SweepSpec spec;
  spec.axes = {Axis("per_device_batch_size", 5), Axis("remat_policy", 3),
               Axis("ici_fsdp_parallelism", 4)};
  spec.points = 60;
  const EvaluationOrder order(spec);
  EXPECT_EQ(order.run(), 5);
  std::set<int64_t> seen;
  for (int64_t p = 0; p < spec.points; ++p) {
    const int64_t point = order.PointAt(p);
    EXPECT_TRUE(point >= 0 && point < spec.points);
    seen.insert(point);
    const auto values = spec.Values(point);
    EXPECT_EQ(values[0], std::to_string(p % 5));
    EXPECT_EQ(values[1], std::to_string(p / 5 % 3));
    EXPECT_EQ(values[2], std::to_string(p / 15));
  }
  EXPECT_EQ(seen.size(), 60u);
}

TEST(EvaluationOrder, OfNoAxisIsOnePoint) {
  const EvaluationOrder order(SweepSpec{});
  EXPECT_EQ(order.PointAt(0), 0);
  EXPECT_EQ(order.run(), 1);
}

}  // namespace
}  // namespace shardwise
