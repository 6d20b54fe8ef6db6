// Speed of sweeps: points per second. docs/performance.md says how to run it.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/base/check.h"
#include "sim/config/scenario_template.h"
#include "sim/search/point_evaluator.h"

namespace shardwise {
namespace {

using Points = std::vector<std::vector<Override>>;

// DeepSeek-V4-Flash on 256 chips over meshes, remat policies and batches, the last one fastest.
Points FlashGrid(const std::vector<std::string>& policies, int batches) {
  Points points;
  for (const char* expert : {"1", "2", "4", "8", "16", "32"}) {
    for (const char* tensor : {"1", "2", "4"}) {
      for (const char* context : {"1", "2"}) {
        for (const std::string& policy : policies) {
          for (int batch = 1; batch <= batches; ++batch) {
            points.push_back({{"ici_expert_parallelism", expert},
                              {"ici_tensor_parallelism", tensor},
                              {"ici_context_parallelism", context},
                              {"remat_policy", policy},
                              {"per_device_batch_size", std::to_string(batch)}});
          }
        }
      }
    }
  }
  return points;
}

// Evaluates all points on so many threads, each taking runs of points that belong together.
void Sweep(const ScenarioTemplate& base, const Points& points, size_t run, int threads) {
  SharedCaches caches;
  std::atomic<size_t> next = 0;
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      PointEvaluator evaluator(caches);
      for (size_t begin = next.fetch_add(run); begin < points.size(); begin = next.fetch_add(run)) {
        for (size_t i = begin; i < std::min(begin + run, points.size()); ++i) {
          const StatusOr<Scenario> scenario = base.Resolve(points[i]);
          if (scenario.ok()) benchmark::DoNotOptimize(evaluator.Evaluate(*scenario));
        }
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
}

// Arguments: batches per mesh and policy; threads.
void FlashPoints(benchmark::State& state) {
  const auto base = ScenarioTemplate::Read({"V4-Flash", "allow_split_physical_axes=true"});
  SW_CHECK(base.ok(), "{}", Message(base.status()));
  const Points points = FlashGrid({"full", "minimal", "save_qkv_proj", "minimal_offloaded"},
                                  static_cast<int>(state.range(0)));
  for (auto _ : state) {
    Sweep(*base, points, state.range(0), static_cast<int>(state.range(1)));
  }
  state.counters["points/s"] = benchmark::Counter(
      static_cast<double>(points.size() * state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(FlashPoints)
    ->ArgNames({"batches", "threads"})
    ->Args({16, 1})
    ->Args({16, 2})
    ->Args({64, 2})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(1);

}  // namespace
}  // namespace shardwise
