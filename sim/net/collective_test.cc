#include "sim/net/collective.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "sim/net/group_gen.h"

namespace shardwise {
namespace {

using Buffers = std::vector<Tensor>;

Buffers Random(int64_t n, int64_t elements, DType dtype) {
  Buffers buffers;
  for (int64_t p = 0; p < n; ++p) {
    Tensor tensor({{elements}, dtype});
    // Small integers: every sum is exact in every dtype but bf16, which rounds once.
    const auto values = *rc::gen::container<std::vector<int>>(elements, rc::gen::inRange(-99, 99));
    for (int64_t i = 0; i < elements; ++i) tensor.Set(i, values[i]);
    buffers.push_back(std::move(tensor));
  }
  return buffers;
}

Buffers Executed(const Collective& collective, const GroupTopology& group, Buffers buffers) {
  std::vector<Tensor*> pointers;
  for (Tensor& buffer : buffers) pointers.push_back(&buffer);
  Execute(collective, group, pointers);
  return buffers;
}

double Reduced(const Buffers& in, int64_t i, CollectiveReduction reduction) {
  double value = in[0].Get(i);
  for (size_t p = 1; p < in.size(); ++p) {
    const double next = in[p].Get(i);
    value = reduction == CollectiveReduction::kSum ? value + next : std::max(value, next);
  }
  return RoundTo(in[0].type().dtype, value);
}

// The mathematical definition, element by element; nullopt where a result is undefined.
std::optional<double> Expected(const Collective& c, const Buffers& in, int64_t p, int64_t i) {
  const auto n = static_cast<int64_t>(in.size());
  const int64_t chunk = c.elements / n;
  switch (c.kind) {
    case CollectiveKind::kAllGather:
      return in[i / chunk].Get(i);
    case CollectiveKind::kReduceScatter:
      if (i / chunk != p) return std::nullopt;
      return Reduced(in, i, c.reduction);
    case CollectiveKind::kAllReduce:
      return Reduced(in, i, c.reduction);
    case CollectiveKind::kAllToAll:
      return in[i / chunk].Get(p * chunk + i % chunk);
    case CollectiveKind::kRaggedAllToAll: {
      if (i < c.operand) return std::nullopt;
      int64_t place = i - c.operand;
      for (int64_t from = 0; from < n; ++from) {
        int64_t first = 0;
        for (int64_t to = 0; to < p; ++to) first += c.counts[from * n + to];
        const int64_t count = c.counts[from * n + p];
        if (place < count) return first + place < c.operand ? in[from].Get(first + place) : 0.0;
        place -= count;
      }
      return 0.0;
    }
    case CollectiveKind::kPermute:
      for (const auto& [from, to] : c.pairs) {
        if (to == p) return in[from].Get(i);
      }
      return 0.0;
  }
  return std::nullopt;
}

void CheckAgainstDefinition(const Collective& c, const GroupTopology& group, const Buffers& in) {
  const Buffers out = Executed(c, group, in);
  for (size_t p = 0; p < in.size(); ++p) {
    for (int64_t i = 0; i < c.elements; ++i) {
      const std::optional<double> expected = Expected(c, in, static_cast<int64_t>(p), i);
      if (expected) RC_ASSERT(out[p].Get(i) == *expected);
    }
  }
}

TEST(CollectiveTest, ResultsFollowTheDefinition) {
  const bool held = rc::check([] {
    const GroupTopology group = AnyGroup();
    const int64_t n = group.size();
    Collective c;
    c.kind = static_cast<CollectiveKind>(*rc::gen::inRange(0, kCollectiveKindCount));
    c.reduction = *rc::gen::element(CollectiveReduction::kSum, CollectiveReduction::kMax);
    const bool any_length = c.kind == CollectiveKind::kAllReduce ||
                            c.kind == CollectiveKind::kRaggedAllToAll ||
                            c.kind == CollectiveKind::kPermute;
    c.elements = *rc::gen::inRange<int64_t>(1, 40) * (any_length ? 1 : n);
    if (c.kind == CollectiveKind::kRaggedAllToAll) {
      // Both ends overflow at times.
      c.operand = *rc::gen::inRange<int64_t>(0, c.elements + 1);
      c.counts = *rc::gen::container<std::vector<int64_t>>(
          n * n, rc::gen::element<int64_t>(0, 0, 1, 2, 5));
    }
    if (c.kind == CollectiveKind::kPermute) {
      std::vector<int64_t> targets(n);
      for (int64_t p = 0; p < n; ++p) targets[p] = p;
      for (int64_t p = n - 1; p > 0; --p) {
        std::swap(targets[p], targets[*rc::gen::inRange<int64_t>(0, p + 1)]);
      }
      for (int64_t p = 0; p < n; ++p) {
        if (*rc::gen::arbitrary<bool>()) c.pairs.push_back({p, targets[p]});
      }
    }
    const DType dtype = *rc::gen::element(DType::kF64, DType::kF32, DType::kBF16, DType::kI32);
    CheckAgainstDefinition(c, group, Random(n, c.elements, dtype));
  });
  EXPECT_TRUE(held);
}

// A sum that a bf16 accumulator would get wrong: 256 + 1 + 1 + ... needs one rounding at the end.
TEST(CollectiveTest, AccumulatesWideAndRoundsOnce) {
  GroupTopology group{{{LinkClass::kIciX, 4, true, 1, 1}, {LinkClass::kIciY, 4, false, 1, 1}}};
  Buffers in;
  for (int p = 0; p < 16; ++p) {
    in.push_back(Tensor::FromValues({{1}, DType::kBF16}, {p == 5 ? 256.0 : 1.0}));
  }
  const Collective c{CollectiveKind::kAllReduce, 1, CollectiveReduction::kSum, {}};
  for (const Tensor& out : Executed(c, group, in))
    EXPECT_EQ(out.Get(0), RoundTo(DType::kBF16, 271));
}

// Each participant forwards only what it owned or received in an earlier step: an all-gather that
// breaks this would still give the right answer if steps ran one transfer at a time.
TEST(CollectiveTest, NobodySendsWhatItDoesNotHave) {
  const bool held = rc::check([] {
    const GroupTopology group = AnyGroup();
    const int64_t n = group.size();
    const int64_t elements = n * *rc::gen::inRange<int64_t>(1, 9);
    std::vector<std::vector<bool>> holds(n, std::vector<bool>(elements, false));
    for (int64_t p = 0; p < n; ++p) {
      for (int64_t i = 0; i < elements / n; ++i) holds[p][p * (elements / n) + i] = true;
    }
    for (const TransferStep& step : BuildSchedule({CollectiveKind::kAllGather, elements}, group)) {
      const auto before = holds;
      for (const Transfer& t : step.transfers) {
        RC_ASSERT(t.from_offset == t.to_offset);
        for (int64_t i = 0; i < t.length; ++i) {
          RC_ASSERT(before[t.from][t.from_offset + i]);
          RC_ASSERT(!holds[t.to][t.to_offset + i]);  // nothing arrives twice
          holds[t.to][t.to_offset + i] = true;
        }
      }
    }
    for (const auto& held_by : holds) {
      RC_ASSERT(std::all_of(held_by.begin(), held_by.end(), [](bool b) { return b; }));
    }
  });
  EXPECT_TRUE(held);
}

TEST(CollectiveTest, RoutesEndWhereTheyShould) {
  const bool held = rc::check([] {
    const GroupTopology group = AnyGroup();
    const int64_t n = group.size();
    for (const CollectiveKind kind : {CollectiveKind::kAllReduce, CollectiveKind::kAllToAll}) {
      for (const TransferStep& step : BuildSchedule({kind, n * 6}, group)) {
        for (const Transfer& t : step.transfers) {
          const std::vector<LinkUse> route = RouteOf(group, t);
          RC_ASSERT(!route.empty());
          RC_ASSERT(route.front().node == t.from);
          for (const LinkUse& use : route) {
            // A line has no link beyond its ends.
            const GroupDim& dim = group.dims[use.dim];
            if (dim.wrap || dim.link == LinkClass::kDcn) continue;
            int64_t stride = 1;
            for (size_t d = use.dim + 1; d < group.dims.size(); ++d) stride *= group.dims[d].extent;
            const int64_t at = use.node / stride % dim.extent;
            RC_ASSERT((use.negative ? at > 0 : at + 1 < dim.extent));
          }
        }
      }
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace shardwise
