#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/base/check.h"
#include "sim/net/collective.h"

namespace shardwise {
namespace {

// Moves `unit`-wide elements between the memories of the participants. Payloads of a step are read
// before anything is written, so a step is simultaneous. combine(target, payload, length) reduces.
template <class S, class Combine>
void RunSchedule(const std::vector<TransferStep>& schedule, const std::vector<S*>& memory,
                 int64_t unit, Combine combine) {
  std::vector<S> payload;
  for (const TransferStep& step : schedule) {
    payload.clear();
    for (const Transfer& t : step.transfers) {
      const S* from = memory[t.from] + t.from_offset * unit;
      payload.insert(payload.end(), from, from + t.length * unit);
    }
    const S* read = payload.data();
    for (const Transfer& t : step.transfers) {
      S* to = memory[t.to] + t.to_offset * unit;
      if (t.accumulate) {
        combine(to, read, t.length);
      } else {
        std::copy(read, read + t.length * unit, to);
      }
      read += t.length * unit;
    }
  }
}

// Reductions run on a wide copy of every buffer and round once, when the result is written back.
template <class S>
void ExecuteWide(const std::vector<TransferStep>& schedule, CollectiveReduction reduction,
                 std::span<Tensor* const> buffers) {
  std::vector<std::vector<S>> wide(buffers.size());
  std::vector<S*> memory;
  for (size_t p = 0; p < buffers.size(); ++p) {
    const int64_t elements = buffers[p]->elements();
    wide[p].resize(elements);
    for (int64_t i = 0; i < elements; ++i) wide[p][i] = static_cast<S>(buffers[p]->Get(i));
    memory.push_back(wide[p].data());
  }
  RunSchedule(schedule, memory, 1, [&](S* to, const S* from, int64_t length) {
    for (int64_t i = 0; i < length; ++i) {
      to[i] = reduction == CollectiveReduction::kSum ? to[i] + from[i] : std::max(to[i], from[i]);
    }
  });
  for (size_t p = 0; p < buffers.size(); ++p) {
    for (int64_t i = 0; i < buffers[p]->elements(); ++i) {
      buffers[p]->Set(i, static_cast<double>(wide[p][i]));
    }
  }
}

void ExecuteBytes(const std::vector<TransferStep>& schedule, std::span<Tensor* const> buffers) {
  std::vector<std::byte*> memory;
  for (Tensor* buffer : buffers) memory.push_back(buffer->data());
  const int64_t unit = ByteSize(buffers[0]->type().dtype);
  RunSchedule(schedule, memory, unit, [](std::byte*, const std::byte*, int64_t) {
    SW_CHECK(false, "a schedule without a reduction accumulates");
  });
}

// Nothing arrives at a participant no pair names as target: XLA defines zeros.
void ZeroWithoutSource(const Collective& collective, std::span<Tensor* const> buffers) {
  std::vector<bool> target(buffers.size(), false);
  for (const auto& [from, to] : collective.pairs) target[to] = true;
  for (size_t p = 0; p < buffers.size(); ++p) {
    if (!target[p]) *buffers[p] = Tensor(buffers[p]->type());
  }
}

// What a participant has for itself is copied, not sent.
void StartRagged(const Collective& collective, std::span<Tensor* const> buffers) {
  const auto n = static_cast<int64_t>(buffers.size());
  SW_CHECK(static_cast<int64_t>(collective.counts.size()) == n * n, "{} counts for {} participants",
           collective.counts.size(), n);
  const int64_t unit = ByteSize(buffers[0]->type().dtype);
  for (int64_t p = 0; p < n; ++p) {
    std::byte* operand = buffers[p]->data();
    std::byte* result = operand + collective.operand * unit;
    std::fill(result, operand + collective.elements * unit, std::byte{0});
    const RaggedPart own = RaggedPartOf(collective, n, p, p);
    std::copy_n(operand + own.from * unit, own.length * unit, result + own.to * unit);
  }
}

}  // namespace

void Execute(const Collective& collective, const GroupTopology& group,
             std::span<Tensor* const> buffers) {
  SW_CHECK(static_cast<int64_t>(buffers.size()) == group.size(), "{} buffers for {} participants",
           buffers.size(), group.size());
  const DType dtype = buffers[0]->type().dtype;
  for (const Tensor* buffer : buffers) {
    SW_CHECK(buffer->elements() == collective.elements && buffer->type().dtype == dtype,
             "{} in a collective of {} elements", buffer->type().ToText(), collective.elements);
  }
  const std::vector<TransferStep> schedule = BuildSchedule(collective, group);
  const bool reduces = collective.kind == CollectiveKind::kReduceScatter ||
                       collective.kind == CollectiveKind::kAllReduce;
  if (!reduces) {
    if (collective.kind == CollectiveKind::kRaggedAllToAll) StartRagged(collective, buffers);
    ExecuteBytes(schedule, buffers);
    if (collective.kind == CollectiveKind::kPermute) ZeroWithoutSource(collective, buffers);
  } else if (dtype == DType::kF64 || dtype == DType::kI32) {
    ExecuteWide<double>(schedule, collective.reduction, buffers);
  } else {
    ExecuteWide<float>(schedule, collective.reduction, buffers);
  }
}

}  // namespace shardwise
