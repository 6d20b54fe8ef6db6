#include "sim/search/sweep_threads.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "sim/search/evaluation_order.h"

namespace shardwise {
namespace {

using Clock = std::chrono::steady_clock;

// At most so many transactions a second; between them points gather. What is in the queue is in
// flight.
constexpr auto kBetweenWrites = std::chrono::milliseconds(10);
constexpr auto kBetweenProgress = std::chrono::milliseconds(200);
constexpr size_t kLongestQueue = 10'000;

// From the threads that simulate to the one that writes.
class RecordQueue {
 public:
  explicit RecordQueue(int threads) : running_(threads) {}

  void Put(PointRecord record) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return records_.size() < kLongestQueue; });
    records_.push_back(std::move(record));
    filled_.notify_one();
  }

  void ThreadEnded() {
    const std::lock_guard lock(mutex_);
    --running_;
    filled_.notify_one();
  }

  // What is there, waiting at most `longest` for the first; nullopt when no more will come.
  std::optional<std::vector<PointRecord>> Take(Clock::duration longest) {
    std::unique_lock lock(mutex_);
    filled_.wait_for(lock, longest, [&] { return !records_.empty() || running_ == 0; });
    if (records_.empty() && running_ == 0) return std::nullopt;
    room_.notify_all();
    return std::exchange(records_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_, room_;
  std::vector<PointRecord> records_;
  int running_;
};

// Nothing an evaluation throws may end the other points.
PointRecord RunGuarded(PointRunner& runner, const SweepSpec& spec, int64_t index) {
  try {
    return runner.Run(index);
  } catch (const std::exception& error) {
    PointRecord record;
    record.index = index;
    record.values = spec.Values(index);
    record.outcome = Outcome::kFailed;
    record.message = error.what();
    return record;
  }
}

}  // namespace

void SweepProgress::Add(const PointRecord& record) {
  ++counts[record.outcome];
  if (record.outcome != Outcome::kOk) return;
  // Of equals the first point, whichever thread was faster.
  const auto rate = [](const PointRecord& r) { return r.metrics->tokens_per_s_per_chip; };
  if (!best.has_value() || rate(record) > rate(*best) ||
      (rate(record) == rate(*best) && record.index < best->index)) {
    best = record;
  }
}

Status RunPoints(const SweepPlan& plan, const Shard& shard, const std::vector<bool>& done,
                 const SweepThreads& options, StoreWriter& store, SweepProgress& progress) {
  const EvaluationOrder order(plan.spec);
  std::atomic<int64_t> next = 0;
  std::atomic<bool> broken = false;
  SharedCaches caches;
  RecordQueue queue(options.threads);
  const auto work = [&] {
    PointRunner runner(plan, caches);
    const auto stopped = [&] {
      return broken || (options.stop != nullptr && options.stop->load() != 0);
    };
    while (!stopped()) {
      const int64_t begin = next.fetch_add(order.run());
      const int64_t end = std::min(begin + order.run(), plan.spec.points);
      if (begin >= end) break;
      for (int64_t p = begin; p < end && !stopped(); ++p) {
        const int64_t point = order.PointAt(p);
        if (!shard.Has(point) || done[static_cast<size_t>(shard.PositionOf(point))]) continue;
        queue.Put(RunGuarded(runner, plan.spec, point));
      }
    }
    queue.ThreadEnded();
  };
  std::vector<std::jthread> threads;
  for (int t = 0; t < options.threads; ++t) threads.emplace_back(work);

  Status status;
  const Clock::time_point begin = Clock::now();
  Clock::time_point told = begin;
  while (auto records = queue.Take(kBetweenProgress)) {
    // After an error the queue is emptied, so that no thread waits for room in it.
    if (!records->empty() && status.ok()) {
      status = store.Append(*records);
      if (!status.ok()) broken = true;
      for (const PointRecord& record : *records) progress.Add(record);
    }
    const Clock::time_point now = Clock::now();
    progress.seconds = std::chrono::duration<double>(now - begin).count();
    if (options.progress && now - told >= kBetweenProgress) {
      options.progress(progress);
      told = now;
    }
    std::this_thread::sleep_for(kBetweenWrites);
  }
  if (options.progress) options.progress(progress);
  return status;
}

}  // namespace shardwise
