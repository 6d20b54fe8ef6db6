// Speed of simulate, as a library and as a process. docs/performance.md says how to run it.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "reports/render_json.h"
#include "reports/render_text.h"
#include "reports/report_builder.h"
#include "reports/trace.h"
#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

constexpr char kScenario[] = "IW-07";  // llama3.1-70b on tpu7x-128

std::unique_ptr<Evaluation> EvaluateScenario() {
  StatusOr<Scenario> scenario = LoadScenario({kScenario});
  SW_CHECK(scenario.ok(), "{}", Message(scenario.status()));
  StatusOr<std::unique_ptr<Evaluation>> evaluation = Evaluate(*std::move(scenario));
  SW_CHECK(evaluation.ok(), "{}", Message(evaluation.status()));
  return *std::move(evaluation);
}

void LoadScenarioOnly(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(LoadScenario({kScenario}));
}
BENCHMARK(LoadScenarioOnly)->Unit(benchmark::kMillisecond);

void LoadAndEvaluate(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(EvaluateScenario());
}
BENCHMARK(LoadAndEvaluate)->Unit(benchmark::kMillisecond);

void TextReport(benchmark::State& state) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateScenario();
  for (auto _ : state) benchmark::DoNotOptimize(RenderText(BuildReport(*evaluation)));
}
BENCHMARK(TextReport)->Unit(benchmark::kMillisecond);

void JsonReport(benchmark::State& state) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateScenario();
  for (auto _ : state) benchmark::DoNotOptimize(RenderJson(BuildReport(*evaluation)));
}
BENCHMARK(JsonReport)->Unit(benchmark::kMillisecond);

void Trace(benchmark::State& state) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateScenario();
  for (auto _ : state) benchmark::DoNotOptimize(RenderTrace(*evaluation));
}
BENCHMARK(Trace)->Unit(benchmark::kMillisecond);

// From exec to exit, output thrown away: what a user waits for.
void WholeProcess(benchmark::State& state) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = SHARDWISE_BINARY, verb = "simulate", scenario = kScenario;
  char* const arguments[] = {program.data(), verb.data(), scenario.data(), nullptr};
  for (auto _ : state) {
    pid_t child = 0;
    int status = 0;
    const bool ran =
        posix_spawn(&child, program.c_str(), &actions, nullptr, arguments, environ) == 0 &&
        waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!ran) {
      state.SkipWithError("the process failed");
      break;
    }
  }
  posix_spawn_file_actions_destroy(&actions);
}
BENCHMARK(WholeProcess)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace shardwise
