#include "sim/net/collective.h"

#include <algorithm>

#include "kernels/base/check.h"
#include "sim/net/schedule.h"

namespace shardwise {
namespace {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t length() const { return end - begin; }
};
// Part `i` of `n` nearly equal parts.
Range Part(Range whole, int64_t i, int64_t n) {
  return {whole.begin + whole.length() * i / n, whole.begin + whole.length() * (i + 1) / n};
}

// Builds the steps of an all-gather; the other reductions are this one run backwards.
class GatherBuilder {
 public:
  GatherBuilder(const GroupTopology& group, int64_t elements)
      : group_(group),
        extents_(ExtentsOf(group)),
        levels_(LevelsOf(group)),
        n_(group.size()),
        elements_(elements) {}

  std::vector<TransferStep> Build() {
    const bool two_stages = !levels_.dcn.empty() && (!levels_.ici.empty() || levels_.core >= 0);
    AddLevel(levels_.dcn, {kColourParts}, 0);
    AddLevel(levels_.ici, ColourShares(group_, levels_.ici), two_stages ? 1 : 0);
    if (levels_.core >= 0) AddOtherDie(two_stages ? 1 : 0);
    return std::move(steps_);
  }

 private:
  // All colours of a level advance together, one step each.
  void AddLevel(const std::vector<int>& dims, const std::vector<int64_t>& shares, int stage) {
    if (dims.empty()) return;
    const size_t first = steps_.size();
    const std::vector<int> before = done_;
    Range parts;
    for (size_t colour = 0; colour < shares.size(); ++colour) {
      parts = {parts.end, parts.end + shares[colour]};
      done_ = before;
      size_t at = first;
      for (const int d : ColourOrder(dims, colour)) {
        for (int64_t step = 0; step < GatherSteps(group_.dims[d]); ++step, ++at) {
          if (at == steps_.size()) steps_.push_back({stage, {}});
          AddStep(d, step, parts, steps_[at].transfers);
        }
        done_.push_back(d);
      }
    }
  }

  void AddStep(int d, int64_t step, Range colour, std::vector<Transfer>& out) {
    const GroupDim& dim = group_.dims[d];
    const bool both_ways = !IsSwitch(dim);
    const bool closed = dim.wrap || IsSwitch(dim);
    const bool half = IsHalfStep(dim, step);
    for (int64_t p = 0; p < n_; ++p) {
      const Dims at = CoordinatesOf(extents_, p);
      for (const int way : {+1, -1}) {
        if (way < 0 && !both_ways) continue;
        const int64_t next = at[d] + way, source = at[d] - way * step;
        const auto inside = [&](int64_t i) { return i >= 0 && i < dim.extent; };
        if (!closed && (!inside(next) || !inside(source))) continue;
        Dims to = at, from = at;
        to[d] = (next + dim.extent) % dim.extent;
        from[d] = ((source % dim.extent) + dim.extent) % dim.extent;
        Transfer transfer;
        transfer.from = static_cast<int32_t>(p);
        transfer.to = static_cast<int32_t>(RankOf(extents_, to));
        transfer.negative = way < 0 ? 1u << d : 0;
        ForEachChunk(from, [&](int64_t chunk) {
          const Range whole = Part({0, elements_}, chunk, n_);
          Range range = {whole.begin + whole.length() * colour.begin / kColourParts,
                         whole.begin + whole.length() * colour.end / kColourParts};
          if (half) range = Part(range, way > 0 ? 0 : 1, 2);
          Push(transfer, range, out);
        });
      }
    }
  }

  // Chunks that sit together at `at` once the dimensions in done_ are gathered.
  template <class Fn>
  void ForEachChunk(Dims at, Fn fn) {
    int64_t count = 1;
    for (const int d : done_) count *= extents_[d];
    for (int64_t i = 0; i < count; ++i) {
      int64_t rest = i;
      for (const int d : done_) {
        at[d] = rest % extents_[d];
        rest /= extents_[d];
      }
      fn(RankOf(extents_, at));
    }
  }

  // What arrived in a step goes to the other die of the chip in the next one.
  void AddOtherDie(int stage) {
    const auto copy = [&](int64_t p, Range range, std::vector<Transfer>& out) {
      Dims to = CoordinatesOf(extents_, p);
      to[levels_.core] ^= 1;
      Transfer transfer;
      transfer.from = static_cast<int32_t>(p);
      transfer.to = static_cast<int32_t>(RankOf(extents_, to));
      transfer.negative = to[levels_.core] == 0 ? 1u << levels_.core : 0;
      Push(transfer, range, out);
    };
    steps_.push_back({stage, {}});
    for (size_t s = steps_.size(); s-- > 1;) {
      for (const Transfer& t : std::vector<Transfer>(steps_[s - 1].transfers)) {
        copy(t.to, {t.to_offset, t.to_offset + t.length}, steps_[s].transfers);
      }
    }
    for (int64_t p = 0; p < n_; ++p) copy(p, Part({0, elements_}, p, n_), steps_[0].transfers);
  }

  static void Push(Transfer transfer, Range range, std::vector<Transfer>& out) {
    if (range.length() == 0) return;
    transfer.from_offset = transfer.to_offset = range.begin;
    transfer.length = range.length();
    out.push_back(transfer);
  }

  const GroupTopology& group_;
  Dims extents_;
  Levels levels_;
  int64_t n_, elements_;
  std::vector<int> done_;
  std::vector<TransferStep> steps_;
};

// Time-reversed all-gather: partial results flow back along the same links and add up.
std::vector<TransferStep> Reverse(const GroupTopology& group, std::vector<TransferStep> steps) {
  const Dims extents = ExtentsOf(group);
  const int last_stage = steps.empty() ? 0 : steps.back().stage;
  std::reverse(steps.begin(), steps.end());
  for (TransferStep& step : steps) {
    step.stage = last_stage - step.stage;
    for (Transfer& t : step.transfers) {
      const Dims from = CoordinatesOf(extents, t.from), to = CoordinatesOf(extents, t.to);
      for (size_t d = 0; d < extents.size(); ++d) {
        if (from[d] != to[d]) t.negative ^= 1u << d;
      }
      std::swap(t.from, t.to);
      t.accumulate = true;
    }
  }
  return steps;
}

// Messages that routers forward, in one step. Where both ways round a ring are equally long, half
// goes each way.
void AddRouted(const GroupTopology& group, int64_t from, int64_t to, Range source, int64_t offset,
               std::vector<Transfer>& out) {
  const Dims extents = ExtentsOf(group);
  const Dims a = CoordinatesOf(extents, from), b = CoordinatesOf(extents, to);
  uint32_t negative = 0, tie = 0;
  for (size_t d = 0; d < extents.size(); ++d) {
    const GroupDim& dim = group.dims[d];
    if (IsSwitch(dim) || a[d] == b[d]) continue;
    const int64_t up = (b[d] - a[d] + extents[d]) % extents[d];
    if (!dim.wrap ? b[d] < a[d] : 2 * up > extents[d]) negative |= 1u << d;
    if (dim.wrap && 2 * up == extents[d]) tie |= 1u << d;
  }
  const int halves = tie == 0 ? 1 : 2;
  for (int half = 0; half < halves; ++half) {
    const Range range = Part(source, half, halves);
    if (range.length() == 0) continue;
    Transfer transfer;
    transfer.from = static_cast<int32_t>(from);
    transfer.to = static_cast<int32_t>(to);
    transfer.negative = half == 0 ? negative : negative | tie;
    transfer.from_offset = range.begin;
    transfer.to_offset = offset + range.begin - source.begin;
    transfer.length = range.length();
    out.push_back(transfer);
  }
}

std::vector<TransferStep> RoutedSchedule(const Collective& collective, const GroupTopology& group) {
  TransferStep step;
  const int64_t n = group.size();
  const Range all = {0, collective.elements};
  if (collective.kind == CollectiveKind::kPermute) {
    for (const auto& [from, to] : collective.pairs) {
      SW_CHECK(from >= 0 && from < n && to >= 0 && to < n, "pair {} -> {} of {}", from, to, n);
      if (from != to) AddRouted(group, from, to, all, 0, step.transfers);
    }
  } else if (collective.kind == CollectiveKind::kRaggedAllToAll) {
    for (int64_t p = 0; p < n; ++p) {
      for (int64_t q = 0; q < n; ++q) {
        if (p == q) continue;
        const RaggedPart part = RaggedPartOf(collective, n, p, q);
        AddRouted(group, p, q, {part.from, part.from + part.length}, collective.operand + part.to,
                  step.transfers);
      }
    }
  } else {
    for (int64_t p = 0; p < n; ++p) {
      for (int64_t q = 0; q < n; ++q) {
        if (p != q) AddRouted(group, p, q, Part(all, q, n), Part(all, p, n).begin, step.transfers);
      }
    }
  }
  return {std::move(step)};
}

}  // namespace

RaggedPart RaggedPartOf(const Collective& collective, int64_t n, int64_t p, int64_t q) {
  const auto count = [&](int64_t from, int64_t to) { return collective.counts[from * n + to]; };
  RaggedPart part;
  for (int64_t i = 0; i < q; ++i) part.from += count(p, i);
  for (int64_t i = 0; i < p; ++i) part.to += count(i, q);
  const int64_t there = collective.operand - part.from;
  const int64_t room = collective.elements - collective.operand - part.to;
  part.length = std::min({count(p, q), there, room});
  return part.length > 0 ? part : RaggedPart{};
}

std::vector<TransferStep> BuildSchedule(const Collective& collective, const GroupTopology& group) {
  const int64_t n = group.size();
  if (n == 1 && collective.kind != CollectiveKind::kPermute) return {};
  const bool in_chunks = collective.kind == CollectiveKind::kAllGather ||
                         collective.kind == CollectiveKind::kReduceScatter ||
                         collective.kind == CollectiveKind::kAllToAll;
  SW_CHECK(!in_chunks || collective.elements % n == 0, "{} of {} elements over {} devices",
           Name(collective.kind), collective.elements, n);
  switch (collective.kind) {
    case CollectiveKind::kAllGather:
      return GatherBuilder(group, collective.elements).Build();
    case CollectiveKind::kReduceScatter:
      return Reverse(group, GatherBuilder(group, collective.elements).Build());
    case CollectiveKind::kAllReduce: {
      std::vector<TransferStep> gather = GatherBuilder(group, collective.elements).Build();
      std::vector<TransferStep> steps = Reverse(group, gather);
      for (TransferStep& step : gather) step.stage += steps.back().stage + 1;
      steps.insert(steps.end(), gather.begin(), gather.end());
      return steps;
    }
    case CollectiveKind::kAllToAll:
    case CollectiveKind::kRaggedAllToAll:
    case CollectiveKind::kPermute:
      return RoutedSchedule(collective, group);
  }
  return {};
}

std::vector<LinkUse> RouteOf(const GroupTopology& group, const Transfer& transfer) {
  const Dims extents = ExtentsOf(group);
  Dims at = CoordinatesOf(extents, transfer.from);
  const Dims to = CoordinatesOf(extents, transfer.to);
  std::vector<LinkUse> links;
  for (int d = 0; d < static_cast<int>(extents.size()); ++d) {
    const bool negative = (transfer.negative >> d & 1) != 0;
    while (at[d] != to[d]) {
      links.push_back({d, RankOf(extents, at), negative});
      if (IsSwitch(group.dims[d])) {
        at[d] = to[d];
      } else {
        at[d] = (at[d] + (negative ? extents[d] - 1 : 1)) % extents[d];
      }
    }
  }
  return links;
}

}  // namespace shardwise
