#include "sim/machine/topology.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace shardwise {
namespace {

std::string TextOf(std::string_view name, int64_t slices = 1) {
  StatusOr<Topology> topology = LoadTopology(name, slices);
  return topology.ok() ? topology->ToText() : Message(topology.status());
}

TEST(TopologyTest, Descriptions) {
  EXPECT_EQ(TextOf("tpu7x-128"), "tpu7x-128 = 4x4x4, 64 chips, 128 devices, wraps x y z");
  EXPECT_EQ(TextOf("v6e-128"), "v6e-128 = 8x16, 128 chips, 128 devices, wraps y");
  EXPECT_EQ(TextOf("v6e-256", 4), "v6e-256 = 16x16, 256 chips, 256 devices, wraps x y, 4 slices");
  EXPECT_EQ(TextOf("v5p-32"), "v5p-32 = 2x2x4, 16 chips, 16 devices, no wrap links");
  EXPECT_EQ(TextOf("tpu7x-4x4x8"), "tpu7x-4x4x8 = 4x4x8, 128 chips, 256 devices, wraps x y z");
  EXPECT_EQ(TextOf("v4-8x4x4"), "v4-8x4x4 = 8x4x4, 128 chips, 128 devices, wraps x y z");
}

TEST(TopologyTest, EveryRowAgreesWithItsDeviceCount) {
  ASSERT_GT(TopologyRows().size(), 200u);
  for (const TopologyRow& row : TopologyRows()) {
    StatusOr<Topology> topology = LoadTopology(row.name);
    ASSERT_TRUE(topology.ok()) << topology.status();
    EXPECT_EQ(topology->devices_per_slice(), row.devices) << row.name;
    // Three-dimensional slices wrap on all sides or on none; flat ones on sides of 16.
    if (topology->chip.ici_axes == 3) {
      EXPECT_EQ(topology->wrap[0], topology->wrap[2]) << row.name;
      EXPECT_EQ(topology->wrap[0], row.dims[0] >= 4) << row.name;
    }
  }
}

TEST(TopologyTest, UnknownNamesAreRefused) {
  for (const std::string_view name : {"v5p-129", "v9-128", "tpu7x-4x4x5", "v6e-4x4x4x4", "v5e-3x3",
                                      "v5p-", "", "v5p", "v5p-0x4x4", "v5p-4000000x4000000x4"}) {
    EXPECT_FALSE(LoadTopology(name).ok()) << name;
  }
  EXPECT_FALSE(LoadTopology("v5p-128", 0).ok());
  EXPECT_NE(TextOf("v5p-182").find("did you mean"), std::string::npos) << TextOf("v5p-182");
}

}  // namespace
}  // namespace shardwise
