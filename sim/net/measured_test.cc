// Collectives against public measurements and published worked examples. Nothing is tuned here: the
// signed errors are printed, and the bounds are what the model is known to miss by.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "sim/machine/placement.h"
#include "sim/net/price.h"

namespace shardwise {
namespace {

struct Row {
  std::string what;
  double measured_us;
  double predicted_us;
  double low, high;  // allowed signed error
};

void Check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const double error = row.predicted_us / row.measured_us - 1;
    fmt::print("{:<52} measured {:>10.1f} us, predicted {:>10.1f} us, {:+.1f} %\n", row.what,
               row.measured_us, row.predicted_us, 100 * error);
    EXPECT_GE(error, row.low) << row.what;
    EXPECT_LE(error, row.high) << row.what;
  }
}

// Group over all of `axes` of a mesh on a named slice.
GroupTopology GroupOn(std::string_view topology, const std::vector<MeshAxis>& axes,
                      const std::vector<int>& over) {
  Mesh mesh{axes};
  return PlaceMesh(LoadTopology(topology).value(), mesh, true).value().Group(over);
}

double Microseconds(const Chip& chip, CollectiveKind kind, const GroupTopology& group,
                    double bytes) {
  return PriceCollective(chip, kind, group, {bytes}).AloneTime(chip).seconds() * 1e6;
}

// accelerator-microbenchmarks v1.1-legacy, Ironwood all-gather guide: f32, 8 devices.
TEST(MeasuredTest, GatherOnFourTpu7xChips) {
  const Chip chip = LoadChip("tpu7x").value();
  const GroupTopology group = GroupOn("tpu7x-8", {{"fsdp", 8, 1}}, {0});
  std::vector<Row> rows;
  for (const auto& [shard_mb, us] : std::vector<std::pair<double, double>>{{0.262144, 21.9},
                                                                           {1.048576, 48.7},
                                                                           {4.194304, 155.4},
                                                                           {16.777216, 576},
                                                                           {67.108864, 2252}}) {
    rows.push_back({fmt::format("tpu7x 2x2x1 all-gather of {:.2f} MB shards", shard_mb), us,
                    Microseconds(chip, CollectiveKind::kAllGather, group, shard_mb * 8e6), -0.15,
                    0.15});
  }
  Check(rows);
}

// accelerator-microbenchmarks issue 71: f32 over 32 devices without wrap links. About 120 us of the
// measured time is there at any size, and is no property of the links.
TEST(MeasuredTest, ReduceOn32Tpu7xDevices) {
  const Chip chip = LoadChip("tpu7x").value();
  const GroupTopology group = GroupOn("tpu7x-32", {{"fsdp", 32, 1}}, {0});
  std::vector<Row> rows;
  for (const auto& [mb, us] :
       std::vector<std::pair<double, double>>{{2.10, 123.8}, {4.19, 129.9}, {8.39, 162.3}}) {
    rows.push_back({fmt::format("tpu7x 2x2x4 all-reduce of {:.2f} MB", mb), us,
                    Microseconds(chip, CollectiveKind::kAllReduce, group, mb * 1e6), -0.72, 0});
  }
  Check(rows);
  // The slope, where that constant cancels.
  const double slope =
      (rows[2].predicted_us - rows[0].predicted_us) / (rows[2].measured_us - rows[0].measured_us);
  fmt::print("slope predicted / measured {:.2f}\n", slope);
  EXPECT_GT(slope, 0.5);
  EXPECT_LT(slope, 4);
}

// marin issue 6736: permute to the neighbour.
TEST(MeasuredTest, PermuteToTheNeighbour) {
  std::vector<Row> rows;
  for (const auto& [name, topology, small_us, large_us] :
       std::vector<std::tuple<std::string, std::string, double, double>>{
           {"v5p", "v5p-128", 16.9, 782}, {"v6e", "v6e-256", 17.5, 776}}) {
    const Chip chip = LoadChip(name).value();
    const int64_t side = name == "v5p" ? 4 : 16;
    const GroupTopology group{{{LinkClass::kIciX, side, true, 1, 1}}};
    std::vector<std::pair<int64_t, int64_t>> pairs;
    for (int64_t p = 0; p < side; ++p) pairs.push_back({p, (p + 1) % side});
    for (const auto& [mib, us] : {std::pair{1.0, small_us}, std::pair{64.0, large_us}}) {
      const double predicted =
          PricePermute(chip, group, {mib * 1048576}, pairs).AloneTime(chip).seconds() * 1e6;
      rows.push_back({fmt::format("{} permute of {} MiB", name, mib), us, predicted, -0.2, 0.2});
    }
  }
  Check(rows);
}

// tpu-recipes, Trillium collectives: 17408 x 17408 bf16 over 256 chips.
TEST(MeasuredTest, ReduceOnAV6ePod) {
  const Chip chip = LoadChip("v6e").value();
  const GroupTopology group = GroupOn("v6e-256", {{"fsdp", 256, 1}}, {0});
  const double bytes = 17408.0 * 17408 * 2;
  Check({{"v6e 16x16 all-reduce of 606 MB", 5120,
          Microseconds(chip, CollectiveKind::kAllReduce, group, bytes), -0.4, 0}});
}

// scaling-book, sharding chapter: all-gather round the closed side of v5e 8x16 (figure, digitised).
TEST(MeasuredTest, GatherRoundAV5eRing) {
  const Chip chip = LoadChip("v5e").value();
  const GroupTopology group = GroupOn("v5e-128", {{"data", 8, 1}, {"fsdp", 16, 1}}, {1});
  ASSERT_EQ(group.ToText(), "ici-y 16 ring");
  std::vector<Row> rows;
  for (const auto& [bytes, us] : std::vector<std::pair<double, double>>{
           {8.2e3, 16}, {1.3e5, 15}, {5.2e5, 19}, {4.2e6, 58}, {1.68e7, 194}, {1.34e8, 1500}}) {
    rows.push_back({fmt::format("v5e ring of 16, all-gather of {:.1e} B", bytes), us,
                    Microseconds(chip, CollectiveKind::kAllGather, group, bytes), -0.3, 0.1});
  }
  Check(rows);
  const double fraction =
      10e6 / Microseconds(chip, CollectiveKind::kAllGather, group, 10e6) * 1e6 / 9.0e10;
  fmt::print("10 MB: {:.2f} of two 45 GB/s links, published 0.95\n", fraction);
  EXPECT_GT(fraction, 0.85);
  EXPECT_LT(fraction, 1);
}

// scaling-book quiz 2: v5e 8x4 has no wrap links; 680 us and 8 us measured.
TEST(MeasuredTest, GatherAlongAV5eLine) {
  const Chip chip = LoadChip("v5e").value();
  const GroupTopology group{{{LinkClass::kIciY, 4, false, 1, 1}}};
  Check({{"v5e line of 4, all-gather of bf16[2048,8192]", 680,
          Microseconds(chip, CollectiveKind::kAllGather, group, 2048 * 8192 * 2), -0.2, 0.1},
         {"v5e line of 4, all-gather of bf16[256,256]", 8,
          Microseconds(chip, CollectiveKind::kAllGather, group, 256 * 256 * 2), -0.2, 0.2}});
}

// Worked examples use 4.5e10 B/s per link and direction, no latency, and n/n for (n-1)/n.
TEST(MeasuredTest, WorkedExamples) {
  const Chip chip = LoadChip("v4").value();
  const auto busiest_us = [&](CollectiveKind kind, const std::vector<int>& over, double bytes) {
    const GroupTopology group = GroupOn("v4-128", {{"z", 4, 1}, {"y", 4, 1}, {"x", 4, 1}}, over);
    const CollectivePrice price = PriceCollective(chip, kind, group, {bytes});
    double most = 0;
    for (const GroupDim& dim : group.dims) {
      most = std::max(most, price.BusiestLink(dim.link).value);
    }
    return most / 4.5e10 * 1e6;
  };
  const double array = 1024.0 * 4096 * 2;
  EXPECT_NEAR(busiest_us(CollectiveKind::kAllGather, {2}, array / 4), 23.3 * 3 / 4, 0.1);
  EXPECT_NEAR(busiest_us(CollectiveKind::kAllGather, {1, 2}, array), 46.6 * 15 / 16, 0.1);
  EXPECT_NEAR(busiest_us(CollectiveKind::kAllReduce, {0}, array / 16), 11.65 * 3 / 4, 0.1);
  // Without wrap links, quiz 2 again: 560 us.
  const GroupTopology line{{{LinkClass::kIciY, 4, false, 1, 1}}};
  EXPECT_NEAR(PriceCollective(chip, CollectiveKind::kAllGather, line, {2048.0 * 8192 * 2})
                      .BusiestLink(LinkClass::kIciY)
                      .value /
                  4.5e10 * 1e6,
              560, 1);
}

}  // namespace
}  // namespace shardwise
