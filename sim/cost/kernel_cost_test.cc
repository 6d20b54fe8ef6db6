#include "sim/cost/kernel_cost.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_builders.h"

namespace shardwise {
namespace {

constexpr DType kBF16 = DType::kBF16;

Placement Place(const char* topology_name, std::vector<MeshAxis> axes) {
  const auto topology = LoadTopology(topology_name);
  SW_CHECK(topology.ok(), "{}", Message(topology.status()));
  const auto placement = PlaceMesh(*topology, Mesh{std::move(axes)}, true);
  SW_CHECK(placement.ok(), "{}", Message(placement.status()));
  return *placement;
}

// One block and its prices on a chip at its default clock.
struct Priced {
  Priced(Placement p, Block b, std::vector<std::string> flags = {})
      : placement(std::move(p)), block(std::move(b)), fusion(Fuse(block)) {
    pricer = std::make_unique<Pricer>(
        placement, CostOptions{placement.topology.chip.DefaultClockHz(), std::move(flags)});
    for (const FusedKernel& kernel : fusion.kernels) {
      prices.push_back(&pricer->Price(block, kernel));
    }
  }
  const KernelPrice& operator[](int k) const { return *prices[k]; }
  Duration Time(int k) const { return AloneTime(prices[k]->demand, pricer->capacities()); }
  double Cycles(int k) const {
    return Time(k).seconds() * placement.topology.chip.DefaultClockHz();
  }

  Placement placement;
  Block block;
  Fusion fusion;
  std::unique_ptr<Pricer> pricer;
  std::vector<const KernelPrice*> prices;
};

Block Finish(BlockBuilder& b, std::vector<ValueId> outputs) {
  std::vector<BlockOutput> list(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) list[i].value = outputs[i];
  return std::move(b).Finish(std::move(list));
}

Block Product(int64_t m, int64_t k, int64_t n, DType dtype = kBF16) {
  BlockBuilder b("product");
  const ValueId x = b.Input("x", {{m, k}, dtype}), y = b.Input("y", {{k, n}, dtype});
  return Finish(b, {Einsum(b, "mk,kn->mn", x, y)});
}

TEST(PhysicalBytesTest, PadsTheMinorDimensions) {
  EXPECT_EQ(PhysicalBytes({{}, DType::kF32}), 4);
  EXPECT_EQ(PhysicalBytes({{5}, kBF16}), 10);
  EXPECT_EQ(PhysicalBytes({{8, 128}, DType::kF32}), 4096);
  EXPECT_EQ(PhysicalBytes({{9, 128}, DType::kF32}), 2 * 4096);
  EXPECT_EQ(PhysicalBytes({{16, 128}, kBF16}), 4096);
  EXPECT_EQ(PhysicalBytes({{8, 128}, kBF16}), 4096);
  EXPECT_EQ(PhysicalBytes({{3, 3}, DType::kF32}), 4096);
  EXPECT_EQ(PhysicalBytes({{3, 3}, DType::kBool}), 4096);
  // A short minor dimension is moved out of the way.
  EXPECT_EQ(PhysicalBytes({{2, 8192, 8, 128}, kBF16}), 2 * 8192 * 8 * 128 * 2);
  EXPECT_EQ(PhysicalBytes({{0, 128}, kBF16}), 0);
}

TEST(PhysicalBytesTest, NeverBelowTheElements) {
  EXPECT_TRUE(rc::check([] {
    TensorType type = {
        {}, *rc::gen::elementOf(std::vector<DType>(kAllDTypes.begin(), kAllDTypes.end()))};
    for (int d = *rc::gen::inRange(0, 5); d > 0; --d) {
      type.dims.push_back(*rc::gen::inRange<int64_t>(1, 300));
    }
    RC_ASSERT(PhysicalBytes(type) >= type.bytes());
    std::reverse(type.dims.begin(), type.dims.end());
    const int64_t reversed = PhysicalBytes(type);
    std::reverse(type.dims.begin(), type.dims.end());
    RC_ASSERT(PhysicalBytes(type) == reversed);
  }));
}

TEST(PaddedFlopsTest, PadsToTheUnitAndTakesTheCheaperWayRound) {
  EXPECT_EQ(PaddedFlops({1, 512, 256, 256}, 256), 2.0 * 512 * 256 * 256);
  EXPECT_EQ(PaddedFlops({1, 512, 100, 256}, 256), 2.0 * 512 * 104 * 256);
  EXPECT_EQ(PaddedFlops({1, 100, 100, 1}, 128), 2.0 * 104 * 128 * 128);
  EXPECT_EQ(PaddedFlops({3, 8, 128, 128}, 128), 3 * 2.0 * 8 * 128 * 128);
}

// estimated_cycles of libtpu 0.0.51 for 8192 cubed, operands and result in HBM, at the default
// scoped VMEM limit and at a large one.
TEST(KernelCostTest, LargeProductsAreWithinATenthOfTheCompiler) {
  struct Row {
    const char* topology;
    int64_t limit_kib;
    double cycles, cycles_large;
  };
  for (const Row& row :
       {Row{"v5e-4", 98304, 9557312, 8579320}, Row{"v5p-8", 49152, 4652072, 4296528},
        Row{"v6e-4", 98304, 2977840, 2337656}, Row{"tpu7x-8", 65472, 2604600, 2273248}}) {
    const auto topology = LoadTopology(row.topology);
    ASSERT_TRUE(topology.ok()) << Message(topology.status());
    const std::vector<MeshAxis> mesh = {{"fsdp", topology->devices(), 1}};
    const Priced normal(Place(row.topology, mesh), Product(8192, 8192, 8192));
    const Priced large(Place(row.topology, mesh), Product(8192, 8192, 8192),
                       {fmt::format("--xla_tpu_scoped_vmem_limit_kib={}", row.limit_kib)});
    EXPECT_NEAR(normal.Cycles(0) / row.cycles, 1, 0.1) << row.topology;
    EXPECT_NEAR(large.Cycles(0) / row.cycles_large, 1, 0.1) << row.topology;
    EXPECT_GE(large.Time(0).seconds(),
              2.0 * 8192 * 8192 * 8192 /
                  large.placement.topology.chip.DevicePeak(large.pricer->options().clock_hz).value);
    EXPECT_DOUBLE_EQ(normal[0].flops, 2.0 * 8192 * 8192 * 8192);
  }
}

TEST(KernelCostTest, ExtraOperandOfTheEpiloguePaysItsBytes) {
  BlockBuilder b("residual");
  const ValueId x = b.Input("x", {{4096, 4096}, kBF16}), y = b.Input("y", {{4096, 4096}, kBF16});
  const ValueId z = b.Input("z", {{4096, 4096}, kBF16});
  const Priced with(Place("v5p-8", {{"fsdp", 4, 1}}),
                    Finish(b, {Add(b, Einsum(b, "mk,kn->mn", x, y), z)}));
  const Priced without(Place("v5p-8", {{"fsdp", 4, 1}}), Product(4096, 4096, 4096));
  const double extra = 4096.0 * 4096 * 2 / with.placement.topology.chip.matmul.bytes_per_cycle;
  EXPECT_NEAR(with.Cycles(0) - without.Cycles(0), extra, 1);
  // The compiler's factor for this epilogue is 1.09 to 1.10.
  EXPECT_NEAR(with.Cycles(0) / without.Cycles(0), 1.09, 0.03);
}

TEST(KernelCostTest, MemoryBoundKernelsTakeTheirBytes) {
  BlockBuilder b("copy");
  const int64_t n = 1 << 14;
  const ValueId x = b.Input("x", {{n, n}, DType::kF32}), y = b.Input("y", {{n, n}, DType::kF32});
  const Priced priced(Place("v5p-8", {{"fsdp", 4, 1}}), Finish(b, {Add(b, x, y)}));
  const Chip& chip = priced.placement.topology.chip;
  const double bytes = 3.0 * 4 * n * n;
  EXPECT_DOUBLE_EQ(priced[0].hbm_bytes, bytes);
  EXPECT_NEAR(priced.Time(0).seconds(),
              chip.op_overhead.seconds() + bytes / (chip.hbm_bandwidth.value * chip.hbm_efficiency),
              1e-11);
}

Block AttentionBlock(int64_t head_dim, int64_t block_size) {
  BlockBuilder b("attention");
  const ValueId q = b.Input("q", {{1, 4096, 8, head_dim}, kBF16});
  const ValueId positions = b.Input("positions", {{1, 4096}, DType::kI32});
  AttentionAttrs attrs;
  attrs.block_q = attrs.block_kv = block_size;
  const auto results = Attention(b, q, q, q, positions, positions, attrs);
  return Finish(b, {results.o, results.lse});
}

TEST(KernelCostTest, AttentionTakesTheSlowerOfItsUnits) {
  const Priced priced(Place("tpu7x-8", {{"fsdp", 8, 1}}), AttentionBlock(128, 512));
  const Chip& chip = priced.placement.topology.chip;
  const double clock = priced.pricer->options().clock_hz;
  // 8 by 8 blocks, of which 36 hold an entry the mask lets through.
  const double scores = 8.0 * 4096 * 4096 * 36 / 64;
  const double vector_s =
      scores * chip.splash_forward_ops_per_score / (chip.vpu_ops_per_cycle_per_device * clock);
  // Two products whose 128-wide side is padded to 256.
  const double matrix_s = scores * 2 * 2 * 256 / chip.DevicePeak(clock).value;
  EXPECT_NEAR((priced.Time(0) - chip.op_overhead).seconds(), std::max(vector_s, matrix_s), 1e-11);
  EXPECT_DOUBLE_EQ(priced[0].flops, scores * 2 * 2 * 128);
}

TEST(KernelCostTest, NarrowHeadsFillTheMatrixUnitBadly) {
  const Priced narrow(Place("tpu7x-8", {{"fsdp", 8, 1}}), AttentionBlock(128, 512));
  const Priced wide(Place("tpu7x-8", {{"fsdp", 8, 1}}), AttentionBlock(256, 512));
  EXPECT_DOUBLE_EQ(narrow[0].demand.total(Resource::kMxu), wide[0].demand.total(Resource::kMxu));
  const Priced v5p_narrow(Place("v5p-8", {{"fsdp", 4, 1}}), AttentionBlock(128, 512));
  const Priced v5p_wide(Place("v5p-8", {{"fsdp", 4, 1}}), AttentionBlock(256, 512));
  EXPECT_DOUBLE_EQ(2 * v5p_narrow[0].demand.total(Resource::kMxu),
                   v5p_wide[0].demand.total(Resource::kMxu));
}

TEST(KernelCostTest, SmallerBlocksSkipMoreOfTheMask) {
  const Priced coarse(Place("v5p-8", {{"fsdp", 4, 1}}), AttentionBlock(128, 2048));
  const Priced fine(Place("v5p-8", {{"fsdp", 4, 1}}), AttentionBlock(128, 256));
  const Priced whole(Place("v5p-8", {{"fsdp", 4, 1}}), AttentionBlock(128, 0));
  EXPECT_LT(fine.Time(0), coarse.Time(0));
  EXPECT_LT(coarse.Time(0), whole.Time(0));
}

Block GatherBlock(int64_t group, int64_t rows) {
  BlockBuilder b("gather");
  const ValueId x = b.Input("x", {{rows / group, 1024}, kBF16});
  return Finish(b, {AllGather(b, x, {"fsdp"}, group, 0)});
}

TEST(KernelCostTest, CollectivesAskForTheirLinksAndMemory) {
  const Priced priced(Place("v5p-8", {{"fsdp", 4, 1}}), GatherBlock(4, 1 << 14));
  const CollectiveInfo& info = *priced[0].collective;
  const double bytes = (1 << 14) * 1024.0 * 2;
  EXPECT_EQ(info.label, "all_gather fsdp");
  EXPECT_EQ(info.engine, CollectiveEngine::kTensorCore);  // v5p without flags
  EXPECT_EQ(info.bytes.value, bytes);
  EXPECT_DOUBLE_EQ(info.sent_per_device.value, bytes * 3 / 4);
  EXPECT_DOUBLE_EQ(priced[0].hbm_bytes, 2 * bytes * 3 / 4);
  EXPECT_DOUBLE_EQ(priced[0].demand.total(Resource::kHbm), priced[0].hbm_bytes);
  double links = 0;
  for (int c = 0; c < kLinkClassCount; ++c) links += info.link_bytes[c];
  EXPECT_GT(links, 0);
}

Block RaggedBlock(int64_t m, int64_t rows, double imbalance) {
  BlockBuilder b("ragged");
  const ValueId x = b.Input("x", {{m, 1024}, kBF16});
  const ValueId sizes = b.Input("sizes", {{4, 2}, DType::kI32});
  return Finish(b, {RaggedAllToAll(b, x, sizes, sizes, {"fsdp"}, 4, rows, imbalance)});
}

TEST(KernelCostTest, RaggedExchangesArePricedAsEvenOnesTimesTheImbalance) {
  const auto place = [] { return Place("v5p-8", {{"fsdp", 4, 1}}); };
  BlockBuilder b("even");
  const ValueId x = b.Input("x", {{1536, 1024}, kBF16});
  const Priced even(place(), Finish(b, {AllToAll(b, x, {"fsdp"}, 4, 0, 0)}));
  // There, with room for what everyone may send, and back: 1024 rows, half as many again at most.
  for (const auto& [m, rows] : {std::pair{1024, 4096}, {4096, 1024}}) {
    const Priced ragged(place(), RaggedBlock(m, rows, 1.5));
    const CollectiveInfo& info = *ragged[0].collective;
    EXPECT_EQ(info.label, "ragged_all_to_all fsdp");
    EXPECT_EQ(info.engine, CollectiveEngine::kDma);
    EXPECT_EQ(info.bytes.value, even[0].collective->bytes.value);
    EXPECT_EQ(info.sent_per_device.value, even[0].collective->sent_per_device.value);
    EXPECT_EQ(info.link_bytes, even[0].collective->link_bytes);
    EXPECT_EQ(ragged[0].hbm_bytes, even[0].hbm_bytes);
    EXPECT_EQ(ragged.Time(0), even.Time(0));
  }
}

TEST(KernelCostTest, FlagsMoveCollectivesToTheSparseCore) {
  const Priced sync(Place("v5p-8", {{"fsdp", 4, 1}}), GatherBlock(4, 1 << 14));
  const Priced async(Place("v5p-8", {{"fsdp", 4, 1}}), GatherBlock(4, 1 << 14),
                     {"--xla_tpu_enable_sparse_core_collective_offload_all_gather=true"});
  EXPECT_EQ(async[0].collective->engine, CollectiveEngine::kSparseCore);
  EXPECT_EQ(async.Time(0), sync.Time(0));
}

Block GroupedBlock(double expected_rows, int64_t tile, int64_t rows = 8192) {
  BlockBuilder b("grouped");
  const ValueId x = b.Input("x", {{rows, 1024}, kBF16});
  const ValueId w = b.Input("w", {{16, 1024, 512}, kBF16});
  const ValueId sizes = b.Input("sizes", {{16}, DType::kI32});
  return Finish(b, {GroupedMatmul(b, x, w, sizes, expected_rows, {tile, tile, tile})});
}

TEST(KernelCostTest, GroupedProductsTakeExpectedRowsAndWholeTiles) {
  const auto place = [] { return Place("v5p-8", {{"fsdp", 4, 1}}); };
  const Priced whole(place(), GroupedBlock(0, 0)), part(place(), GroupedBlock(2048, 0));
  const Priced tiled(place(), GroupedBlock(2048, 256));
  const double row_bytes = 2.0 * (1024 + 512);
  EXPECT_DOUBLE_EQ(whole[0].hbm_bytes - part[0].hbm_bytes, row_bytes * (8192 - 2048) + 0.0);
  EXPECT_DOUBLE_EQ(part[0].flops, 2.0 * 2048 * 1024 * 512);
  EXPECT_DOUBLE_EQ(part[0].demand.total(Resource::kMxu), part[0].flops);
  // A tile more for each of the 16 groups but one, which nobody counts as work done.
  EXPECT_DOUBLE_EQ(tiled[0].demand.total(Resource::kMxu), 2.0 * (2048 + 15 * 256) * 1024 * 512);
  EXPECT_EQ(tiled[0].flops, part[0].flops);
  EXPECT_EQ(tiled[0].hbm_bytes, part[0].hbm_bytes);
  EXPECT_GT(tiled.Time(0), part.Time(0));
  // Tiles are no taller than the rows there are, and without rows there are none.
  const Priced few(place(), GroupedBlock(0, 256, 64));
  EXPECT_DOUBLE_EQ(few[0].demand.total(Resource::kMxu), 2.0 * (16 * 64) * 1024 * 512);
  EXPECT_EQ(Priced(place(), GroupedBlock(0, 256, 0))[0].demand.total(Resource::kMxu), 0);
}

TEST(KernelCostTest, CopiesTakeTimeWhereTheTensorCoreGathers) {
  const auto block = [] {
    BlockBuilder b("copy");
    return Finish(b, {Copy(b, b.Input("x", {{4096, 4096}, kBF16}))});
  };
  const Priced v5p(Place("v5p-8", {{"fsdp", 4, 1}}), block());
  EXPECT_DOUBLE_EQ(v5p[0].hbm_bytes, 2.0 * 2 * 4096 * 4096);
  EXPECT_GT(v5p.Time(0), v5p.placement.topology.chip.op_overhead);
  EXPECT_EQ(Priced(Place("tpu7x-8", {{"fsdp", 8, 1}}), block()).Time(0), Duration());
}

TEST(KernelCostTest, AttentionPaysForPartsOfItsResult) {
  const auto block = [](int64_t parts) {
    BlockBuilder b("backward");
    const ValueId q = b.Input("q", {{1, 1024, 8, 128}, kBF16});
    const ValueId kv = b.Input("kv", {{1, 1024, 128}, kBF16});
    const ValueId sinks = b.Input("sinks", {{8}, kBF16});
    const ValueId mask = b.Input("mask", {{1, 1024, 1024}, DType::kBool});
    CompressedAttentionAttrs attrs;
    attrs.materialized = true;
    attrs.dq_parts = parts;
    CompressedAttentionOperands in;
    in.q = q, in.kv = kv, in.sinks = sinks, in.mask = mask;
    const CompressedAttentionResults results = CompressedAttention(b, in, attrs);
    const Node node = b.block().nodes.back();
    const std::vector<ValueId> grads = {results.o, kNoValue};
    const std::vector<ValueId> out = node.op->vjp(b, node, grads);
    return Finish(b, {out[0], out[1], out[2]});
  };
  const Priced whole(Place("v5p-8", {{"fsdp", 4, 1}}), block(0));
  const Priced parts(Place("v5p-8", {{"fsdp", 4, 1}}), block(3));
  const double dq = 2.0 * 1024 * 8 * 128;
  EXPECT_DOUBLE_EQ(parts[1].hbm_bytes - whole[1].hbm_bytes, 2 * 3 * dq);
  EXPECT_GE(whole[0].hbm_bytes, 1024.0 * 1024);  // the mask
}

TEST(KernelCostTest, EqualKernelsShareOnePrice) {
  BlockBuilder b("twice");
  const ValueId x = b.Input("x", {{512, 512}, kBF16}), y = b.Input("y", {{512, 512}, kBF16});
  const Priced priced(Place("v5p-8", {{"fsdp", 4, 1}}),
                      Finish(b, {Einsum(b, "mk,kn->mn", x, y), Einsum(b, "mk,kn->mn", y, x),
                                 Einsum(b, "mk,kn->mn", x, y, DType::kF32)}));
  EXPECT_EQ(priced.prices[0], priced.prices[1]);
  EXPECT_NE(priced.prices[0], priced.prices[2]);
}

TEST(KernelCostTest, TransfersUseTheirDirectionOfPcie) {
  BlockBuilder b("offload");
  const ValueId x = b.Input("x", {{512, 512}, kBF16});
  const Priced priced(Place("v6e-4", {{"fsdp", 4, 1}}), Finish(b, {ToHost(b, x), ToDevice(b, x)}));
  EXPECT_TRUE(priced[0].to_host);
  EXPECT_GT(priced[0].demand.total(Resource::kPcieToHost), 0);
  EXPECT_EQ(priced[0].demand.total(Resource::kPcieFromHost), 0);
  EXPECT_FALSE(priced[1].to_host);
  EXPECT_GT(priced[1].demand.total(Resource::kPcieFromHost), 0);
}

TEST(KernelCostTest, MoreWorkIsNeverFaster) {
  const Placement placement = Place("v6e-4", {{"fsdp", 4, 1}});
  EXPECT_TRUE(rc::check([&] {
    auto extent = [] { return *rc::gen::inRange<int64_t>(1, 3000); };
    const int64_t m = extent(), k = extent(), n = extent();
    const Priced small(placement, Product(m, k, n));
    const Priced more_rows(placement, Product(m + extent(), k, n));
    const Priced deeper(placement, Product(m, k + extent(), n));
    RC_ASSERT(more_rows.Time(0) >= small.Time(0));
    RC_ASSERT(deeper.Time(0) >= small.Time(0));
    RC_ASSERT(small.Time(0).seconds() >= small[0].ideal_seconds);
  }));
}

}  // namespace
}  // namespace shardwise
