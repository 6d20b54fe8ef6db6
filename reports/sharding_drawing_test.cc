#include "reports/sharding_drawing.h"

#include <gtest/gtest.h>

#include "reports/test_util.h"

namespace shardwise {
namespace {

Placement Placed(const std::string& topology, const Mesh& mesh) {
  const StatusOr<Topology> slice = LoadTopology(topology);
  EXPECT_TRUE(slice.ok()) << Message(slice.status());
  const StatusOr<Placement> placement = PlaceMesh(*slice, mesh);
  EXPECT_TRUE(placement.ok()) << Message(placement.status());
  return *placement;
}

// The device that JAX calls 2 lies beside 0 in y.
const Placement& FourChips() {
  static const Placement placement = Placed("v5p-8", {{{"fsdp", 2}, {"tensor", 2}}});
  return placement;
}

std::string Drawn(const Dims& dims, const Sharding& sharding, const Placement& placement,
                  const DrawingOptions& options = {}) {
  const StatusOr<std::string> text =
      DrawSharding({dims, DType::kF32}, sharding, placement, options);
  return text.ok() ? *text : Message(text.status());
}

TEST(Drawing, OneDimension) {
  EXPECT_EQ(Drawn({8}, {{{0, 1}}}, FourChips()),
            "across: dimension 0 (8 in 4 of 2)\n"
            "┌───────┬───────┬───────┬───────┐\n"
            "│ TPU 0 │ TPU 1 │ TPU 2 │ TPU 3 │\n"
            "└───────┴───────┴───────┴───────┘\n");
}

TEST(Drawing, TwoDimensionsAndCopies) {
  EXPECT_EQ(Drawn({8, 6}, {{{0}, {1}}}, FourChips(), {.ascii = true}),
            "down: dimension 0 (8 in 2 of 4), across: dimension 1 (6 in 2 of 3)\n"
            "+-------+-------+\n"
            "| TPU 0 | TPU 1 |\n"
            "+-------+-------+\n"
            "| TPU 2 | TPU 3 |\n"
            "+-------+-------+\n");
  EXPECT_EQ(Drawn({8, 6}, {{{}, {1}}}, FourChips()),
            "down: dimension 0 (8 in 1 of 8), across: dimension 1 (6 in 2 of 3)\n"
            "┌─────────┬─────────┐\n"
            "│ TPU 0,2 │ TPU 1,3 │\n"
            "└─────────┴─────────┘\n");
}

TEST(Drawing, HigherRanksShowTwoDimensions) {
  const Placement eight = Placed("v6e-8", {{{"a", 2}, {"b", 2}, {"c", 2}}});
  const Sharding all{{{0}, {1}, {2}}};
  EXPECT_EQ(Drawn({2, 2, 2}, all, eight),
            "dimensions 0, 1, 2 of f32[2,2,2] are split; --dims i,j says which two to draw");
  EXPECT_EQ(Drawn({2, 2, 2}, all, eight, {.dims = {{0, 3}}}),
            "--dims 0,3: the dimensions of f32[2,2,2] are 0 to 2");
  const std::string text = Drawn({2, 2, 2}, all, eight, {.dims = {{2, 0}}});
  EXPECT_NE(text.find("down: dimension 2"), std::string::npos) << text;
  EXPECT_NE(text.find("first of the 2 blocks of dimension 1\n"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), 'T'), 4) << text;
  // Dimensions that are whole need not be named.
  EXPECT_EQ(Drawn({2, 3, 2}, {{{0}, {}, {2}}}, eight).substr(0, 45),
            "down: dimension 0 (2 in 2 of 1), across: dime");
  EXPECT_EQ(Drawn({}, {}, eight), "a scalar has no dimensions to draw");
}

TEST(Drawing, LargeMeshesAreCutInTheMiddle) {
  const Placement many = Placed("v5p-256", {{{"fsdp", 32}, {"tensor", 4}}});
  const std::string text = Drawn({64, 64}, {{{0}, {1}}}, many);
  EXPECT_EQ(LinesOf(text).size(), 1u + 2 * 16 + 1);
  EXPECT_NE(text.find("│    ⋮    │"), std::string::npos) << text;
  const std::string copies = Drawn({64, 64}, {{{}, {1}}}, many);
  EXPECT_NE(copies.find("…"), std::string::npos) << copies;
}

}  // namespace
}  // namespace shardwise
