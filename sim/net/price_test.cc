#include "sim/net/price.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <chrono>
#include <cmath>

#include "sim/net/group_gen.h"

namespace shardwise {
namespace {

constexpr CollectiveKind kPriced[] = {CollectiveKind::kAllGather, CollectiveKind::kReduceScatter,
                                      CollectiveKind::kAllReduce, CollectiveKind::kAllToAll,
                                      CollectiveKind::kRaggedAllToAll};

Chip ChipOf(std::string_view name) { return LoadChip(name).value(); }

GroupTopology Ring(int64_t n) { return {{{LinkClass::kIciX, n, true, 1, 1}}}; }
GroupTopology Line(int64_t n) { return {{{LinkClass::kIciX, n, false, 1, 1}}}; }

// Of a buffer of `elements`; a ragged all-to-all sends as much to everyone.
Collective Even(CollectiveKind kind, int64_t elements, int64_t n) {
  Collective collective{kind, elements};
  if (kind == CollectiveKind::kRaggedAllToAll) {
    collective.operand = elements;
    collective.elements = 2 * elements;
    collective.counts.assign(n * n, elements / n);
  }
  return collective;
}

// The representative walk equals the schedule that is executed, link by link, and so do the bytes.
TEST(PriceTest, WalkEqualsFullSchedule) {
  const Chip chip = ChipOf("tpu7x");
  const bool held = rc::check([&] {
    const GroupTopology group = AnyGroup(*rc::gen::element<int64_t>(16, 36));
    const int64_t n = group.size();
    // Divisible by the parts colours are dealt in and by two, so that nothing is rounded.
    const int64_t elements = n * 480 * *rc::gen::inRange<int64_t>(1, 4);
    const double width = *rc::gen::element(1.0, 2.0, 4.0);
    for (const CollectiveKind kind : kPriced) {
      const CollectivePrice full =
          PriceSchedule(chip, BuildSchedule(Even(kind, elements, n), group), group, width);
      const CollectivePrice walk =
          PriceCollective(chip, kind, group, {static_cast<double>(elements) * width});
      RC_ASSERT(walk.stages.size() == full.stages.size());
      RC_ASSERT(walk.launch == full.launch);
      RC_ASSERT(std::abs(walk.sent.value - full.sent.value) < 1e-6);
      for (size_t s = 0; s < walk.stages.size(); ++s) {
        RC_ASSERT(walk.stages[s].steps == full.stages[s].steps);
        RC_ASSERT(walk.stages[s].latency == full.stages[s].latency);
        for (int c = 0; c < kLinkClassCount; ++c) {
          RC_ASSERT(std::abs(walk.stages[s].bytes[c] - full.stages[s].bytes[c]) < 1e-6);
        }
      }
    }
  });
  EXPECT_TRUE(held);
}

// Lengths that do not divide: the walk prices equal parts, the schedule differs by at most an
// element per message.
TEST(PriceTest, UnevenPartsStayClose) {
  const Chip chip = ChipOf("v5p");
  const bool held = rc::check([&] {
    const GroupTopology group = AnyGroup();
    const int64_t elements = *rc::gen::inRange<int64_t>(2000, 3000);
    const CollectivePrice full =
        PriceSchedule(chip, BuildSchedule({CollectiveKind::kAllReduce, elements}, group), group, 1);
    const CollectivePrice walk =
        PriceCollective(chip, CollectiveKind::kAllReduce, group, {static_cast<double>(elements)});
    for (int c = 0; c < kLinkClassCount; ++c) {
      const double part = walk.BusiestLink(static_cast<LinkClass>(c)).value;
      const double whole = full.BusiestLink(static_cast<LinkClass>(c)).value;
      RC_ASSERT(std::abs(part - whole) <= 0.05 * part);
    }
    RC_ASSERT(walk.sent.value == full.sent.value);
  });
  EXPECT_TRUE(held);
}

TEST(PriceTest, AffineInBytes) {
  const Chip chip = ChipOf("tpu7x");
  const bool held = rc::check([&] {
    const GroupTopology group = AnyGroup();
    for (const CollectiveKind kind : kPriced) {
      const CollectivePrice one = PriceCollective(chip, kind, group, {1e6});
      const CollectivePrice three = PriceCollective(chip, kind, group, {3e6});
      RC_ASSERT(one.latency() == three.latency());
      for (int c = 0; c < kLinkClassCount; ++c) {
        const auto link = static_cast<LinkClass>(c);
        RC_ASSERT(std::abs(three.BusiestLink(link).value - 3 * one.BusiestLink(link).value) < 1e-3);
      }
    }
  });
  EXPECT_TRUE(held);
}

// Closed forms of one dimension: V (n-1)/n over two directions of a ring or one end of a line.
TEST(PriceTest, RingsAndLines) {
  const Chip chip = ChipOf("v5p");
  const double v = 1e9;
  for (int64_t n = 2; n <= 33; ++n) {
    const double gathered = v * static_cast<double>(n - 1) / static_cast<double>(n);
    const auto nn = static_cast<double>(n);
    const auto x = [&](CollectiveKind kind, const GroupTopology& group) {
      return PriceCollective(chip, kind, group, {v}).BusiestLink(LinkClass::kIciX).value;
    };
    const auto steps = [&](CollectiveKind kind, const GroupTopology& group) {
      return PriceCollective(chip, kind, group, {v}).steps();
    };
    EXPECT_NEAR(x(CollectiveKind::kAllGather, Ring(n)), gathered / 2, 1);
    EXPECT_NEAR(x(CollectiveKind::kReduceScatter, Ring(n)), gathered / 2, 1);
    EXPECT_NEAR(x(CollectiveKind::kAllReduce, Ring(n)), gathered, 1);
    EXPECT_NEAR(x(CollectiveKind::kAllGather, Line(n)), gathered, 1);
    EXPECT_EQ(steps(CollectiveKind::kAllGather, Ring(n)), n / 2);
    EXPECT_EQ(steps(CollectiveKind::kAllGather, Line(n)), n - 1);
    EXPECT_EQ(steps(CollectiveKind::kAllReduce, Ring(n)), 2 * (n / 2));
    // A quarter of an all-gather round a ring of even length; half of the line's bisection.
    if (n % 2 == 0) {
      EXPECT_NEAR(x(CollectiveKind::kAllToAll, Ring(n)), v * nn / 8, 1);
      EXPECT_NEAR(x(CollectiveKind::kAllToAll, Line(n)), v * nn / 4, 1);
    }
  }
}

// No schedule beats what a corner or an end of the slice must receive through its own links.
TEST(PriceTest, NeverBelowTheLinksOfOneDevice) {
  const Chip chip = ChipOf("v5p");
  const bool held = rc::check([&] {
    GroupTopology group;
    for (const LinkClass link : {LinkClass::kIciX, LinkClass::kIciY, LinkClass::kIciZ}) {
      const int64_t extent = *rc::gen::inRange<int64_t>(1, 9);
      if (extent > 1) group.dims.push_back({link, extent, *rc::gen::arbitrary<bool>(), 1, 1});
    }
    const int64_t n = group.size();
    if (n == 1) return;
    const CollectivePrice price = PriceCollective(chip, CollectiveKind::kAllGather, group, {1e9});
    double links = 0, busiest = 0;
    bool cube = true;
    for (const GroupDim& dim : group.dims) {
      links += dim.wrap ? 2 : 1;
      busiest = std::max(busiest, price.BusiestLink(dim.link).value);
      cube &= dim.extent == group.dims[0].extent && dim.wrap == group.dims[0].wrap;
    }
    const double bound = 1e9 * static_cast<double>(n - 1) / static_cast<double>(n) / links;
    RC_ASSERT(busiest >= bound * (1 - 1e-9));
    if (cube) RC_ASSERT(busiest <= bound * (1 + 1e-9));
  });
  EXPECT_TRUE(held);
}

// Sides of different length or kind: shares of the colours bring every link to the same load.
TEST(PriceTest, ColoursLoadAllLinksEqually) {
  const Chip chip = ChipOf("v5p");
  struct Case {
    Dims sides;
    bool wrap[3];
  };
  for (const Case& c : {Case{{4, 4, 8}, {true, true, true}}, Case{{4, 8, 16}, {true, true, true}},
                        Case{{8, 16}, {false, true, false}}, Case{{2, 2, 4}, {false, false, false}},
                        Case{{2, 4}, {false, false, false}}}) {
    GroupTopology group;
    double links = 0;
    for (size_t d = 0; d < c.sides.size(); ++d) {
      group.dims.push_back({static_cast<LinkClass>(d), c.sides[d], c.wrap[d], 1, 1});
      links += c.wrap[d] ? 2 : 1;
    }
    const auto n = static_cast<double>(group.size());
    const CollectivePrice price = PriceCollective(chip, CollectiveKind::kAllGather, group, {1e9});
    for (const GroupDim& dim : group.dims) {
      EXPECT_NEAR(price.BusiestLink(dim.link).value / (1e9 * (n - 1) / n / links), 1, 0.02)
          << group.ToText();
    }
  }
}

// V_total * longest side / (4 N W_bidi): half of the data crosses the middle of the longest side.
TEST(PriceTest, AllToAllMeetsTheBisectionBound) {
  const Chip chip = ChipOf("v5p");
  for (const Dims& sides : {Dims{4, 4, 4}, Dims{4, 4, 8}, Dims{4, 8, 16}, Dims{8, 8, 8}}) {
    GroupTopology group;
    for (int d = 0; d < 3; ++d) {
      group.dims.push_back({static_cast<LinkClass>(d), sides[d], true, 1, 1});
    }
    const double held_by_one = 1e8;
    const CollectivePrice price =
        PriceCollective(chip, CollectiveKind::kAllToAll, group, {held_by_one});
    const auto longest = static_cast<double>(sides[2]);
    EXPECT_NEAR(price.BusiestLink(LinkClass::kIciZ).value, held_by_one * longest / 8, 1);
  }
}

TEST(PriceTest, SlicesReduceInsideFirst) {
  const Chip chip = ChipOf("v5p");
  const GroupTopology group{{{LinkClass::kDcn, 2, false, 1, 1},
                             {LinkClass::kIciX, 4, true, 1, 1},
                             {LinkClass::kIciY, 4, true, 1, 1}}};
  const CollectivePrice price = PriceCollective(chip, CollectiveKind::kAllReduce, group, {1.6e9});
  ASSERT_EQ(price.stages.size(), 4u);
  // The sixteenth that each device reduced crosses the data centre: half of it to be reduced, half
  // to be gathered again.
  constexpr int kDcn = static_cast<int>(LinkClass::kDcn);
  EXPECT_EQ(price.stages[0].bytes[kDcn], 0);
  EXPECT_NEAR(price.stages[1].bytes[kDcn], 5e7, 1);
  EXPECT_EQ(price.stages[1].bytes, price.stages[2].bytes);
  EXPECT_EQ(price.stages[0].bytes, price.stages[3].bytes);
}

TEST(PriceTest, PermuteCountsEveryPairOnTheBusiestLink) {
  const Chip chip = ChipOf("v5p");
  const auto shift = [&](const GroupTopology& group, int64_t k) {
    std::vector<std::pair<int64_t, int64_t>> pairs;
    for (int64_t p = 0; p < group.size(); ++p) pairs.push_back({p, (p + k) % group.size()});
    return PricePermute(chip, group, {1e6}, pairs);
  };
  for (int64_t k = 1; k < 8; ++k) {
    // Half way round, each direction takes half of every message.
    const double expected = k == 4 ? 2e6 : 1e6 * static_cast<double>(std::min(k, 8 - k));
    EXPECT_NEAR(shift(Ring(8), k).BusiestLink(LinkClass::kIciX).value, expected, 1) << k;
    EXPECT_EQ(shift(Ring(8), k).latency(), chip.collective_launch + chip.ici_fixed_latency +
                                               chip.ici_hop_latency * std::min(k, 8 - k));
  }
  EXPECT_NEAR(shift(Line(8), 3).BusiestLink(LinkClass::kIciX).value, 3e6, 1);
  EXPECT_EQ(shift(Ring(8), 0).AloneTime(chip), Duration{});
}

TEST(PriceTest, ASingleDeviceIsFree) {
  const Chip chip = ChipOf("v5p");
  for (const CollectiveKind kind : kPriced) {
    EXPECT_EQ(PriceCollective(chip, kind, {}, {1e9}).AloneTime(chip), Duration{});
  }
}

TEST(PriceTest, LargeGroupsArePricedQuickly) {
  const Chip chip = ChipOf("tpu7x");
  const GroupTopology group{{{LinkClass::kDcn, 4, false, 1, 2},
                             {LinkClass::kIciX, 16, true, 1, 2},
                             {LinkClass::kIciY, 24, true, 1, 2},
                             {LinkClass::kIciZ, 24, true, 1, 2},
                             {LinkClass::kCore, 2, false, 1, 1}}};
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) {
    EXPECT_GT(PriceCollective(chip, CollectiveKind::kAllReduce, group, {1e9}).AloneTime(chip),
              Duration{});
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed.count() / 10, 1e-3);
}

}  // namespace
}  // namespace shardwise
