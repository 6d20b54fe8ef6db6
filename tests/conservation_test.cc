// What is shared out adds up: bytes of a collective are what its schedule moves, work over devices
// is the unsharded work plus the declared repetition, state bytes are parameters times copies.
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "model/ir/structural_attrs.h"
#include "sim/exec/collectives.h"
#include "sim/machine/chip.h"
#include "sim/net/price.h"
#include "tests/mini_llama.h"

namespace shardwise {
namespace {

const std::vector<std::string> kCut = {"gradient_accumulation_steps=2", "num_vocab_tiling=2"};

Program MiniStep() { return Built(BuildTrainStep(MiniConfig(kCut))).program; }

SpmdProgram Sharded(const Program& program, const Mesh& mesh) {
  StatusOr<SpmdProgram> spmd = Partition(program, mesh, MiniScenario().rules);
  SW_CHECK(spmd.ok(), "{}", Message(spmd.status()));
  return *std::move(spmd);
}

// How often each block runs in one step.
std::vector<int64_t> Runs(const Program& program) {
  std::vector<int64_t> runs(program.blocks.size(), 0);
  runs.back() = 1;
  for (size_t b = program.blocks.size(); b-- > 0;) {
    for (const Node& node : program.blocks[b].nodes) {
      if (!node.is(OpKind::kCall)) continue;
      const CallAttrs& attrs = node.attrs.As<CallAttrs>();
      runs[program.Find(attrs.block)] += runs[b] * attrs.trips;
    }
  }
  return runs;
}

struct CollectiveCase {
  Collective collective;
  GroupTopology topology;
};

// The collective of a node as the executor runs it.
CollectiveCase CaseOf(const Block& block, const Node& node, const Mesh& mesh) {
  CollectiveCase result;
  const int64_t elements = block.type(node.in[0]).elements();
  result.collective.elements = elements;
  std::vector<std::string> axes;
  if (node.op->name == "all_gather") {
    axes = node.attrs.As<AllGatherAttrs>().axes;
    result.collective.kind = CollectiveKind::kAllGather;
    result.collective.elements = elements * mesh.SizeOf(axes);
  } else if (node.op->name == "reduce_scatter") {
    axes = node.attrs.As<ReduceScatterAttrs>().axes;
    result.collective.kind = CollectiveKind::kReduceScatter;
  } else if (node.op->name == "all_reduce") {
    axes = node.attrs.As<AllReduceAttrs>().axes;
    result.collective.kind = CollectiveKind::kAllReduce;
  } else {
    axes = node.attrs.As<AllToAllAttrs>().axes;
    result.collective.kind = CollectiveKind::kAllToAll;
  }
  result.topology = GroupsOf(mesh, axes).topology;
  return result;
}

// Least a group of n can move: every chunk of a gather or scatter reaches n - 1 others, an
// all-reduce does both, an all-to-all keeps one chunk in n at home.
double LeastElements(const CollectiveCase& c) {
  const double n = static_cast<double>(c.topology.size());
  const double e = static_cast<double>(c.collective.elements);
  return (c.collective.kind == CollectiveKind::kAllReduce ? 2 : 1) * e * (n - 1);
}

TEST(Conservation, CollectivesMoveWhatIsPriced) {
  const StatusOr<Chip> chip = LoadChip("v5p");
  ASSERT_TRUE(chip.ok());
  const Program program = MiniStep();
  std::map<CollectiveKind, int> seen;
  std::vector<Mesh> meshes = AllMeshes();
  meshes.push_back({{{"data", 2, 2}, {"fsdp", 4, 1}}});
  meshes.push_back({{{"data", 4, 2}, {"tensor", 2, 1}}});
  for (const Mesh& mesh : meshes) {
    SCOPED_TRACE(mesh.ToText());
    const SpmdProgram spmd = Sharded(program, mesh);
    for (const Block& block : spmd.program.blocks) {
      for (const Node& node : block.nodes) {
        if (!node.is(OpKind::kCollective)) continue;
        const CollectiveCase c = CaseOf(block, node, mesh);
        double moved = 0;
        for (const TransferStep& step : BuildSchedule(c.collective, c.topology)) {
          for (const Transfer& t : step.transfers) moved += static_cast<double>(t.length);
        }
        const double bytes = 8.0 * static_cast<double>(c.collective.elements);
        const CollectivePrice price =
            PriceCollective(*chip, c.collective.kind, c.topology, Bytes{bytes});
        EXPECT_NEAR(price.sent.value, 8 * moved, 1e-6 * moved)
            << node.op->name << " " << c.topology.ToText();
        if (c.collective.kind == CollectiveKind::kAllToAll) {
          EXPECT_GE(moved, LeastElements(c) - 0.5);
        } else {
          EXPECT_EQ(moved, LeastElements(c)) << node.op->name << " " << c.topology.ToText();
        }
        ++seen[c.collective.kind];
      }
    }
  }
  for (auto kind :
       {CollectiveKind::kAllGather, CollectiveKind::kReduceScatter, CollectiveKind::kAllReduce}) {
    EXPECT_GT(seen[kind], 0);
  }
}

// Sizes of the ranks of one group: sent[r] and received[r] are those of rank r.
struct DrawnSizes {
  std::vector<Tensor> sent, received;

  DrawnSizes(Draw& draw, int64_t n, int64_t parts, int64_t most) {
    const TensorType type{{n, parts}, DType::kI32};
    sent = received = std::vector<Tensor>(n, Tensor(type));
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t i = 0; i < n * parts; ++i) {
        const auto count = static_cast<double>(draw.Below(most + 1));
        sent[r].Set(i, count);
        received[i / parts].Set(r * parts + i % parts, count);
      }
    }
  }
  static double Sum(const Tensor& sizes, int64_t rank) {
    const int64_t parts = sizes.type().dims[1];
    double sum = 0;
    for (int64_t i = 0; i < parts; ++i) sum += sizes.Get(rank * parts + i);
    return sum;
  }
  static std::vector<const Tensor*> Pointers(const std::vector<Tensor>& tensors) {
    std::vector<const Tensor*> pointers;
    for (const Tensor& tensor : tensors) pointers.push_back(&tensor);
    return pointers;
  }
};

// The schedule of a ragged exchange, as it is executed, sends every row that has another receiver
// once, and no place receives two.
TEST(Conservation, RaggedExchangesSendTheirRowsOnce) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Draw draw(seed);
    const Mesh mesh = DrawMesh(draw);
    std::vector<std::string> axes;
    for (const MeshAxis& axis : mesh.axes) axes.push_back(axis.name);
    const GroupTopology topology = GroupsOf(mesh, axes).topology;
    const int64_t n = topology.size(), width = 1 + draw.Below(3);
    const DrawnSizes sizes(draw, n, 2, 3);
    const int64_t room = 6 * n;  // for two parts of three rows from everyone
    const Collective c =
        RaggedExchange({{room, width}, DType::kF64}, room, DrawnSizes::Pointers(sizes.sent),
                       DrawnSizes::Pointers(sizes.received));
    double rows = 0, moved = 0;
    for (int64_t r = 0; r < n; ++r) {
      for (int64_t q = 0; q < n; ++q) rows += r == q ? 0 : DrawnSizes::Sum(sizes.sent[r], q);
    }
    std::vector<std::vector<int>> arrivals(n, std::vector<int>(c.elements, 0));
    for (const TransferStep& step : BuildSchedule(c, topology)) {
      for (const Transfer& t : step.transfers) {
        moved += static_cast<double>(t.length);
        EXPECT_NE(t.from, t.to);
        EXPECT_LE(t.from_offset + t.length, c.operand);
        EXPECT_GE(t.to_offset, c.operand);
        for (int64_t i = 0; i < t.length; ++i) ++arrivals[t.to][t.to_offset + i];
      }
    }
    EXPECT_EQ(moved, rows * static_cast<double>(width)) << topology.ToText();
    for (const std::vector<int>& places : arrivals) {
      EXPECT_TRUE(std::all_of(places.begin(), places.end(), [](int count) { return count <= 1; }));
    }
  }
}

// Multiplications and additions of the kernels of one step by op class and phase.
using WorkByClass = std::map<std::pair<OpClass, Phase>, double>;

TEST(Conservation, WorkOverDevicesIsUnshardedPlusRepetition) {
  const Program program = MiniStep();
  auto count = [](const Program& p, auto weight) {
    WorkByClass work;
    const std::vector<int64_t> runs = Runs(p);
    for (size_t b = 0; b < p.blocks.size(); ++b) {
      const Block& block = p.blocks[b];
      for (size_t n = 0; n < block.nodes.size(); ++n) {
        const Node& node = block.nodes[n];
        if (!node.is(OpKind::kCompute) || node.op->cost == nullptr) continue;
        if (node.op->op_class != OpClass::kMatmul && node.op->op_class != OpClass::kAttention) {
          continue;
        }
        const auto cost =
            node.op->cost(node.attrs, block.TypesOf(node.in), block.TypesOf(node.out));
        work[{node.op->op_class, node.phase}] +=
            static_cast<double>(cost.mul_add) * static_cast<double>(runs[b]) * weight(b, n);
      }
    }
    return work;
  };
  const WorkByClass whole = count(program, [](size_t, size_t) { return 1.0; });
  ASSERT_GE(whole.size(), 4u);
  for (const Mesh& mesh : AllMeshes()) {
    SCOPED_TRACE(mesh.ToText());
    const SpmdProgram spmd = Sharded(program, mesh);
    const WorkByClass shared = count(spmd.program, [&](size_t b, size_t n) {
      return static_cast<double>(mesh.devices()) / static_cast<double>(spmd.replication[b][n]);
    });
    EXPECT_EQ(shared, whole);
  }
}

TEST(Conservation, StateBytesAreParametersTimesCopies) {
  const Program program = MiniStep();
  const Block& entry = program.entry();
  for (const Mesh& mesh : AllMeshes()) {
    SCOPED_TRACE(mesh.ToText());
    const SpmdProgram spmd = Sharded(program, mesh);
    const Block& local = spmd.program.entry();
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      const int64_t over_devices = local.type(local.inputs[i].value).bytes() * mesh.devices();
      EXPECT_EQ(over_devices, entry.type(entry.inputs[i].value).bytes() *
                                  Replication(spmd.input_shardings[i], mesh))
          << entry.inputs[i].name;
    }
  }
}

}  // namespace
}  // namespace shardwise
