// Speed of simulate, as a library and as a process. docs/performance.md says how to run it.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/random.h"
#include "reports/render_json.h"
#include "reports/render_text.h"
#include "reports/report_builder.h"
#include "reports/trace.h"
#include "sim/analysis/evaluate.h"
#include "sim/exec/execute.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

const Arguments kLlama = {"IW-07"};  // llama3.1-70b on tpu7x-128
Arguments V4(const std::string& model, const std::string& topology) {
  return {"model_name=" + model, "compile_topology=" + topology, "ici_fsdp_parallelism=-1",
          "per_device_batch_size=1", "max_target_length=4096"};
}
const Arguments kFlash = V4("deepseek4-284b", "v5p-512");
const Arguments kPro = V4("deepseek4-1.6t", "v5p-2048");

std::unique_ptr<Evaluation> EvaluateScenario(const Arguments& arguments) {
  StatusOr<Scenario> scenario = LoadScenario(arguments);
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  StatusOr<std::unique_ptr<Evaluation>> evaluation = Evaluate(*std::move(scenario));
  SW_CHECK(evaluation.ok(), "{}", Message(evaluation.status()));
  return *std::move(evaluation);
}

void LoadScenarioOnly(benchmark::State& state, const Arguments& arguments) {
  for (auto _ : state) benchmark::DoNotOptimize(LoadScenario(arguments));
}
BENCHMARK_CAPTURE(LoadScenarioOnly, llama, kLlama)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(LoadScenarioOnly, v4_flash, kFlash)->Unit(benchmark::kMillisecond);

void LoadAndEvaluate(benchmark::State& state, const Arguments& arguments) {
  for (auto _ : state) benchmark::DoNotOptimize(EvaluateScenario(arguments));
}
BENCHMARK_CAPTURE(LoadAndEvaluate, llama, kLlama)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(LoadAndEvaluate, v4_flash, kFlash)->Unit(benchmark::kMillisecond);

void TextReport(benchmark::State& state, const Arguments& arguments) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateScenario(arguments);
  for (auto _ : state) benchmark::DoNotOptimize(RenderText(BuildReport(*evaluation)));
}
BENCHMARK_CAPTURE(TextReport, llama, kLlama)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(TextReport, v4_flash, kFlash)->Unit(benchmark::kMillisecond);

void JsonReport(benchmark::State& state, const Arguments& arguments) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateScenario(arguments);
  for (auto _ : state) benchmark::DoNotOptimize(RenderJson(BuildReport(*evaluation)));
}
BENCHMARK_CAPTURE(JsonReport, llama, kLlama)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(JsonReport, v4_flash, kFlash)->Unit(benchmark::kMillisecond);

void Trace(benchmark::State& state, const Arguments& arguments) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateScenario(arguments);
  for (auto _ : state) benchmark::DoNotOptimize(RenderTrace(*evaluation));
}
BENCHMARK_CAPTURE(Trace, llama, kLlama)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Trace, v4_flash, kFlash)->Unit(benchmark::kMillisecond);

// From exec to exit, output thrown away: what a user waits for.
void WholeProcess(benchmark::State& state, Arguments words) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  words.insert(words.begin(), {SHARDWISE_BINARY, "simulate"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  constexpr int kDoesNotFit = 3;  // is an answer too
  for (auto _ : state) {
    pid_t child = 0;
    int status = 0;
    const bool ran =
        posix_spawn(&child, words[0].c_str(), &actions, nullptr, arguments.data(), environ) == 0 &&
        waitpid(child, &status, 0) == child && WIFEXITED(status) &&
        (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kDoesNotFit);
    if (!ran) {
      state.SkipWithError("the process failed");
      break;
    }
  }
  posix_spawn_file_actions_destroy(&actions);
}
BENCHMARK_CAPTURE(WholeProcess, llama, kLlama)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(WholeProcess, v4_flash, kFlash)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(WholeProcess, v4_pro, kPro)->Unit(benchmark::kMillisecond)->UseRealTime();

// A whole optimizer step of deepseek4-mini in float32, executed on eight virtual devices.
void MiniStepOnEightDevices(benchmark::State& state) {
  const StatusOr<Scenario> scenario =
      LoadScenario({"model_name=deepseek4-mini", "compile_topology=v6e-8", "ici_fsdp_parallelism=2",
                    "ici_expert_parallelism=2", "ici_context_parallelism=2",
                    "per_device_batch_size=1", "max_target_length=64", "dtype=float32"});
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  const StatusOr<TrainStep> step = BuildTrainStep(scenario->model);
  SW_CHECK(step.ok(), "{}", Message(step.status()));
  const StatusOr<SpmdProgram> spmd = Partition(step->program, scenario->mesh, scenario->rules);
  SW_CHECK(spmd.ok(), "{}", Message(spmd.status()));
  std::vector<Tensor> inputs;
  for (const TensorType& type : spmd->global_inputs) {
    Tensor tensor(type);
    for (int64_t i = 0; IsFloat(type.dtype) && i < tensor.elements(); ++i) {
      tensor.Set(i, 0.1 * RandomUniform(1, inputs.size(), i));
    }
    inputs.push_back(std::move(tensor));
  }
  for (auto _ : state) benchmark::DoNotOptimize(RunSharded(*spmd, inputs));
}
BENCHMARK(MiniStepOnEightDevices)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace shardwise
