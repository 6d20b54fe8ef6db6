// Rows that go where the data says and come back, in a manual region on virtual devices, equal one
// permutation of all rows, backward included.
#include <gtest/gtest.h>

#include "model/ir/autodiff.h"
#include "model/ir/manual.h"
#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "model/ops/builders.h"
#include "model/ops/deepseek_builders.h"
#include "sim/exec/collectives.h"
#include "tests/numerics.h"

namespace shardwise {
namespace {

constexpr DType kF64 = DType::kF64;
constexpr int64_t kParts = 2;

// The mesh axes that rows are exchanged over, and how many rows each device has and has room for.
struct Layout {
  Mesh mesh;
  std::vector<std::string> axes;
  int64_t m = 0, rows = 0, width = 0;

  int64_t group() const { return mesh.SizeOf(axes); }
};

std::string Joined(const std::vector<std::string>& axes) { return ToText(ManualSpec{axes, {}}); }

std::vector<std::string> NamesOf(const Mesh& mesh) {
  std::vector<std::string> names;
  for (const MeshAxis& axis : mesh.axes) names.push_back(axis.name);
  return names;
}

// Sizes that the ranks hold, and as matrices of zeros and ones what they mean.
struct Case {
  Layout layout;
  Tensor x, weights, v;   // [devices m,d], [group,d], [devices m,d]
  Tensor sent, received;  // s32 [devices group,e]
  Tensor arrival;         // [devices rows,devices m]: which row is in this place
  Tensor rank;            // [devices,group]
  bool overflows = false, runs_short = false, skips_a_rank = false;

  Case(Draw& draw, Layout s) : layout(std::move(s)) {
    const int64_t devices = layout.mesh.devices(), group = layout.group();
    x = draw.Values({{devices * layout.m, layout.width}, kF64});
    weights = draw.Values({{group, layout.width}, kF64});
    v = draw.Values(x.type());
    sent = received = Tensor({{devices * group, kParts}, DType::kI32});
    arrival = Tensor({{devices * layout.rows, devices * layout.m}, kF64});
    rank = Tensor({{devices, group}, kF64});
    for (const std::vector<int64_t>& members : GroupsOf(layout.mesh, layout.axes).members) {
      DrawSizes(draw, members);
      for (int64_t r = 0; r < group; ++r) {
        rank.Set(members[r] * group + r, 1);
        Deliver(members, r);
      }
    }
  }

  void DrawSizes(Draw& draw, const std::vector<int64_t>& members) {
    const int64_t group = layout.group();
    for (int64_t q = 0; q < group; ++q) {
      const bool skipped = draw.Chance(0.2);
      skips_a_rank = skips_a_rank || skipped;
      for (int64_t r = 0; r < group; ++r) {
        for (int64_t i = 0; i < kParts; ++i) {
          const int64_t count = skipped || draw.Chance(0.3) ? 0 : draw.Below(4);
          sent.Set((members[r] * group + q) * kParts + i, static_cast<double>(count));
          received.Set((members[q] * group + r) * kParts + i, static_cast<double>(count));
        }
      }
    }
  }

  int64_t Count(const std::vector<int64_t>& members, int64_t from, int64_t to) const {
    int64_t count = 0;
    for (int64_t i = 0; i < kParts; ++i) {
      count += static_cast<int64_t>(sent.Get((members[from] * layout.group() + to) * kParts + i));
    }
    return count;
  }

  // Every sender takes its rows from a queue, and the receiver lines them up.
  void Deliver(const std::vector<int64_t>& members, int64_t receiver) {
    int64_t place = 0;
    for (int64_t sender = 0; sender < layout.group(); ++sender) {
      int64_t next = 0;
      for (int64_t q = 0; q < receiver; ++q) next += Count(members, sender, q);
      for (int64_t i = Count(members, sender, receiver); i > 0; --i, ++next, ++place) {
        overflows = overflows || place >= layout.rows;
        runs_short = runs_short || next >= layout.m;
        if (place >= layout.rows || next >= layout.m) continue;
        const int64_t row = members[receiver] * layout.rows + place;
        arrival.Set(row * arrival.type().dims[1] + members[sender] * layout.m + next, 1);
      }
    }
  }
};

struct Inputs {
  ValueId x, weights, v;
};

Inputs AddInputs(BlockBuilder& b, const Case& c) {
  BlockInput x, weights, v;
  x.name = "x";
  x.logical_axes = {"rows", ""};
  weights.name = "weights";
  weights.role = Role::kParameter;
  weights.logical_axes = {"rank", ""};
  v.name = "v";
  v.logical_axes = {"rows", ""};
  return {b.Input(x, c.x.type()), b.Input(weights, c.weights.type()), b.Input(v, c.v.type())};
}

struct Results {
  ValueId loss, back, buffer;
};

ValueId Loss(BlockBuilder& b, ValueId back, ValueId v) {
  return ReduceSum(b, Mul(b, Mul(b, back, back), v), {0, 1});
}

// cos(w x) of every row, w belonging to the device it goes to: also what did not arrive, and is
// zero, becomes one, and must not come back.
Results Dense(BlockBuilder& b, const Case& c, const Inputs& in) {
  const ValueId arrival = b.Input("arrival", c.arrival.type());
  const ValueId rank = b.Input("rank", c.rank.type());
  const ValueId buffer = Einsum(b, "pm,md->pd", arrival, in.x);
  const Dims dims = b.type(buffer).dims;
  const ValueId w = BroadcastInDim(b, Einsum(b, "rg,gd->rd", rank, in.weights),
                                   {c.layout.mesh.devices(), c.layout.rows, dims[1]}, {0, 2});
  const ValueId y = Cos(b, Mul(b, buffer, Reshape(b, w, dims)));
  const ValueId back = Einsum(b, "pm,pd->md", arrival, y);
  return {Loss(b, back, in.v), back, buffer};
}

Block Region(const Case& c) {
  const Layout& s = c.layout;
  BlockBuilder b("region");
  const ValueId x = b.Input("x", {{s.m, s.width}, kF64});
  const ValueId w = b.Input("weights", {{1, s.width}, kF64});
  const ValueId v = b.Input("v", {{s.m, s.width}, kF64});
  const ValueId sent = b.Input("sent", {{s.group(), kParts}, DType::kI32});
  const ValueId received = b.Input("received", {{s.group(), kParts}, DType::kI32});
  const ValueId buffer = RaggedAllToAll(b, x, sent, received, s.axes, s.group(), s.rows, 1);
  const ValueId y = Cos(b, Mul(b, buffer, BroadcastInDim(b, w, {s.rows, s.width}, {0, 1})));
  const ValueId back = RaggedAllToAll(b, y, received, sent, s.axes, s.group(), s.m, 1);
  std::vector<BlockOutput> out(3);
  out[0].value = AllReduce(b, Loss(b, back, v), NamesOf(s.mesh), s.mesh.devices());
  out[1].value = back;
  out[2].value = buffer;
  return std::move(b).Finish(std::move(out));
}

Results Exchanged(BlockBuilder& b, const Case& c, const Inputs& in, ManualTranspose transpose,
                  std::vector<Block>& blocks) {
  const std::string rows = Joined(NamesOf(c.layout.mesh)), rank = Joined(c.layout.axes);
  const std::vector<ValueId> operands = {in.x, in.weights, in.v, b.Input("sent", c.sent.type()),
                                         b.Input("received", c.received.type())};
  blocks.push_back(Region(c));
  const auto results = AddManual(b, blocks.back(), c.layout.mesh, {rows, rank, rows, rows, rows},
                                 {"", rows, rows}, transpose, operands);
  return {results[0], results[1], results[2]};
}

// Loss, what came back, what arrived, and the gradients of x and the weights.
Program Build(const Case& c, const ManualTranspose* transpose) {
  BlockBuilder b("entry");
  Program program;
  const Inputs in = AddInputs(b, c);
  const Results results =
      transpose == nullptr ? Dense(b, c, in) : Exchanged(b, c, in, *transpose, program.blocks);
  const std::vector<ValueId> wrt = {in.x, in.weights};
  const auto grads = AppendBackward(b, program.blocks, results.loss, wrt, {});
  std::vector<BlockOutput> outputs(5);
  for (int o = 0; o < 5; ++o) outputs[o].name = "output" + std::to_string(o);
  outputs[0].value = results.loss;
  outputs[1].value = results.back;
  outputs[2].value = results.buffer;
  outputs[3].value = grads[0];
  outputs[4].value = grads[1];
  program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  return EliminateDeadCode(program);
}

SpmdProgram Sharded(const Case& c, ManualTranspose transpose) {
  const LogicalAxisRules rules = {{"rows", NamesOf(c.layout.mesh)}, {"rank", c.layout.axes}};
  auto spmd = Partition(Build(c, &transpose), c.layout.mesh, rules);
  SW_CHECK(spmd.ok(), "{}", Message(spmd.status()));
  return *std::move(spmd);
}

std::vector<Layout> Layouts() {
  return {{{{{"expert", 2}}}, {"expert"}},
          {{{{"expert", 4}}}, {"expert"}},
          {{{{"expert", 8}}}, {"expert"}},
          {{{{"expert", 4, 2}}}, {"expert"}},
          {{{{"fsdp", 2}, {"expert", 4}}}, {"expert"}},
          {{{{"expert", 2}, {"fsdp", 2}}}, {"expert"}},
          {{{{"fsdp", 2}, {"expert", 4}}}, {"fsdp", "expert"}},
          {{{{"fsdp", 2}, {"expert", 1}}}, {"expert"}}};
}

TEST(RaggedAllToAllTest, ThereAndBackEqualsAPermutation) {
  int overflowing = 0, short_of_rows = 0, skipping = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Draw draw(seed);
    Layout layout = draw.Of(Layouts());
    layout.m = 1 + draw.Below(6 * layout.group());
    layout.rows = 1 + draw.Below(6 * layout.group());
    layout.width = 1 + draw.Below(3);
    const Case c(draw, layout);
    overflowing += c.overflows;
    short_of_rows += c.runs_short;
    skipping += c.skips_a_rank;
    SCOPED_TRACE("seed " + std::to_string(seed) + ", " + layout.mesh.ToText() + ", m " +
                 std::to_string(layout.m) + ", rows " + std::to_string(layout.rows));
    const Program dense = Build(c, nullptr);
    const auto expected = RunProgram(dense, {c.x, c.weights, c.v, c.arrival, c.rank});
    for (ManualTranspose transpose : {ManualTranspose::kTyped, ManualTranspose::kJaxUntyped}) {
      const SpmdProgram spmd = Sharded(c, transpose);
      ExpectClose(RunSharded(spmd, {c.x, c.weights, c.v, c.sent, c.received}), expected,
                  dense.entry(), 1e-12);
    }
  }
  EXPECT_GT(overflowing, 5);
  EXPECT_GT(short_of_rows, 5);
  EXPECT_GT(skipping, 5);
}

// Rows and sizes that all ranks share still arrive as something else on every rank, which the typed
// transpose has to know.
TEST(RaggedAllToAllTest, SharedRowsArriveAsTheRanksOwn) {
  constexpr int64_t kRanks = 4, kRows = kRanks * kParts, kWidth = 3;
  const Mesh mesh{{{"expert", kRanks}}};
  const TensorType rows{{kRows, kWidth}, kF64}, sizes{{kRanks, kParts}, DType::kI32};
  BlockBuilder r("region");
  const ValueId local_x = r.Input("x", rows), local_sizes = r.Input("sizes", sizes);
  const ValueId local_v = r.Input("v", rows);
  BlockOutput loss;
  const ValueId buffer =
      RaggedAllToAll(r, local_x, local_sizes, local_sizes, {"expert"}, kRanks, kRows, 1);
  loss.value = AllReduce(r, Loss(r, buffer, local_v), {"expert"}, kRanks);
  Program program;
  program.blocks.push_back(std::move(r).Finish({loss}));
  BlockBuilder b("entry");
  const TensorType all_v{{kRanks * kRows, kWidth}, kF64};
  const std::vector<ValueId> in = {b.Input("x", rows), b.Input("sizes", sizes),
                                   b.Input("v", all_v)};
  const ValueId total = AddManual(b, program.blocks[0], mesh, {"", "", "expert,"}, {""},
                                  ManualTranspose::kTyped, in)[0];
  BlockOutput dx;
  dx.value = AppendBackward(b, program.blocks, total, std::vector<ValueId>{in[0]}, {})[0];
  program.blocks.push_back(std::move(b).Finish({dx}));
  const auto spmd = Partition(EliminateDeadCode(program), mesh, {});
  ASSERT_TRUE(spmd.ok()) << Message(spmd.status());
  Draw draw(3);
  const Tensor x = draw.Values(rows), v = draw.Values(all_v);
  const Tensor ones = Tensor::FromValues(sizes, std::vector<double>(kRows, 1));
  const Tensor got = RunSharded(*spmd, {x, ones, v})[0];
  // Rank q has part i of its rows from every rank p at row p * kParts + i.
  for (int64_t q = 0; q < kRanks; ++q) {
    for (int64_t k = 0; k < kParts * kWidth; ++k) {
      double sum = 0;
      for (int64_t p = 0; p < kRanks; ++p) {
        sum += v.Get((q * kRows + p * kParts) * kWidth + k);
      }
      const int64_t at = q * kParts * kWidth + k;
      EXPECT_NEAR(got.Get(at), 2 * x.Get(at) * sum, 1e-12);
    }
  }
}

TEST(RaggedAllToAllTest, RoundTripsThroughText) {
  Draw draw(1);
  const ManualTranspose typed = ManualTranspose::kTyped;
  const Program program = Build(Case(draw, {{{{"expert", 4}}}, {"expert"}, 6, 7, 2}), &typed);
  const auto parsed = ParseProgram(ToText(program));
  ASSERT_TRUE(parsed.ok()) << Message(parsed.status());
  EXPECT_EQ(ToText(*parsed), ToText(program));
}

using RaggedAllToAllDeathTest = testing::Test;

TEST(RaggedAllToAllDeathTest, SizesThatDisagreeAreFound) {
  Draw draw(2);
  Case c(draw, {{{{"expert", 2}}}, {"expert"}, 6, 6, 1});
  const SpmdProgram spmd = Sharded(c, ManualTranspose::kTyped);
  // What rank 0 sends rank 1 in part 0.
  c.sent.Set(kParts, c.sent.Get(kParts) + 1);
  EXPECT_DEATH(RunSharded(spmd, {c.x, c.weights, c.v, c.sent, c.received}),
               "rank 0 sends [0-9]+ rows to rank 1, which expects [0-9]+");
}

}  // namespace
}  // namespace shardwise
