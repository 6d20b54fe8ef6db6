#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "sim/analysis/critical_path.h"
#include "sim/analysis/evaluate.h"
#include "sim/analysis/memory_curve.h"
#include "sim/analysis/waterfall.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

Arguments With(Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// Steps with every kind of loss: offload, recomputation, asynchronous and synchronous collectives,
// a second slice, experts, float8.
class TimeAnalysis : public testing::TestWithParam<Arguments> {
 protected:
  void SetUp() override {
    auto scenario = LoadScenario(GetParam());
    ASSERT_TRUE(scenario.ok()) << Message(scenario.status());
    auto evaluation = Evaluate(*std::move(scenario));
    ASSERT_TRUE(evaluation.ok()) << Message(evaluation.status());
    evaluation_ = *std::move(evaluation);
  }
  const StepResult& result() const { return evaluation_->result; }

  std::unique_ptr<Evaluation> evaluation_;
};

TEST_P(TimeAnalysis, BarsAreTheCausesAndAddUp) {
  const std::vector<WaterfallBar> bars = BuildWaterfall(result());
  std::map<std::string, Duration> by_id;
  Duration sum;
  for (const WaterfallBar& bar : bars) {
    EXPECT_TRUE(by_id.emplace(bar.id, bar.time).second) << bar.id;
    EXPECT_FALSE(bar.name.empty());
    EXPECT_FALSE(bar.meaning.empty());
    sum += bar.time;
  }
  EXPECT_EQ(sum, result().step_time);
  EXPECT_EQ(bars.front().id, "ideal");

  // What is no kernel's own work is attributed as the causes attribute it.
  std::map<std::string, Duration> causes;
  for (const CauseTime& entry : result().causes) {
    const Cause& cause = entry.cause;
    if (cause.kind == CauseKind::kCollective || cause.kind == CauseKind::kTransfer) {
      causes[cause.ToText()] += entry.time;
    } else if (cause.kind == CauseKind::kLaunch) {
      causes["launch"] += entry.time;
    } else if (cause.kind == CauseKind::kContention) {
      causes["contention"] += entry.time;
    } else if (cause.phase == Phase::kOptimizer) {
      causes["optimizer"] += entry.time;
    } else if (cause.phase == Phase::kRecompute) {
      causes["rematerialisation"] += entry.time;
    }
  }
  for (const auto& [id, time] : causes) EXPECT_EQ(by_id[id], time) << id;
  for (const WaterfallBar& bar : bars) {
    EXPECT_TRUE(!bar.id.starts_with("wait ") || causes.contains(bar.id)) << bar.id;
  }
}

// The first bar is FLOPs over a rate, whatever the schedule is.
TEST_P(TimeAnalysis, TheIdealIsWorkOverPeak) {
  const Chip& chip = evaluation_->placement.topology.chip;
  double seconds = 0, kernels = 0;
  for (size_t b = 0; b < result().plans.size(); ++b) {
    const BlockTimeline& block = result().timeline.blocks[b];
    for (size_t k = 0; k < block.kernels.size(); ++k) {
      const KernelPrice* price = result().plans[b].prices[k];
      const Phase phase = block.kernels[k].phase;
      if (price == nullptr || (phase != Phase::kForward && phase != Phase::kBackward)) continue;
      seconds += price->ideal_seconds * static_cast<double>(block.executions);
      kernels += static_cast<double>(block.executions);
    }
  }
  const double published = chip.peak_bf16_per_chip.value / static_cast<double>(chip.devices);
  seconds *= std::min(1.0, chip.DevicePeak(result().clock_hz).value / published);
  const double ideal = BuildWaterfall(result()).front().time.seconds();
  EXPECT_GT(ideal, 0);
  // A picosecond of rounding per kernel.
  EXPECT_NEAR(ideal, seconds, kernels * 1e-12 + 1e-9 * seconds);
}

// Kernels last whole picoseconds; what that adds or takes is in no bar of its own.
TEST_P(TimeAnalysis, NoBarIsMadeOfRounding) {
  int64_t kernels = 0;
  for (size_t b = 0; b < result().plans.size(); ++b) {
    const BlockTimeline& block = result().timeline.blocks[b];
    for (const KernelPrice* price : result().plans[b].prices) {
      if (price != nullptr && price->flops > 0) kernels += block.executions;
    }
  }
  const std::set<std::string> parts = {"clock", "mxu_padding", "mxu_rate", "products_memory",
                                       "attention_vector"};
  for (const WaterfallBar& bar : BuildWaterfall(result())) {
    EXPECT_TRUE(!parts.contains(bar.id) || bar.time.ps > kernels) << bar.id << " " << bar.time.ps;
  }
}

TEST_P(TimeAnalysis, ThePathIsAsLongAsTheStep) {
  const CriticalPath path = FindCriticalPath(result());
  Duration sum;
  std::set<std::pair<int, int>> seen;
  for (const PathEntry& entry : path.entries) {
    sum += entry.time;
    EXPECT_TRUE(seen.emplace(entry.block, entry.kernel).second);
    if (entry.kernel < 0) continue;
    const KernelPath& kernel = path.kernels[entry.block][entry.kernel];
    EXPECT_TRUE(kernel.on_path);
    EXPECT_TRUE(kernel.slack.ps == 0 || result().policy == SchedulePolicy::kIdeal);
  }
  EXPECT_EQ(sum, result().step_time);
}

// Slack is what it says: the latest begins it leads to are no earlier than what they wait for.
TEST_P(TimeAnalysis, SlackIsNeverNegativeAndReleasesPrecede) {
  const CriticalPath path = FindCriticalPath(result());
  for (const auto& kernels : path.kernels) {
    for (const KernelPath& kernel : kernels) {
      EXPECT_GE(kernel.slack.ps, 0);
      if (kernel.released_by < 0) continue;
      EXPECT_EQ(kernels[kernel.released_by].end, kernel.begin);
      EXPECT_LE(kernels[kernel.released_by].slack, kernel.slack);
    }
  }
}

// Memory is the profile's, however many points it is drawn with.
TEST_P(TimeAnalysis, TheMemoryCurveReachesThePeak) {
  for (const int64_t most : {1, 7, 100, 100'000}) {
    const std::vector<MemoryPoint> points = MemoryOverStep(*evaluation_, most);
    ASSERT_FALSE(points.empty());
    EXPECT_LE(static_cast<int64_t>(points.size()), most);
    int64_t peak = 0, host = 0;
    for (size_t p = 0; p < points.size(); ++p) {
      peak = std::max(peak, points[p].total());
      host = std::max(host, points[p].host_bytes);
      EXPECT_GE(points[p].total(), evaluation_->memory.argument_bytes);
      if (p == 0) continue;
      EXPECT_LT(points[p - 1].order, points[p].order);
      EXPECT_LE(points[p - 1].begin, points[p].begin);
    }
    EXPECT_EQ(peak, evaluation_->memory.peak_bytes) << most;
    EXPECT_TRUE(host == evaluation_->memory.host_temp_bytes || most < 100'000);
    EXPECT_LE(points.back().begin, result().step_time);
  }
}

const Arguments kMini = {"model_name=llama-mini", "compile_topology=v5p-8",
                         "per_device_batch_size=1", "max_target_length=256"};
const Arguments kMiniV4 = {"model_name=deepseek4-mini", "compile_topology=tpu7x-16",
                           "ici_expert_parallelism=4",  "ici_fsdp_parallelism=-1",
                           "per_device_batch_size=1",   "max_target_length=256"};

INSTANTIATE_TEST_SUITE_P(
    Steps, TimeAnalysis,
    testing::Values(
        With(kMini, {"ici_fsdp_parallelism=4"}),
        With(kMini, {"ici_fsdp_parallelism=2", "ici_tensor_parallelism=2", "remat_policy=minimal"}),
        With(kMini, {"ici_fsdp_parallelism=4", "sim.policy=ideal"}),
        With(kMini, {"ici_fsdp_parallelism=4", "sim.policy=program-order"}),
        With(kMini, {"ici_fsdp_parallelism=4", "remat_policy=custom", "decoder_layer_input=offload",
                     "gradient_accumulation_steps=2"}),
        With(kMini, {"ici_fsdp_parallelism=4", "compile_topology_num_slices=2"}),
        Arguments{"IW-07"}, Arguments{"IWh-07", "sim.policy=ideal"}, Arguments{"IW-08"}, kMiniV4,
        With(kMiniV4, {"opt_type=muon", "sim.policy=ideal"}), Arguments{"V4-Flash"}));

}  // namespace
}  // namespace shardwise
