#include "sim/analysis/waterfall.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

enum class Loss : uint8_t {
  kIdeal,
  kClock,
  kPadding,
  kRate,
  kProducts,
  kAttention,
  kVector,
  kRematerialisation,
  kCollective,  // one bar per kind and axes
  kTransfer,    // one bar per direction
  kOptimizer,
  kLaunch,
  kContention,
};

struct LossText {
  std::string_view id, name, meaning;
};

LossText TextOf(Loss loss) {
  switch (loss) {
    case Loss::kIdeal:
      return {"ideal", "matrix products at peak",
              "matrix FLOPs of forward and backward at the published peak of the chip"};
    case Loss::kClock:
      return {"clock", "clock", "the same products at the clock the chip runs at"};
    case Loss::kPadding:
      return {"mxu_padding", "matrix unit padding",
              "rows, columns and tiles that only fill the matrix unit"};
    case Loss::kRate:
      return {"mxu_rate", "matrix unit rate",
              "products run below the unit's peak even when their operands are there"};
    case Loss::kProducts:
      return {"products_memory", "memory and epilogues of products",
              "products wait for HBM, and write and post-process their results"};
    case Loss::kAttention:
      return {"attention_vector", "vector work of attention",
              "softmax, masks and partial sums beyond the matrix unit's time"};
    case Loss::kVector:
      return {"vector", "vector and memory-bound kernels",
              "forward and backward kernels without matrix products: norms, activations, copies"};
    case Loss::kRematerialisation:
      return {"rematerialisation", "rematerialisation",
              "kernels that compute again what the remat policy did not keep"};
    case Loss::kCollective:
      return {"", "", "the TensorCore waits for this collective, or runs it itself"};
    case Loss::kTransfer:
      return {"", "", "the TensorCore waits for a copy between HBM and host memory"};
    case Loss::kOptimizer:
      return {"optimizer", "optimizer", "the update of parameters and optimizer state"};
    case Loss::kLaunch:
      return {"launch", "kernel overhead", "fixed time before a kernel does any work"};
    case Loss::kContention:
      return {"contention", "contention",
              "kernels are slowed because others use the same memory or links"};
  }
  return {};
}

class Waterfall {
 public:
  explicit Waterfall(const StepResult& result) : result_(result) {
    const Chip& chip = result.pricer->placement().topology.chip;
    const double published = chip.peak_bf16_per_chip.value / static_cast<double>(chip.devices);
    // A clock above the published one's is no loss.
    at_published_ = std::min(1.0, chip.DevicePeak(result.clock_hz).value / published);
  }

  std::vector<WaterfallBar> Build() {
    Add(Loss::kIdeal, "", {});
    for (size_t b = 0; b < result_.timeline.blocks.size(); ++b) {
      const BlockTimeline& block = result_.timeline.blocks[b];
      for (const TimelineSlice& slice : block.slices) {
        const bool is_call = slice.kind == TimelineSlice::Kind::kCall;
        if (slice.lane == Lane::kTensorCore && !is_call) AddSlice(b, slice, block.executions);
      }
    }
    return Bars();
  }

 private:
  void Add(Loss loss, const std::string& waited_for, Duration time) {
    times_[{loss, waited_for}] += time;
  }

  void AddSlice(size_t block, const TimelineSlice& slice, int64_t executions) {
    const Duration time = slice.end - slice.begin;
    if (slice.kernel < 0) return Add(Loss::kContention, "", time * executions);
    const BlockPlan& plan = result_.plans[block];
    const KernelRecord& record = result_.timeline.blocks[block].kernels[slice.kernel];
    switch (plan.fusion.kernels[slice.kernel].kind) {
      case KernelKind::kCollective:
        return Add(Loss::kCollective, record.name, time * executions);
      case KernelKind::kTransfer:
        return Add(Loss::kTransfer, record.name, time * executions);
      default:
        return AddKernel(*plan.prices[slice.kernel], record, time, executions);
    }
  }

  void AddKernel(const KernelPrice& price, const KernelRecord& record, Duration time,
                 int64_t executions) {
    const Duration launch = price.demand.latency();
    Add(Loss::kLaunch, "", launch * executions);
    Add(Loss::kContention, "", (time - record.alone) * executions);
    const Duration rest = record.alone - launch;
    if (record.phase == Phase::kOptimizer) return Add(Loss::kOptimizer, "", rest * executions);
    if (record.phase == Phase::kRecompute) {
      return Add(Loss::kRematerialisation, "", rest * executions);
    }
    if (price.flops == 0) return Add(Loss::kVector, "", rest * executions);
    AddProducts(price, rest, executions);
  }

  // Cuts the `time` of a kernel with matrix products.
  void AddProducts(const KernelPrice& price, Duration time, int64_t executions) {
    const double padded =
        price.demand.total(Resource::kMxu) / result_.pricer->capacities()[Resource::kMxu];
    const Loss last = price.op_class == OpClass::kAttention ? Loss::kAttention : Loss::kProducts;
    // Where each part ends, at the earliest where the one before does.
    std::array<std::pair<Loss, Duration>, 5> parts = {
        {{Loss::kIdeal, FromSeconds(price.ideal_seconds * at_published_)},
         {Loss::kClock, FromSeconds(price.ideal_seconds)},
         {Loss::kPadding, FromSeconds(padded)},
         {Loss::kRate, FromSeconds(price.unit_seconds)},
         {last, time}}};
    for (size_t p = 1; p + 1 < parts.size(); ++p) {
      parts[p].second = std::max(parts[p].second, parts[p - 1].second);
    }
    // Equal times may differ by a picosecond after rounding; that is no loss.
    for (size_t p = parts.size() - 1; p-- > 0;) {
      const Duration next = parts[p + 1].second;
      if (parts[p].second + Duration{1} >= next) parts[p].second = next;
    }
    Duration begin;
    for (const auto& [loss, end] : parts) {
      Add(loss, "", (end - begin) * executions);
      begin = end;
    }
  }

  std::vector<WaterfallBar> Bars() const {
    std::vector<std::pair<Loss, WaterfallBar>> bars;
    Duration sum;
    for (const auto& [key, time] : times_) {
      const auto& [loss, waited_for] = key;
      sum += time;
      if (time.ps == 0 && loss != Loss::kIdeal) continue;
      SW_CHECK(time.ps >= 0, "a bar of {} ps", time.ps);
      const LossText text = TextOf(loss);
      WaterfallBar bar = {std::string(text.id), std::string(text.name), std::string(text.meaning),
                          time};
      if (!waited_for.empty()) bar.id = bar.name = "wait " + waited_for;
      bars.emplace_back(loss, std::move(bar));
    }
    SW_CHECK(sum == result_.step_time, "bars of {} ps for a step of {} ps", sum.ps,
             result_.step_time.ps);
    std::stable_sort(bars.begin(), bars.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second.time > b.second.time;
    });
    std::vector<WaterfallBar> out;
    for (auto& [loss, bar] : bars) out.push_back(std::move(bar));
    return out;
  }

  const StepResult& result_;
  double at_published_ = 1;  // published peak's time of a product over its time at this clock
  std::map<std::pair<Loss, std::string>, Duration> times_;
};

}  // namespace

std::vector<WaterfallBar> BuildWaterfall(const StepResult& result) {
  return Waterfall(result).Build();
}

}  // namespace shardwise
