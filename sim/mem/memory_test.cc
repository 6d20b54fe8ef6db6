#include "sim/mem/memory.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "sim/sched/simulate.h"
#include "sim/sched/small_step.h"

namespace shardwise {
namespace {

using testing::SmallStep;
using testing::SmallStepOptions;

MemoryProfile Profile(const SpmdProgram& spmd, const char* name = "tpu7x-8",
                      SchedulePolicy policy = SchedulePolicy::kLatencyHiding) {
  const auto topology = LoadTopology(name);
  SW_CHECK(topology.ok(), "{}", Message(topology.status()));
  const auto placement = PlaceMesh(*topology, spmd.mesh, true);
  SW_CHECK(placement.ok(), "{}", Message(placement.status()));
  const auto result = SimulateStep(spmd, *placement, {policy, -1, {}});
  SW_CHECK(result.ok(), "{}", Message(result.status()));
  return ProfileMemory(spmd.program, result->plans, topology->chip);
}

// One block without calls on one tpu7x slice.
SpmdProgram Wrap(BlockBuilder& b, std::vector<ValueId> outputs) {
  std::vector<BlockOutput> list(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) list[i].value = outputs[i];
  SpmdProgram spmd;
  spmd.program.blocks.push_back(std::move(b).Finish(std::move(list)));
  spmd.mesh.axes = {{"fsdp", 8, 1}};
  return spmd;
}

constexpr int64_t kMatrix = 1024 * 1024 * 2;  // bytes of one
const TensorType kSquare = {{1024, 1024}, DType::kBF16};

TEST(MemoryTest, ChainsHoldTwoBuffersAtATime) {
  BlockBuilder b("chain");
  const ValueId w = b.Input("w", kSquare);
  ValueId x = w;
  for (int i = 0; i < 5; ++i) x = Einsum(b, "mk,kn->mn", x, w);
  const MemoryProfile profile = Profile(Wrap(b, {x}));
  EXPECT_EQ(profile.argument_bytes, kMatrix);
  EXPECT_EQ(profile.temp_bytes, 2 * kMatrix);
  EXPECT_EQ(profile.peak_bytes, 3 * kMatrix);
  EXPECT_EQ(profile.output_bytes, kMatrix);
}

TEST(MemoryTest, ElementwiseResultsTakeOverDyingOperands) {
  BlockBuilder b("chain");
  const ValueId w = b.Input("w", kSquare);
  // Saved values cut the fusion: product, exp, exp.
  const ValueId x = Einsum(b, "mk,kn->mn", w, w);
  std::vector<ValueId> cut = OptimizationBarrier(b, std::vector<ValueId>{x});
  cut = OptimizationBarrier(b, std::vector<ValueId>{Exp(b, cut[0])});
  const MemoryProfile profile = Profile(Wrap(b, {Exp(b, cut[0])}));
  EXPECT_EQ(profile.temp_bytes, kMatrix);
}

TEST(MemoryTest, FusedIntermediatesTakeNothing) {
  BlockBuilder b("fused");
  const ValueId w = b.Input("w", kSquare);
  const ValueId y = Einsum(b, "mk,kn->mn", Mul(b, Exp(b, w), w), w);
  EXPECT_EQ(Profile(Wrap(b, {y})).temp_bytes, kMatrix);
}

TEST(MemoryTest, DonatedOutputsTakeTheirArgumentsPlace) {
  BlockBuilder b("update");
  const ValueId w = b.Input("w", kSquare), g = b.Input("g", kSquare);
  SpmdProgram spmd = Wrap(b, {Sub(b, w, g)});
  EXPECT_EQ(Profile(spmd).temp_bytes, kMatrix);
  spmd.program.blocks[0].donated = {{0, 0}};
  const MemoryProfile profile = Profile(spmd);
  EXPECT_EQ(profile.temp_bytes, 0);
  EXPECT_EQ(profile.alias_bytes, kMatrix);
}

TEST(MemoryTest, GathersLiveFromTheirStart) {
  // Both gathers start before the first product; in program order one at a time is there.
  BlockBuilder b("gathers");
  const ValueId x = b.Input("x", {{8192, 4096}, DType::kBF16});
  std::vector<ValueId> shards;
  for (const char* name : {"a", "b"}) {
    shards.push_back(b.Input(name, {{512, 4096}, DType::kBF16}));
  }
  ValueId y = x;
  for (ValueId shard : shards) {
    y = Einsum(b, "bk,kn->bn", y, AllGather(b, shard, {"fsdp"}, 8, 0));
  }
  const SpmdProgram spmd = Wrap(b, {y});
  const int64_t weight = 4096 * 4096 * 2, rows = 8192 * 4096 * 2;
  EXPECT_EQ(Profile(spmd).temp_bytes, std::max(2 * weight + rows, weight + 2 * rows));
  EXPECT_EQ(Profile(spmd, "tpu7x-8", SchedulePolicy::kProgramOrder).temp_bytes, weight + 2 * rows);
}

TEST(MemoryTest, ResidualsAreStackedForAllLayers) {
  SmallStepOptions options;
  options.layers = 16;
  const int64_t rows = options.rows * options.width * 2;
  const MemoryProfile recompute = Profile(SmallStep(options));
  const auto stack =
      std::find_if(recompute.live_at_peak.begin(), recompute.live_at_peak.end(),
                   [](const LiveBuffer& buffer) { return buffer.role == BufferRole::kResidual; });
  ASSERT_NE(stack, recompute.live_at_peak.end());
  EXPECT_EQ(stack->bytes, options.layers * rows);
  EXPECT_EQ(stack->name, "decoder_layer_input");

  options.save_hidden = true;
  EXPECT_NEAR(static_cast<double>(Profile(SmallStep(options)).temp_bytes),
              static_cast<double>(recompute.temp_bytes + options.layers * rows),
              static_cast<double>(2 * rows));

  options.save_hidden = false;
  options.offload = true;
  const MemoryProfile offloaded = Profile(SmallStep(options));
  EXPECT_EQ(offloaded.host_temp_bytes, options.layers * rows);
  EXPECT_EQ(recompute.host_temp_bytes, 0);
  EXPECT_LT(offloaded.temp_bytes, recompute.temp_bytes - (options.layers - 3) * rows);
}

TEST(MemoryTest, LiveBuffersAtThePeakAddUp) {
  EXPECT_TRUE(rc::check([] {
    SmallStepOptions options;
    options.layers = *rc::gen::inRange<int64_t>(1, 40);
    options.rows = 128 * *rc::gen::inRange<int64_t>(1, 64);
    options.width = 512 * *rc::gen::inRange<int64_t>(1, 8);
    options.save_hidden = *rc::gen::inRange(0, 2) == 0;
    const MemoryProfile profile = Profile(SmallStep(options));
    int64_t sum = 0;
    for (const LiveBuffer& buffer : profile.live_at_peak) sum += buffer.bytes;
    // Operands taken over at the peak itself are counted once.
    RC_ASSERT(sum == profile.peak_bytes);
    RC_ASSERT(!profile.peak_block.empty() && !profile.peak_kernel.empty());
    RC_ASSERT(
        std::is_sorted(profile.live_at_peak.begin(), profile.live_at_peak.end(),
                       [](const LiveBuffer& a, const LiveBuffer& b) { return a.bytes > b.bytes; }));
  }));
}

TEST(MemoryTest, WhatDoesNotFitSaysSoAsTheCompilerDoes) {
  MemoryProfile profile;
  profile.usable_bytes = static_cast<int64_t>(31.25 * kGiB);
  profile.peak_bytes = static_cast<int64_t>(40.5 * kGiB);
  EXPECT_FALSE(profile.fits());
  EXPECT_EQ(profile.OutOfMemoryText(),
            "Ran out of memory in memory space hbm. Used 40.50G of 31.25G hbm. Exceeded hbm "
            "capacity by 9.25G.");
  profile.peak_bytes = profile.usable_bytes;
  EXPECT_TRUE(profile.fits());
  EXPECT_EQ(profile.OutOfMemoryText(), "");
}

}  // namespace
}  // namespace shardwise
