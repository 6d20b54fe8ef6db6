#include "sim/sched/latency_hiding.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <span>

namespace shardwise {
namespace {

class LatencyHider {
 public:
  LatencyHider(const Fusion& fusion, const Segment& segment,
               const std::vector<const KernelPrice*>& prices)
      : fusion_(fusion), segment_(segment), prices_(prices) {
    const int count = segment.end - segment.first;
    state_.assign(count, State::kWaiting);
    estimated_end_.resize(count);
    ready_at_.resize(count);
    unmet_.reserve(count);
    async_.reserve(count);
    for (int k = segment.first; k < segment.end; ++k) {
      unmet_.push_back(static_cast<int>(kernel(k).after.size()));
      async_.push_back(LaneOf(kernel(k), *prices[k]) != Lane::kTensorCore);
    }
    FindUsers();
    FindForward();
    FindTrailing();
    for (int k = segment.first; k < segment.end; ++k) {
      if (unmet_[k - segment.first] == 0) Open(k);
    }
  }

  std::vector<ScheduleItem> Run() {
    StartFront();
    for (int k = segment_.first; k < segment_.end; ++k) {
      passed_ = k;
      if (IsAsync(k) || state(k) != State::kWaiting) continue;
      if (IsTrailing(k) && !IsReady(k)) {
        if (unmet_[k - segment_.first] == 0) Open(k);
        continue;
      }
      RunKernel(k);
      Continue();
    }
    for (int k = segment_.first; k < segment_.end; ++k) {
      if (state(k) != State::kWaiting) continue;
      if (IsAsync(k)) {
        Start(k);
      } else {
        RunKernel(k);
      }
      Continue();
    }
    const std::vector<int> running = running_;
    for (int k : running) WaitFor(k);
    return std::move(items_);
  }

 private:
  // kRunning: started and not waited for.
  enum class State : uint8_t { kWaiting, kRunning, kDone };

  const FusedKernel& kernel(int k) const { return fusion_.kernels[k]; }
  bool IsAsync(int k) const { return async_[k - segment_.first]; }
  State& state(int k) { return state_[k - segment_.first]; }
  std::span<const int> users(int k) const {
    const int* const first = users_.data();
    return {first + first_user_[k - segment_.first], first + first_user_[k - segment_.first + 1]};
  }

  void FindUsers() {
    first_user_.assign(segment_.end - segment_.first + 1, 0);
    for (int k = segment_.first; k < segment_.end; ++k) {
      for (int before : kernel(k).after) ++first_user_[before - segment_.first + 1];
    }
    std::partial_sum(first_user_.begin(), first_user_.end(), first_user_.begin());
    users_.resize(first_user_.back());
    std::vector<int> next(first_user_.begin(), first_user_.end() - 1);
    for (int k = segment_.first; k < segment_.end; ++k) {
      for (int before : kernel(k).after) users_[next[before - segment_.first]++] = k;
    }
  }

  bool IsBandwidthBound(int k) const {
    return kernel(k).kind == KernelKind::kCompute && prices_[k]->demand.total(Resource::kMxu) == 0;
  }

  // Kernels that read only what is there when the segment begins and are read only by asynchronous
  // ones: slices and casts of weights before their gathers.
  void FindForward() {
    forward_.assign(segment_.end - segment_.first, false);
    for (int k = segment_.end - 1; k >= segment_.first; --k) {
      forward_[k - segment_.first] = IsBandwidthBound(k) && !users(k).empty() &&
                                     std::all_of(users(k).begin(), users(k).end(), [&](int user) {
                                       return IsAsync(user) || forward_[user - segment_.first];
                                     });
    }
    for (int k = segment_.first; k < segment_.end; ++k) {
      forward_[k - segment_.first] =
          forward_[k - segment_.first] &&
          std::all_of(kernel(k).after.begin(), kernel(k).after.end(),
                      [&](int before) { return forward_[before - segment_.first]; });
    }
  }

  // Kernels that nothing but the end of the segment waits for, through others of their kind: casts
  // of scattered gradients, optimizer updates.
  void FindTrailing() {
    trailing_.assign(segment_.end - segment_.first, false);
    for (int k = segment_.end - 1; k >= segment_.first; --k) {
      trailing_[k - segment_.first] =
          (kernel(k).IsAsyncCandidate() || IsBandwidthBound(k)) &&
          std::all_of(users(k).begin(), users(k).end(), [&](int user) { return IsTrailing(user); });
    }
  }

  bool IsTrailing(int k) const { return trailing_[k - segment_.first]; }

  // Everything `k` needs is there, as far as can be estimated.
  bool IsReady(int k) const {
    return std::all_of(kernel(k).after.begin(), kernel(k).after.end(), [&](int before) {
      const State s = state_[before - segment_.first];
      return s == State::kDone ||
             (s == State::kRunning && estimated_end_[before - segment_.first] <= now_);
    });
  }

  int FirstUser(int k) const { return users(k).empty() ? segment_.end : users(k).front(); }

  // Asynchronous kernels whose operands are there when the segment begins, in the order in which
  // their results are needed.
  void StartFront() {
    std::vector<int> front;
    for (int k = segment_.first; k < segment_.end; ++k) {
      const auto& after = kernel(k).after;
      if (IsAsync(k) && std::all_of(after.begin(), after.end(), [&](int before) {
            return forward_[before - segment_.first];
          })) {
        front.push_back(k);
      }
    }
    std::stable_sort(front.begin(), front.end(),
                     [&](int a, int b) { return FirstUser(a) < FirstUser(b); });
    for (int k : front) {
      RunBefore(k);
      Start(k);
    }
  }

  // The kernels moved to the front for `k`.
  void RunBefore(int k) {
    for (int before : kernel(k).after) {
      if (state(before) != State::kWaiting) continue;
      RunBefore(before);
      RunKernel(before);
    }
  }

  void RunKernel(int k) {
    for (int before : kernel(k).after) {
      if (IsAsync(before)) WaitFor(before);
    }
    items_.push_back({ScheduleItem::Kind::kRun, k});
    Leave(k, State::kDone);
    now_ += prices_[k]->alone;
  }

  // From waiting to `next`.
  void Leave(int k, State next) {
    state(k) = next;
    for (int user : users(k)) {
      if (--unmet_[user - segment_.first] == 0) Open(user);
    }
  }

  // All that kernel `k` needs is done or running. A trailing kernel is a matter of its own place in
  // program order until that has been passed.
  void Open(int k) {
    if (!IsAsync(k) && !(IsTrailing(k) && k <= passed_)) return;
    Duration& ready = ready_at_[k - segment_.first];
    for (int before : kernel(k).after) {
      ready = std::max(ready, estimated_end_[before - segment_.first]);
    }
    const auto place = std::lower_bound(open_.begin(), open_.end(), k);
    if (place - open_.begin() < next_open_) ++next_open_;
    open_.insert(place, k);
  }

  // Issues what has all it needs: asynchronous kernels, and trailing ones that were passed over.
  // One that needs the result of an asynchronous one is left alone until that has probably ended,
  // so that the TensorCore does not stop for it.
  void Continue() {
    bool again = true;
    while (again) {
      again = false;
      for (next_open_ = 0; next_open_ < std::ssize(open_);) {
        const int k = open_[next_open_];
        if (state(k) != State::kWaiting) {
          open_.erase(open_.begin() + next_open_);
          continue;
        }
        ++next_open_;
        if (!(IsAsync(k) || k < passed_) || now_ < ready_at_[k - segment_.first]) continue;
        if (IsAsync(k)) {
          Start(k);
        } else {
          RunKernel(k);
        }
        again = true;
      }
    }
    next_open_ = 0;
  }

  void Start(int k) {
    if (state(k) != State::kWaiting) return;
    for (int before : kernel(k).after) {
      if (IsAsync(before)) WaitFor(before);
    }
    items_.push_back({ScheduleItem::Kind::kStart, k});
    Duration& lane_free = lane_free_[static_cast<int>(LaneOf(kernel(k), *prices_[k]))];
    lane_free = std::max(lane_free, now_) + prices_[k]->alone;
    estimated_end_[k - segment_.first] = lane_free;
    Leave(k, State::kRunning);
    running_.push_back(k);
  }

  void WaitFor(int k) {
    Start(k);
    if (state(k) == State::kDone) return;
    items_.push_back({ScheduleItem::Kind::kDone, k});
    state(k) = State::kDone;
    std::erase(running_, k);
    now_ = std::max(now_, estimated_end_[k - segment_.first]);
  }

  const Fusion& fusion_;
  const Segment& segment_;
  const std::vector<const KernelPrice*>& prices_;
  // By kernel - segment.first.
  std::vector<int> users_, first_user_;  // users of k: from first_user_[k] to first_user_[k + 1]
  std::vector<bool> async_, forward_, trailing_;
  std::vector<int> unmet_;  // how many of the kernels it needs are still waiting
  // Asynchronous and trailing kernels that need none that is still waiting, in program order, some
  // of them issued already; and where Continue stands in the list.
  std::vector<int> open_;
  std::ptrdiff_t next_open_ = 0;
  std::vector<State> state_;
  std::vector<Duration> estimated_end_;  // of asynchronous kernels that were started
  std::vector<Duration> ready_at_;       // of open kernels: when all they need has probably ended
  std::vector<int> running_;             // in order of start
  int passed_ = 0;                       // where the walk in program order stands
  std::vector<ScheduleItem> items_;
  Duration now_;  // of the TensorCore, by estimates
  Duration lane_free_[kLaneCount];
};

}  // namespace

std::vector<ScheduleItem> HideLatency(const Fusion& fusion, const Segment& segment,
                                      const std::vector<const KernelPrice*>& prices) {
  return LatencyHider(fusion, segment, prices).Run();
}

}  // namespace shardwise
