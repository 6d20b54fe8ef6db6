#include "sim/search/point_evaluator.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "sim/config/scenario_template.h"
#include "sim/search/batch_family.h"

namespace shardwise {
namespace {

using Grid = std::vector<std::pair<std::string, std::vector<std::string>>>;

void ExpectEqual(const StepMetrics& a, const StepMetrics& b) {
  EXPECT_EQ(a.step_time_s, b.step_time_s);
  EXPECT_EQ(a.model_tflops, b.model_tflops);
  EXPECT_EQ(a.weights_fraction, b.weights_fraction);
  EXPECT_EQ(a.tflops_per_device, b.tflops_per_device);
  EXPECT_EQ(a.tflops_per_chip, b.tflops_per_chip);
  EXPECT_EQ(a.tokens_per_s_per_device, b.tokens_per_s_per_device);
  EXPECT_EQ(a.tokens_per_s_per_chip, b.tokens_per_s_per_chip);
  EXPECT_EQ(a.peak_tflops_per_chip, b.peak_tflops_per_chip);
  EXPECT_EQ(a.mfu, b.mfu);
  EXPECT_EQ(a.hfu, b.hfu);
  EXPECT_EQ(a.mxu_utilization, b.mxu_utilization);
}

void ExpectEqual(const PointResult& a, const PointResult& b) {
  ExpectEqual(a.metrics, b.metrics);
  EXPECT_EQ(a.step_time, b.step_time);
  EXPECT_EQ(a.global_batch_size, b.global_batch_size);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.fits, b.fits);
  EXPECT_EQ(a.near_limit, b.near_limit);
  EXPECT_EQ(a.hbm_peak_bytes, b.hbm_peak_bytes);
  EXPECT_EQ(a.hbm_argument_bytes, b.hbm_argument_bytes);
  EXPECT_EQ(a.hbm_usable_bytes, b.hbm_usable_bytes);
  EXPECT_EQ(a.host_bytes, b.host_bytes);
  EXPECT_EQ(a.bound_by, b.bound_by);
  EXPECT_EQ(a.bound_by_time, b.bound_by_time);
  EXPECT_EQ(a.lower_bound, b.lower_bound);
  EXPECT_EQ(a.lower_bound_time, b.lower_bound_time);
  EXPECT_EQ(a.exposed_axes, b.exposed_axes);
  EXPECT_EQ(a.exposed_axes_time, b.exposed_axes_time);
  EXPECT_EQ(a.exposed_time, b.exposed_time);
}

// The evaluator against a whole evaluation, number by number or message by message.
void ExpectWhole(PointEvaluator& evaluator, const Scenario& scenario) {
  const StatusOr<PointResult> point = evaluator.Evaluate(scenario);
  const StatusOr<std::unique_ptr<Evaluation>> whole = Evaluate(scenario);
  ASSERT_EQ(point.ok(), whole.ok());
  if (whole.ok()) {
    ExpectEqual(*point, PointResultOf(**whole));
  } else {
    EXPECT_EQ(Message(point.status()), Message(whole.status()));
    EXPECT_EQ(point.status().code(), whole.status().code());
  }
}

// Points of the grid drawn at random, each against a whole evaluation.
void CheckRandomPoints(const std::vector<std::string>& arguments, const Grid& grid, int count) {
  const auto base = ScenarioTemplate::Read(arguments);
  ASSERT_TRUE(base.ok()) << Message(base.status());
  SharedCaches caches;
  PointEvaluator evaluator(caches);
  std::mt19937_64 random(count);
  int legal = 0;
  for (int i = 0; i < count; ++i) {
    std::vector<Override> overrides;
    std::string text;
    for (const auto& [key, values] : grid) {
      overrides.emplace_back(key, values[random() % values.size()]);
      text += key + "=" + overrides.back().second + " ";
    }
    const StatusOr<Scenario> scenario = base->Resolve(overrides);
    if (!scenario.ok()) continue;
    SCOPED_TRACE(text);
    ExpectWhole(evaluator, *scenario);
    ++legal;
  }
  EXPECT_GT(legal, count / 4);
}

const std::vector<std::string> kRemat = {"full", "minimal", "minimal_offloaded", "save_out_proj"};
const std::vector<std::string> kBatches = {"0.25", "0.5", "1",  "1.5", "2", "3",
                                           "4",    "6",   "10", "16",  "24"};

TEST(PointEvaluatorTest, LlamaPointsAreWhole) {
  CheckRandomPoints({"model_name=llama3.1-8b", "compile_topology=v5p-64", "max_target_length=4096"},
                    {{"ici_fsdp_parallelism", {"-1"}},
                     {"ici_tensor_parallelism", {"1", "2", "4"}},
                     {"ici_data_parallelism", {"1", "4"}},
                     {"gradient_accumulation_steps", {"1", "2"}},
                     {"sim.policy", {"latency-hiding", "program-order", "ideal"}},
                     {"remat_policy", {"full", "minimal_offloaded"}},
                     {"per_device_batch_size", kBatches}},
                    300);
}

TEST(PointEvaluatorTest, MiniV4PointsAreWhole) {
  CheckRandomPoints({"model_name=deepseek4-mini", "compile_topology=v6e-16", "dtype=float32"},
                    {{"max_target_length", {"64", "256"}},
                     {"sim.v4.as_maxtext", {"true", "false"}},
                     {"ici_fsdp_parallelism", {"-1"}},
                     {"ici_expert_parallelism", {"1", "2", "4"}},
                     {"ici_context_parallelism", {"1", "2"}},
                     {"remat_policy", kRemat},
                     {"per_device_batch_size", {"0.5", "1", "2", "3", "5", "8", "20"}}},
                    150);
}

// Meshes and batches of DeepSeek-V4-Flash, batches in no order.
TEST(PointEvaluatorTest, FlashPointsAreWhole) {
  const auto base = ScenarioTemplate::Read({"V4-Flash"});
  ASSERT_TRUE(base.ok());
  SharedCaches caches;
  PointEvaluator evaluator(caches);
  for (const char* expert : {"1", "8"}) {
    for (const char* tensor : {"1", "2"}) {
      for (const char* batch : {"2", "8", "1", "3", "12", "0.5", "200"}) {
        SCOPED_TRACE(testing::Message() << expert << ' ' << tensor << ' ' << batch);
        const std::vector<Override> overrides = {{"ici_expert_parallelism", expert},
                                                 {"ici_tensor_parallelism", tensor},
                                                 {"remat_policy", "minimal"},
                                                 {"per_device_batch_size", batch}};
        const StatusOr<Scenario> scenario = base->Resolve(overrides);
        ASSERT_EQ(scenario.ok(), std::string(batch) != "0.5" || std::string(tensor) == "2");
        if (scenario.ok()) ExpectWhole(evaluator, *scenario);
      }
    }
  }
}

TEST(PointEvaluatorTest, ErrorsAreThoseOfAWholeEvaluation) {
  SharedCaches caches;
  PointEvaluator evaluator(caches);
  for (const char* wrong : {"sim.dvfs_p_state=5", "scan_layers=false"}) {
    const StatusOr<Scenario> scenario =
        LoadScenario({"model_name=llama3.1-8b", "compile_topology=v5p-64", wrong});
    ASSERT_TRUE(scenario.ok()) << Message(scenario.status());
    ExpectWhole(evaluator, *scenario);
    EXPECT_FALSE(evaluator.Evaluate(*scenario).ok());
  }
}

TEST(PointEvaluatorTest, ThreadsShareWhatTheyLearn) {
  const auto base = ScenarioTemplate::Read(
      {"model_name=llama3.1-8b", "compile_topology=v5p-64", "max_target_length=4096"});
  ASSERT_TRUE(base.ok());
  SharedCaches caches;
  constexpr int kPoints = 24;
  std::vector<StatusOr<PointResult>> results(kPoints, InvalidArgument("not evaluated"));
  const auto scenario_of = [&](int i) {
    const std::vector<Override> overrides = {{"remat_policy", kRemat[i / 12]},
                                             {"per_device_batch_size", std::to_string(i % 12 + 1)}};
    return base->Resolve(overrides);
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      PointEvaluator evaluator(caches);
      for (int i = t; i < kPoints; i += 3) results[i] = evaluator.Evaluate(*scenario_of(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kPoints; ++i) {
    SCOPED_TRACE(i);
    ASSERT_TRUE(results[i].ok());
    ExpectEqual(*results[i], PointResultOf(**Evaluate(*scenario_of(i))));
  }
}

// One structure from one batch to 64 of them: what the speed of a sweep rests on.
TEST(BatchFamilyTest, SpeaksForTheBatchesBetween) {
  const StatusOr<Scenario> scenario = LoadScenario({"V4-Flash", "ici_expert_parallelism=8"});
  ASSERT_TRUE(scenario.ok());
  const int64_t devices = scenario->mesh.devices();
  StatusOr<BatchStep> low = BuildBatchStep(*scenario, devices);
  const StatusOr<BatchStep> high = BuildBatchStep(*scenario, 64 * devices);
  ASSERT_TRUE(low.ok() && high.ok());
  const auto family = BatchFamily::Between(*low, *high, scenario->mesh);
  ASSERT_NE(family, nullptr);
  BatchValues values;
  for (int64_t batch = 1; batch <= 64; ++batch) {
    EXPECT_TRUE(family->ValuesAt(batch * devices, values)) << batch;
  }
  EXPECT_FALSE(family->ValuesAt(65 * devices, values));
  EXPECT_FALSE(family->ValuesAt(devices / 2, values));
  EXPECT_FALSE(family->ValuesAt(devices + 1, values));  // does not divide over the mesh

  // The program at another batch, node by node.
  const StatusOr<BatchStep> between = BuildBatchStep(*scenario, 12 * devices);
  ASSERT_TRUE(between.ok() && family->ValuesAt(12 * devices, values));
  Program program = family->program();
  family->sizes().Apply(values.sizes, values.attrs, program);
  ASSERT_EQ(program.blocks.size(), between->local.blocks.size());
  for (size_t b = 0; b < program.blocks.size(); ++b) {
    const Block &made = program.blocks[b], &built = between->local.blocks[b];
    EXPECT_EQ(made.types, built.types) << made.name;
    ASSERT_EQ(made.nodes.size(), built.nodes.size());
    for (size_t n = 0; n < made.nodes.size(); ++n) {
      EXPECT_EQ(made.nodes[n].op, built.nodes[n].op);
      EXPECT_EQ(made.nodes[n].in, built.nodes[n].in);
      if (made.nodes[n].op->name == "scale") continue;  // a constant, which no price asks for
      EXPECT_EQ(made.nodes[n].attrs, built.nodes[n].attrs) << made.nodes[n].op->name;
    }
  }
}

TEST(BatchFamilyTest, IsNoneOfStepsThatDifferInMore) {
  const StatusOr<Scenario> full = LoadScenario({"IW-07"});
  const StatusOr<Scenario> saved = LoadScenario({"IW-07", "remat_policy=minimal"});
  ASSERT_TRUE(full.ok() && saved.ok());
  const int64_t batch = full->model.global_batch_size;
  StatusOr<BatchStep> low = BuildBatchStep(*full, batch);
  const StatusOr<BatchStep> high = BuildBatchStep(*saved, 2 * batch);
  ASSERT_TRUE(low.ok() && high.ok());
  EXPECT_EQ(BatchFamily::Between(*low, *high, full->mesh), nullptr);
  EXPECT_EQ(low->batch, batch);
  EXPECT_FALSE(low->local.blocks.empty());
}

}  // namespace
}  // namespace shardwise
