#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "model/ir/logical_axes.h"
#include "model/ir/text.h"
#include "model/ops/builders.h"
#include "sim/mesh/factors.h"
#include "sim/mesh/partition.h"
#include "sim/mesh/reshard.h"

namespace shardwise {
namespace {

const Mesh kMesh{{{"data", 2}, {"fsdp", 4}, {"tensor", 2}, {"expert", 1}}};

TEST(RulesTest, FirstMatchWinsAndAxesAreUsedOnce) {
  const LogicalAxisRules rules = {{"mlp", {"fsdp", "tensor"}},
                                  {"embed", {"fsdp", "expert"}},
                                  {"embed", {"data", "unknown"}},
                                  {"heads", {"tensor"}}};
  auto resolve = [&](std::vector<std::string> names, int rank) {
    return ResolveLogicalAxes(names, rank, rules, kMesh).ToText(kMesh);
  };
  EXPECT_EQ(resolve({"embed", "heads"}, 2), "P('fsdp', 'tensor')");
  EXPECT_EQ(resolve({"embed", "mlp"}, 2), "P('data', ('fsdp', 'tensor'))");
  EXPECT_EQ(resolve({"", "none"}, 2), "P(None, None)");
  EXPECT_EQ(resolve({"embed", "mlp"}, 1), "P(None)");  // longer than the rank
}

TEST(RulesTest, IndivisibleAxesAreReported) {
  Sharding s{{{1}, {2}}};
  const auto dropped = DropIndivisible({{6, 6}, DType::kF32}, kMesh, s);
  EXPECT_EQ(dropped, (std::vector<std::pair<int, int>>{{0, 1}}));
  EXPECT_EQ(s.ToText(kMesh), "P(None, 'tensor')");
}

Sharding RandomSharding(int rank) {
  Sharding s = Sharding::Replicated(rank);
  for (int axis = 0; axis < 3; ++axis) {
    const int dim = *rc::gen::inRange(-1, rank);
    if (dim >= 0) s.dims[dim].push_back(axis);
  }
  return s;
}

// Every resharding type-checks: its local types lead from the one shard shape to the other.
TEST(ReshardTest, AnyShardingLeadsToAnyOther) {
  const bool passed = rc::check("reshard", [] {
    const TensorType global{{16, 32, 48}, DType::kF32};
    const Sharding from = RandomSharding(3), to = RandomSharding(3);
    BlockBuilder b("b");
    const ValueId x = b.Input("x", LocalType(global, from, kMesh));
    const ValueId y = Reshard(b, x, from, to, kMesh);
    RC_ASSERT(b.type(y) == LocalType(global, to, kMesh));
    if (from == to) RC_ASSERT(b.block().nodes.empty());
  });
  EXPECT_TRUE(passed);
}

TEST(ReshardTest, MovedAxesAreExchangedNotGathered) {
  BlockBuilder b("b");
  const Sharding from{{{1}, {}}}, to{{{}, {1}}};
  Reshard(b, b.Input("x", {{4, 16}, DType::kF32}), from, to, kMesh);
  ASSERT_EQ(b.block().nodes.size(), 1u);
  EXPECT_EQ(b.block().nodes[0].op->name, "all_to_all");
}

// y = x w and its gradients: x split over its rows, w over its first dimension, as in FSDP.
TEST(PartitionTest, FsdpGathersWeightsAndScattersGradients) {
  BlockBuilder b("entry");
  BlockInput x, w, g;
  x.logical_axes = {"batch", ""};
  w.logical_axes = {"embed", ""};
  w.role = Role::kParameter;
  g.logical_axes = {"batch", ""};
  const ValueId xv = b.Input(x, {{64, 8}, DType::kF32});
  const ValueId wv = b.Input(w, {{8, 6}, DType::kF32});
  const ValueId gv = b.Input(g, {{64, 6}, DType::kF32});
  BlockOutput y, dw;
  y.value = Einsum(b, "bk,kn->bn", xv, wv);
  dw.value = Einsum(b, "bk,bn->kn", xv, gv);
  dw.logical_axes = w.logical_axes;
  Program program;
  program.blocks.push_back(std::move(b).Finish({y, dw}));
  const auto spmd = Partition(program, kMesh, {{"batch", {"data", "fsdp"}}, {"embed", {"fsdp"}}});
  ASSERT_TRUE(spmd.ok());
  std::vector<std::string> ops;
  for (const Node& node : spmd->program.entry().nodes) {
    ops.push_back(std::string(node.op->name) + " " + node.attrs.ToText());
  }
  EXPECT_EQ(ops,
            (std::vector<std::string>{R"(all_gather axes=["fsdp"] group=4 dim=0)",
                                      R"(einsum equation="bk,kn->bn" out="")",
                                      R"(einsum equation="bk,bn->kn" out="")",
                                      R"(reduce_scatter axes=["fsdp"] group=4 dim=0 reduce="sum")",
                                      R"(all_reduce axes=["data"] group=2 reduce="sum")"}));
  // tensor splits nothing here, so both products are done twice.
  EXPECT_EQ(spmd->replication[0], (std::vector<int64_t>{1, 2, 2, 1, 1}));
}

TEST(PartitionTest, StrictRefusesIndivisibleAxes) {
  BlockBuilder b("entry");
  BlockInput w;
  w.name = "w";
  w.logical_axes = {"embed"};
  BlockOutput out;
  out.value = Neg(b, b.Input(w, {{6}, DType::kF32}));
  Program program;
  program.blocks.push_back(std::move(b).Finish({out}));
  const LogicalAxisRules rules = {{"embed", {"fsdp"}}};
  const auto loose = Partition(program, kMesh, rules);
  ASSERT_TRUE(loose.ok());
  ASSERT_EQ(loose->warnings.size(), 1u);
  EXPECT_NE(loose->warnings[0].find("fsdp (4) does not divide"), std::string::npos);
  EXPECT_FALSE(Partition(program, kMesh, rules, {.strict = true}).ok());
}

}  // namespace
}  // namespace shardwise
