#include "sim/config/topologies.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>

namespace shardwise {
namespace {

std::string NameOf(std::string_view spelling) {
  const std::optional<TopologyChoice> choice = ResolveTopology(spelling);
  return choice.has_value() ? choice->name : "none";
}

TEST(Topologies, DevicesFollowFromTheShape) {
  for (const TopologySize& topology : AllTopologies()) {
    const auto sides = ParseSliceShape(topology.shape);
    ASSERT_TRUE(sides.has_value()) << topology.name;
    const int64_t per_chip = topology.family == "tpu7x" ? 2 : 1;
    EXPECT_EQ(topology.devices, (*sides)[0] * (*sides)[1] * (*sides)[2] * per_chip);
    EXPECT_EQ(FindTopology(topology.name), &topology);
  }
  EXPECT_EQ(FindTopology("tpu7x-100"), nullptr);
  EXPECT_EQ(FindTopology(""), nullptr);
}

// Every slice of MaxText's table under every way to write it.
TEST(Topologies, EverySpellingMeansTheSameSlice) {
  for (const TopologySize& topology : AllTopologies()) {
    const std::string name(topology.name), family(topology.family), shape(topology.shape);
    std::string upper = name;
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    for (const std::string& spelling :
         {name, upper, family + "-" + shape, family + ":" + shape, family + " " + shape}) {
      const auto choice = ResolveTopology(spelling);
      ASSERT_TRUE(choice.has_value()) << spelling;
      EXPECT_EQ(choice->name, name) << spelling;
      EXPECT_EQ(choice->shape, shape) << spelling;
      EXPECT_EQ(choice->devices, topology.devices) << spelling;
      EXPECT_EQ(choice->note.empty(), spelling == name || spelling == upper) << spelling;
    }
    std::string reversed;
    for (const auto& side : {2, 1, 0}) {
      const auto sides = *ParseSliceShape(shape);
      if (side == 2 && std::count(shape.begin(), shape.end(), 'x') < 2) continue;
      reversed += fmt::format("{}{}", reversed.empty() ? "" : "x", sides[side]);
    }
    EXPECT_EQ(NameOf(family + "-" + reversed), name);
  }
}

TEST(Topologies, OtherNamesOfAFamily) {
  EXPECT_EQ(NameOf("ironwood-256"), "tpu7x-256");
  EXPECT_EQ(NameOf("Ironwood-4x4x8"), "tpu7x-256");
  EXPECT_EQ(NameOf("tpu7x 4x4x8"), "tpu7x-256");
  EXPECT_EQ(NameOf("tpu-v5p-slice 4x4x8"), "v5p-256");
  EXPECT_EQ(NameOf("tpu-v5p-slice-4x4x8"), "v5p-256");
  EXPECT_EQ(NameOf("tpu-v6e-slice 16x16"), "v6e-256");
  EXPECT_EQ(NameOf("tpu-v5-lite-podslice 8x16"), "v5e-128");
  EXPECT_EQ(NameOf("tpu-v4-podslice 2x2x4"), "v4-32");
  EXPECT_EQ(NameOf("v5litepod-256"), "v5e-256");
  EXPECT_EQ(NameOf("v5:4x8x8"), "v5p-512");
  EXPECT_EQ(NameOf("trillium-16"), "v6e-16");
  for (const TopologySize& topology : AllTopologies()) {
    EXPECT_EQ(TopologyFamily(topology.family), topology.family);
  }
  EXPECT_EQ(TopologyFamily("nvidia-h100"), "");
}

TEST(Topologies, ShapesWithoutAMaxTextName) {
  const auto choice = ResolveTopology("tpu7x-16x4x8");
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->name, "tpu7x-4x8x16");
  EXPECT_EQ(choice->devices, 1024);
  EXPECT_EQ(choice->note,
            "tpu7x-16x4x8 is read as tpu7x-4x8x16 = 4x8x16, which MaxText has no name for");
  EXPECT_EQ(ResolveTopology("v5p-8x8x4")->note, "v5p-8x8x4 is read as v5p-512 = 4x8x8");
  EXPECT_EQ(NameOf("v4-16x16x16"), "v4-16x16x16");  // a whole pod
  EXPECT_EQ(NameOf("v4-16x16x20"), "none");         // more than one
}

TEST(Topologies, WhatDoesNotExist) {
  for (const char* spelling : {"",
                               "-",
                               "tpu7x",
                               "ironwood",
                               "tpu7x-",
                               "tpu7x-100",
                               "tpu7x-4x4x6",
                               "tpu7x-4x4",
                               "v6e-4x4x4",
                               "v6e-32x32",
                               "v6e-3",
                               "v5p-0x4x4",
                               "v5p-4x4x",
                               "v5p-x4x4",
                               "a3",
                               "v9-8",
                               "4x4x4",
                               "256",
                               "v5p-99999x99999x99999",
                               "v5p-99999999999999999999",
                               "tpu7x-4x4x4x4"}) {
    EXPECT_EQ(NameOf(spelling), "none") << spelling;
    EXPECT_FALSE(TopologyHelp(spelling).empty());
  }
  EXPECT_EQ(TopologyHelp("tpu7x-100"), "nearest sizes: tpu7x-128 tpu7x-64 tpu7x-32 tpu7x-16");
  EXPECT_EQ(TopologyHelp("tpu-v6e-slice 8x8x8"),
            "nearest sizes: v6e-256 (16x16) v6e-128 (8x16) v6e-64 (8x8) v6e-32 (4x8)");
  EXPECT_EQ(TopologyHelp("tpu"), "families: tpu7x v6e v5p v5e v4");
}

}  // namespace
}  // namespace shardwise
