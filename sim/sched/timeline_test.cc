#include "sim/sched/timeline.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "model/ir/passes.h"
#include "sim/sched/simulate.h"
#include "sim/sched/small_step.h"

namespace shardwise {
namespace {

using testing::SmallStep;
using testing::SmallStepOptions;

Placement PlaceOn(const char* name, const Mesh& mesh) {
  const auto topology = LoadTopology(name);
  SW_CHECK(topology.ok(), "{}", Message(topology.status()));
  const auto placement = PlaceMesh(*topology, mesh, true);
  SW_CHECK(placement.ok(), "{}", Message(placement.status()));
  return *placement;
}

StepResult Simulate(const SpmdProgram& spmd, const Placement& placement, SchedulePolicy policy,
                    std::vector<std::string> flags = {}) {
  const auto result = SimulateStep(spmd, placement, {policy, -1, std::move(flags)});
  SW_CHECK(result.ok(), "{}", Message(result.status()));
  return *result;
}

SmallStepOptions DrawOptions() {
  SmallStepOptions options;
  options.layers = *rc::gen::inRange<int64_t>(1, 6);
  options.rows = 128 * *rc::gen::inRange<int64_t>(1, 64);
  options.width = 512 * *rc::gen::inRange<int64_t>(1, 8);
  options.save_hidden = *rc::gen::inRange(0, 2) == 0;
  options.offload = *rc::gen::inRange(0, 2) == 0;
  return options;
}

constexpr SchedulePolicy kPolicies[] = {SchedulePolicy::kProgramOrder,
                                        SchedulePolicy::kLatencyHiding, SchedulePolicy::kIdeal};

TEST(TimelineTest, UnrolledProgramsTakeTheSameTimeToThePicosecond) {
  EXPECT_TRUE(rc::check([] {
    const SpmdProgram spmd = SmallStep(DrawOptions());
    SpmdProgram flat = spmd;
    flat.program = Unroll(spmd.program);
    const Placement placement = PlaceOn("tpu7x-8", spmd.mesh);
    for (SchedulePolicy policy : kPolicies) {
      const StepResult blocks = Simulate(spmd, placement, policy);
      const StepResult unrolled = Simulate(flat, placement, policy);
      RC_ASSERT(blocks.step_time == unrolled.step_time);
      RC_ASSERT(blocks.totals.kernels == unrolled.totals.kernels);
      RC_ASSERT(blocks.totals.flops == unrolled.totals.flops);
      RC_ASSERT(blocks.causes.size() == unrolled.causes.size());
      for (size_t c = 0; c < blocks.causes.size(); ++c) {
        const auto same = std::find_if(
            unrolled.causes.begin(), unrolled.causes.end(),
            [&](const CauseTime& other) { return other.cause == blocks.causes[c].cause; });
        RC_ASSERT(same != unrolled.causes.end());
        RC_ASSERT(same->time == blocks.causes[c].time);
      }
    }
  }));
}

TEST(TimelineTest, PoliciesAndBoundsAreOrdered) {
  EXPECT_TRUE(rc::check([] {
    const SpmdProgram spmd = SmallStep(DrawOptions());
    const char* const topology =
        *rc::gen::elementOf(std::vector<const char*>{"tpu7x-8", "v6e-8", "v5p-16"});
    const Placement placement = PlaceOn(topology, spmd.mesh);
    const StepResult ideal = Simulate(spmd, placement, SchedulePolicy::kIdeal);
    const StepResult hiding = Simulate(spmd, placement, SchedulePolicy::kLatencyHiding);
    const StepResult program = Simulate(spmd, placement, SchedulePolicy::kProgramOrder);
    RC_ASSERT(ideal.step_time <= hiding.step_time);
    RC_ASSERT(hiding.step_time <= program.step_time);
    RC_ASSERT(!ideal.bounds.empty());
    for (const Bound& bound : ideal.bounds) {
      RC_ASSERT(bound.time <= ideal.step_time);
    }
  }));
}

// Slices of the TensorCore cover every block without gaps; other lanes never run two things.
void ExpectLanesInOrder(const Timeline& timeline) {
  for (const BlockTimeline& block : timeline.blocks) {
    Duration end[kLaneCount];
    for (const TimelineSlice& slice : block.slices) {
      Duration& last = end[static_cast<int>(slice.lane)];
      RC_ASSERT(slice.begin >= last);
      if (slice.lane == Lane::kTensorCore) {
        RC_ASSERT(slice.begin == last);
      }
      RC_ASSERT(slice.end >= slice.begin);
      last = slice.end;
    }
    RC_ASSERT(end[0] == block.duration);
    for (const Duration& lane : end) {
      RC_ASSERT(lane <= block.duration);
    }
  }
}

TEST(TimelineTest, CausesAddUpAndLanesAreInOrder) {
  EXPECT_TRUE(rc::check([] {
    const SpmdProgram spmd = SmallStep(DrawOptions());
    const Placement placement = PlaceOn("tpu7x-8", spmd.mesh);
    for (SchedulePolicy policy : {SchedulePolicy::kProgramOrder, SchedulePolicy::kLatencyHiding}) {
      const StepResult result = Simulate(spmd, placement, policy);
      Duration sum;
      for (const CauseTime& cause : result.causes) {
        RC_ASSERT(cause.time.ps > 0);
        sum += cause.time;
      }
      RC_ASSERT(sum == result.step_time);
      ExpectLanesInOrder(result.timeline);
    }
  }));
}

TEST(TimelineTest, ACallTakesItsTripsTimesItsBlock) {
  SmallStepOptions options;
  const SpmdProgram spmd = SmallStep(options);
  const Placement placement = PlaceOn("v6e-8", spmd.mesh);
  const StepResult result = Simulate(spmd, placement, SchedulePolicy::kLatencyHiding);
  for (const BlockTimeline& block : result.timeline.blocks) {
    for (const TimelineSlice& slice : block.slices) {
      if (slice.kind != TimelineSlice::Kind::kCall) continue;
      EXPECT_EQ((slice.end - slice.begin).ps % options.layers, 0);
    }
  }
  EXPECT_EQ(result.timeline.blocks[0].executions, options.layers);
  EXPECT_EQ(result.timeline.blocks.back().executions, 1);
}

TEST(TimelineTest, WaitsNameTheCollectiveAndItsAxis) {
  const SpmdProgram spmd = SmallStep({});
  const Placement placement = PlaceOn("v6e-8", spmd.mesh);  // synchronous without flags
  const StepResult result = Simulate(spmd, placement, SchedulePolicy::kLatencyHiding);
  const auto gather = std::find_if(result.causes.begin(), result.causes.end(), [](auto& cause) {
    return cause.cause.ToText() == "wait all_gather fsdp";
  });
  ASSERT_NE(gather, result.causes.end());
  ASSERT_EQ(result.axes.size(), 1u);
  EXPECT_EQ(result.axes[0].axes, std::vector<std::string>{"fsdp"});
  EXPECT_EQ(result.axes[0].exposed, result.axes[0].busy);
  Duration exposed;
  for (const CauseTime& cause : result.causes) {
    if (cause.cause.kind == CauseKind::kCollective) exposed += cause.time;
  }
  EXPECT_EQ(exposed, result.axes[0].exposed);
  EXPECT_GT(result.axes[0].achieved_bytes_per_s, 0);
  EXPECT_LE(result.axes[0].achieved_bytes_per_s, result.axes[0].peak_bytes_per_s);
}

TEST(TimelineTest, OffloadedInputsWaitForTheHost) {
  SmallStepOptions options;
  options.offload = true;
  options.rows = 1 << 15;
  options.width = 512;
  const SpmdProgram spmd = SmallStep(options);
  const Placement placement = PlaceOn("tpu7x-8", spmd.mesh);
  const StepResult result = Simulate(spmd, placement, SchedulePolicy::kLatencyHiding);
  EXPECT_TRUE(std::any_of(result.causes.begin(), result.causes.end(), [](const CauseTime& cause) {
    return cause.cause.kind == CauseKind::kTransfer;
  }));
}

TEST(TimelineTest, AsynchronousCollectivesShortenTheStep) {
  const SpmdProgram spmd = SmallStep({});
  const Placement placement = PlaceOn("tpu7x-8", spmd.mesh);
  const std::vector<std::string> off = {
      "--xla_tpu_enable_sparse_core_collective_offload_all_gather=false",
      "--xla_tpu_enable_sparse_core_collective_offload_reduce_scatter=false"};
  EXPECT_LT(Simulate(spmd, placement, SchedulePolicy::kLatencyHiding).step_time,
            Simulate(spmd, placement, SchedulePolicy::kLatencyHiding, off).step_time);
}

TEST(SimulateTest, RefusesAnotherMeshAndUnknownClocks) {
  const SpmdProgram spmd = SmallStep({});
  const Placement other = PlaceOn("v6e-8", Mesh{{{"data", 8, 1}}});
  EXPECT_FALSE(SimulateStep(spmd, other, {}).ok());
  const Placement placement = PlaceOn("v6e-8", spmd.mesh);
  EXPECT_FALSE(SimulateStep(spmd, placement, {SchedulePolicy::kIdeal, 5, {}}).ok());
}

TEST(SimulateTest, AFasterClockShortensOnlyComputeBoundWork) {
  SmallStepOptions options;
  options.width = 4096;
  const SpmdProgram spmd = SmallStep(options);
  const Placement placement = PlaceOn("tpu7x-8", spmd.mesh);
  const auto at = [&](int64_t p_state) {
    return SimulateStep(spmd, placement, {SchedulePolicy::kLatencyHiding, p_state, {}})->step_time;
  };
  EXPECT_LT(at(7), at(3));
  EXPECT_GT(at(7).seconds(), at(3).seconds() * 1.9 / 2.2);
}

}  // namespace
}  // namespace shardwise
