#include "sim/machine/placement.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>

namespace shardwise {
namespace {

struct AxisRow {
  std::string name;
  int64_t size, dcn;
};
struct PlacementRow {
  std::string topology;
  int64_t slices;
  bool split;
  std::vector<AxisRow> axes;
  std::vector<AxisExtent> extents;
  // First devices in mesh order: x, y, z in hexadecimal, die, slice.
  std::string first;
};

// What the TPU compiler was given for MaxText steps: jax 0.12.0.1, libtpu 0.0.51.
const std::vector<PlacementRow> kCompiled = {
    {"tpu7x-4x4x8",
     1,
     false,
     {{"fsdp", 256, 1}},
     {{4, 4, 8, 2, 1}},
     "000a0 000b0 001a0 001b0 002a0 002b0 003a0 003b0 004a0 004b0 005a0 005b0 006a0 006b0 007a0 "
     "007b0"},
    {"tpu7x-4x4x4",
     1,
     false,
     {{"fsdp", 128, 1}},
     {{4, 4, 4, 2, 1}},
     "000a0 000b0 001a0 001b0 002a0 002b0 003a0 003b0 010a0 010b0 011a0 011b0 012a0 012b0 013a0 "
     "013b0"},
    {"v5e-16x16",
     1,
     false,
     {{"fsdp", 256, 1}},
     {{16, 16, 1, 1, 1}},
     "000a0 010a0 020a0 030a0 040a0 050a0 060a0 070a0 080a0 090a0 0a0a0 0b0a0 0c0a0 0d0a0 0e0a0 "
     "0f0a0"},
    {"v5p-4x4x4",
     1,
     false,
     {{"fsdp", 16, 1}, {"tensor", 4, 1}},
     {{1, 4, 4, 1, 1}, {4, 1, 1, 1, 1}},
     "000a0 100a0 200a0 300a0 001a0 101a0 201a0 301a0 002a0 102a0 202a0 302a0 003a0 103a0 203a0 "
     "303a0"},
    {"v5p-8x8x8",
     1,
     false,
     {{"fsdp", 512, 1}},
     {{8, 8, 8, 1, 1}},
     "000a0 001a0 002a0 003a0 004a0 005a0 006a0 007a0 010a0 011a0 012a0 013a0 014a0 015a0 016a0 "
     "017a0"},
    {"v5p-2x2x1", 1, false, {{"fsdp", 4, 1}}, {{2, 2, 1, 1, 1}}, "000a0 010a0 100a0 110a0"},
    {"v6e-16x16",
     1,
     false,
     {{"fsdp", 256, 1}},
     {{16, 16, 1, 1, 1}},
     "000a0 010a0 020a0 030a0 040a0 050a0 060a0 070a0 080a0 090a0 0a0a0 0b0a0 0c0a0 0d0a0 0e0a0 "
     "0f0a0"},
    {"v6e-2x4",
     1,
     false,
     {{"fsdp", 8, 1}},
     {{2, 4, 1, 1, 1}},
     "000a0 100a0 010a0 110a0 130a0 030a0 120a0 020a0"},
    {"v5p-2x2x2",
     1,
     false,
     {{"expert", 8, 1}},
     {{2, 2, 2, 1, 1}},
     "000a0 100a0 110a0 010a0 011a0 111a0 101a0 001a0"},
    {"v5p-2x4x4",
     1,
     false,
     {{"fsdp", 8, 1}, {"expert", 4, 1}},
     {{2, 1, 4, 1, 1}, {1, 4, 1, 1, 1}},
     "000a0 010a0 020a0 030a0 001a0 011a0 021a0 031a0 002a0 012a0 022a0 032a0 003a0 013a0 023a0 "
     "033a0"},
    {"v5p-4x4x8",
     1,
     false,
     {{"fsdp", 128, 1}},
     {{4, 4, 8, 1, 1}},
     "000a0 001a0 002a0 003a0 004a0 005a0 006a0 007a0 010a0 011a0 012a0 013a0 014a0 015a0 016a0 "
     "017a0"},
    {"tpu7x-4x4x4",
     1,
     false,
     {{"fsdp", 32, 1}, {"expert", 4, 1}},
     {{1, 4, 4, 2, 1}, {4, 1, 1, 1, 1}},
     "000a0 100a0 200a0 300a0 000b0 100b0 200b0 300b0 001a0 101a0 201a0 301a0 001b0 101b0 201b0 "
     "301b0"},
    {"v6e-4x4",
     1,
     false,
     {{"fsdp", 16, 1}},
     {{4, 4, 1, 1, 1}},
     "000a0 100a0 200a0 300a0 310a0 210a0 110a0 120a0 220a0 320a0 330a0 230a0 130a0 030a0 020a0 "
     "010a0"},
    {"v5p-4x4x4",
     1,
     false,
     {{"fsdp", 64, 1}},
     {{4, 4, 4, 1, 1}},
     "000a0 001a0 002a0 003a0 010a0 011a0 012a0 013a0 020a0 021a0 022a0 023a0 030a0 031a0 032a0 "
     "033a0"},
    {"v6e-8x8",
     1,
     true,
     {{"fsdp", 16, 1}, {"tensor", 4, 1}},
     {{2, 8, 1, 1, 1}, {4, 1, 1, 1, 1}},
     "000a0 100a0 200a0 300a0 010a0 110a0 210a0 310a0 020a0 120a0 220a0 320a0 030a0 130a0 230a0 "
     "330a0"},
    {"tpu7x-2x2x1",
     1,
     false,
     {{"fsdp", 8, 1}},
     {{2, 2, 1, 2, 1}},
     "000a0 000b0 100a0 100b0 110a0 110b0 010a0 010b0"},
    {"v5e-4x4",
     1,
     false,
     {{"fsdp", 16, 1}},
     {{4, 4, 1, 1, 1}},
     "000a0 100a0 200a0 300a0 310a0 210a0 110a0 120a0 220a0 320a0 330a0 230a0 130a0 030a0 020a0 "
     "010a0"},
    {"v5p-2x2x2",
     1,
     false,
     {{"fsdp", 4, 1}, {"context", 2, 1}},
     {{2, 2, 2, 1, 1}, {2, 1, 1, 1, 1}},
     "000a0 100a0 110a0 010a0 011a0 111a0 101a0 001a0"},
    {"v5p-2x2x2",
     1,
     false,
     {{"fsdp", 8, 1}},
     {{2, 2, 2, 1, 1}},
     "000a0 100a0 110a0 010a0 011a0 111a0 101a0 001a0"},
    {"v5p-2x2x2",
     2,
     false,
     {{"data", 2, 2}, {"fsdp", 8, 1}},
     {{1, 1, 1, 1, 2}, {2, 2, 2, 1, 1}},
     "000a0 100a0 110a0 010a0 011a0 111a0 101a0 001a0 000a1 100a1 110a1 010a1 011a1 111a1 101a1 "
     "001a1"},
    {"v5p-2x2x1", 1, false, {{"tensor", 4, 1}}, {{2, 2, 1, 1, 1}}, "000a0 010a0 100a0 110a0"},
    {"v5p-2x2x4",
     1,
     false,
     {{"fsdp", 16, 1}},
     {{2, 2, 4, 1, 1}},
     "000a0 001a0 002a0 003a0 010a0 011a0 012a0 013a0 100a0 101a0 102a0 103a0 110a0 111a0 112a0 "
     "113a0"},
    {"v6e-8x8",
     1,
     false,
     {{"fsdp", 64, 1}},
     {{8, 8, 1, 1, 1}},
     "000a0 010a0 020a0 030a0 040a0 050a0 060a0 070a0 100a0 110a0 120a0 130a0 140a0 150a0 160a0 "
     "170a0"},
    {"v5e-2x2", 1, false, {{"fsdp", 4, 1}}, {{2, 2, 1, 1, 1}}, "000a0 100a0 110a0 010a0"},
};

Mesh MeshOf(const std::vector<AxisRow>& rows) {
  Mesh mesh;
  for (const AxisRow& row : rows) mesh.axes.push_back({row.name, row.size, row.dcn});
  return mesh;
}

std::string TextOf(const DevicePosition& p) {
  return fmt::format("{:x}{:x}{:x}{}{}", p.chip[0], p.chip[1], p.chip[2], p.core == 0 ? 'a' : 'b',
                     p.slice);
}

TEST(PlacementTest, ReproducesCompiledSteps) {
  for (const PlacementRow& row : kCompiled) {
    const Topology topology = LoadTopology(row.topology, row.slices).value();
    StatusOr<Placement> placement = PlaceMesh(topology, MeshOf(row.axes), row.split);
    ASSERT_TRUE(placement.ok()) << placement.status();
    std::string first;
    for (size_t i = 0; i < 16 && i < placement->devices.size(); ++i) {
      first += (i > 0 ? " " : "") + TextOf(placement->devices[i]);
    }
    EXPECT_EQ(first, row.first) << row.topology << ' ' << placement->mesh.ToText();
    for (int a = 0; a < static_cast<int>(row.axes.size()); ++a) {
      EXPECT_EQ(placement->ExtentOf(a), row.extents[a]) << row.topology << ' ' << row.axes[a].name;
    }
  }
}

std::string Text(std::string_view topology, const std::vector<AxisRow>& axes, bool split = false,
                 int64_t slices = 1) {
  StatusOr<Placement> placement =
      PlaceMesh(LoadTopology(topology, slices).value(), MeshOf(axes), split);
  return placement.ok() ? placement->ToText() : Message(placement.status());
}

TEST(PlacementTest, Groups) {
  EXPECT_EQ(Text("tpu7x-128", {{"fsdp", 32, 1}, {"expert", 4, 1}}),
            "fsdp 32: ici-y 4 ring, ici-z 4 ring, die-to-die 2 line\nexpert 4: ici-x 4 ring\n");
  EXPECT_EQ(Text("tpu7x-128", {{"fsdp", 64, 1}, {"tensor", 2, 1}}),
            "fsdp 64: ici-x 4 ring, ici-y 4 ring, ici-z 4 ring\ntensor 2: die-to-die 2 line\n");
  EXPECT_EQ(Text("v6e-64", {{"fsdp", 16, 1}, {"tensor", 4, 1}}, true),
            "fsdp 16: ici-x 2 line stride 4, ici-y 8 line\ntensor 4: ici-x 4 line\n");
  EXPECT_EQ(Text("v6e-128", {{"data", 2, 2}, {"fsdp", 128, 1}}, false, 2),
            "data 2: dcn 2 switch\nfsdp 128: ici-x 8 line, ici-y 16 ring\n");
  EXPECT_EQ(Text("v5p-16", {{"fsdp", 4, 1}, {"context", 2, 1}}),
            "fsdp 4: ici-x 4 ring stride 2\ncontext 2: ici-x 2 line\n");
}

TEST(PlacementTest, SharedLinks) {
  const Placement split = PlaceMesh(LoadTopology("tpu7x-512").value(),
                                    MeshOf({{"fsdp", 128, 1}, {"tensor", 4, 1}}), true)
                              .value();
  // tensor takes x 4; fsdp y 8, z 8 and both dies. Two devices share each chip's links.
  for (const GroupDim& dim : split.Group({0}).dims) {
    EXPECT_EQ(dim.share, dim.link == LinkClass::kCore ? 1 : 2);
  }
  // Both axes together are the whole slice again.
  EXPECT_EQ(split.Group({0, 1}).size(), 512);
  const Placement strided =
      PlaceMesh(LoadTopology("v5p-128").value(), MeshOf({{"fsdp", 32, 1}, {"tensor", 2, 1}}), true)
          .value();
  EXPECT_EQ(strided.Group({0}).dims[0].share, 2) << strided.ToText();
  EXPECT_EQ(strided.Group({0, 1}).ToText(), "ici-x 4 ring, ici-y 4 ring, ici-z 4 ring");
}

TEST(PlacementTest, ImpossibleMeshesAreRefused) {
  EXPECT_NE(Text("v5p-128", {{"fsdp", 32, 1}, {"tensor", 2, 1}}).find("allow_split_physical_axes"),
            std::string::npos);
  EXPECT_NE(Text("v5p-128", {{"fsdp", 32, 1}}).find("devices per slice"), std::string::npos);
  EXPECT_NE(Text("v5p-128", {{"fsdp", 64, 1}}, false, 2).find("slices"), std::string::npos);
}

// Any factoring of a slice places every device once, and the coordinates of a group multiply to it.
TEST(PlacementTest, RandomMeshesCoverTheSlice) {
  const bool held = rc::check([] {
    const auto name = *rc::gen::element<std::string>("tpu7x-8", "tpu7x-64", "tpu7x-128", "v5p-64",
                                                     "v5p-128", "v6e-32", "v6e-16", "v5e-128");
    const int64_t slices = *rc::gen::inRange<int64_t>(1, 3);
    const Topology topology = LoadTopology(name, slices).value();
    Mesh mesh;
    int64_t rest = topology.devices_per_slice();
    for (int a = 0; a < 3; ++a) {
      int64_t size = 1;
      while (rest % 2 == 0 && *rc::gen::arbitrary<bool>()) size *= 2, rest /= 2;
      mesh.axes.push_back({fmt::format("a{}", a), size, 1});
    }
    mesh.axes.push_back({"last", rest, 1});
    MeshAxis& dcn = mesh.axes[*rc::gen::inRange(0, 4)];
    dcn.dcn = slices;
    dcn.size *= slices;
    const Placement placement = PlaceMesh(topology, mesh, true).value();
    std::set<std::string> seen;
    for (const DevicePosition& p : placement.devices) seen.insert(TextOf(p));
    RC_ASSERT(static_cast<int64_t>(seen.size()) == topology.devices());
    std::vector<int> all;
    for (int a = 0; a < 4; ++a) {
      RC_ASSERT(placement.Group({a}).size() == mesh.axes[a].size);
      all.push_back(a);
      if (placement.ring_order) continue;
      const AxisExtent e = placement.ExtentOf(a);
      RC_ASSERT(e.x * e.y * e.z * e.core * e.slice == mesh.axes[a].size);
    }
    // The whole mesh is the torus itself: full sides, its wrap links, no strides.
    const GroupTopology whole = placement.Group(all);
    RC_ASSERT(whole.size() == topology.devices());
    for (const GroupDim& dim : whole.dims) {
      RC_ASSERT(dim.stride == 1);
      if (!IsIci(dim.link)) continue;
      const int side = static_cast<int>(dim.link);
      RC_ASSERT(dim.extent == topology.dims[side]);
      RC_ASSERT(dim.wrap == topology.wrap[side]);
    }
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace shardwise
