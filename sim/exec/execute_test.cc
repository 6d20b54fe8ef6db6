#include "sim/exec/execute.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "kernels/base/random.h"
#include "model/ir/builder.h"
#include "model/ir/passes.h"
#include "model/ir/verify.h"
#include "model/ops/builders.h"

namespace shardwise {
namespace {

constexpr DType kF64 = DType::kF64;

Tensor RandomTensor(TensorType type, uint64_t stream) {
  Tensor tensor(std::move(type));
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.Set(i, RandomNormal(7, stream, i));
  return tensor;
}

// Integers: their sums are exact in any order.
Tensor IntegerTensor(TensorType type, uint64_t stream) {
  Tensor tensor(std::move(type));
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    tensor.Set(i, static_cast<double>(RandomBits(7, stream, i) % 1000));
  }
  return tensor;
}

// `callees` and an entry block with these results.
Program Finish(BlockBuilder&& b, std::vector<ValueId> results, std::vector<Block> callees = {}) {
  std::vector<BlockOutput> outputs;
  for (size_t i = 0; i < results.size(); ++i) {
    outputs.push_back(
        {results[i], "out" + std::to_string(i), Binding::kCarry, 0, MemorySpace::kDevice, {}});
  }
  Program program{std::move(callees)};
  program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  CheckVerified(program, "building a test");
  return program;
}

double MaxError(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.type(), b.type());
  double error = 0;
  for (int64_t i = 0; i < a.elements(); ++i) error = std::max(error, std::abs(a.Get(i) - b.Get(i)));
  return error;
}

// A local program of one operand and one result that runs on shards of known sharding.
struct LocalCase {
  Mesh mesh;
  Sharding in, out;
  TensorType global_in, global_out;
};

Tensor RunLocalCase(const LocalCase& c, ValueId (*body)(BlockBuilder&, ValueId, const LocalCase&),
                    const Tensor& input) {
  BlockBuilder b("entry");
  const ValueId x = b.Input("x", LocalType(c.global_in, c.in, c.mesh));
  SpmdProgram spmd;
  const ValueId y = body(b, x, c);
  spmd.program = Finish(std::move(b), {y});
  spmd.mesh = c.mesh;
  spmd.global_inputs = {c.global_in};
  spmd.global_outputs = {c.global_out};
  spmd.input_shardings = {c.in};
  spmd.output_shardings = {c.out};
  return RunSharded(spmd, {input})[0];
}

// Mesh of one to three axes of extents 1 to 4, at most 12 devices; some span two slices.
Mesh AnyMesh() {
  Mesh mesh;
  const int axes = *rc::gen::inRange(1, 4);
  for (int a = 0; a < axes; ++a) {
    const int64_t room = 12 / mesh.devices();
    const int64_t size = *rc::gen::inRange<int64_t>(1, std::min<int64_t>(room, 4) + 1);
    const int64_t dcn = size % 2 == 0 && *rc::gen::arbitrary<bool>() ? 2 : 1;
    mesh.axes.push_back({std::string(1, static_cast<char>('p' + a)), size, dcn});
  }
  return mesh;
}

// Some axes of the mesh, in any order.
AxisList AnyAxes(const Mesh& mesh) {
  AxisList axes;
  for (size_t a = 0; a < mesh.axes.size(); ++a) {
    if (*rc::gen::arbitrary<bool>()) axes.push_back(static_cast<int>(a));
  }
  if (axes.empty()) axes.push_back(0);
  if (axes.size() > 1 && *rc::gen::arbitrary<bool>()) std::reverse(axes.begin(), axes.end());
  return axes;
}

std::vector<std::string> NamesOf(const Mesh& mesh, const AxisList& axes) {
  std::vector<std::string> names;
  for (int a : axes) names.push_back(mesh.axes[a].name);
  return names;
}

// Dimensions that every axis set of the mesh divides.
TensorType AnyType(const Mesh& mesh, int least_rank) {
  TensorType type{{}, kF64};
  const int rank = *rc::gen::inRange(least_rank, 4);
  for (int d = 0; d < rank; ++d) {
    type.dims.push_back(mesh.devices() * *rc::gen::inRange<int64_t>(1, 3));
  }
  return type;
}

// A case whose operand is sharded over `axes` along one dimension.
struct AnyCase : LocalCase {
  AxisList axes;
  int dim;
  int64_t group;

  explicit AnyCase(int least_rank = 1) {
    mesh = AnyMesh();
    axes = AnyAxes(mesh);
    global_in = global_out = AnyType(mesh, least_rank);
    dim = *rc::gen::inRange(0, global_in.rank());
    in = out = Sharding::Replicated(global_in.rank());
    group = mesh.SizeOf(NamesOf(mesh, axes));
  }
  static const AnyCase& Of(const LocalCase& c) { return static_cast<const AnyCase&>(c); }
  std::vector<std::string> names() const { return NamesOf(mesh, axes); }
};

RC_GTEST_PROP(RunSharded, AllGatherJoinsShards, ()) {
  AnyCase c;
  c.in.dims[c.dim] = c.axes;
  const Tensor x = RandomTensor(c.global_in, 1);
  const Tensor y = RunLocalCase(
      c,
      [](BlockBuilder& b, ValueId v, const LocalCase& l) {
        const AnyCase& a = AnyCase::Of(l);
        return AllGather(b, v, a.names(), a.group, a.dim);
      },
      x);
  RC_ASSERT(y == x);
}

RC_GTEST_PROP(RunSharded, ShardSliceCutsWhatAllGatherJoins, ()) {
  AnyCase c;
  c.out.dims[c.dim] = c.axes;
  const Tensor x = RandomTensor(c.global_in, 2);
  const Tensor y = RunLocalCase(
      c,
      [](BlockBuilder& b, ValueId v, const LocalCase& l) {
        const AnyCase& a = AnyCase::Of(l);
        return ShardSlice(b, v, a.names(), a.group, a.dim);
      },
      x);
  RC_ASSERT(y == x);
}

RC_GTEST_PROP(RunSharded, AllToAllMovesASharding, ()) {
  AnyCase c(/*least_rank=*/2);
  const int rank = c.global_in.rank();
  const int to = (c.dim + *rc::gen::inRange(1, rank)) % rank;
  c.in.dims[c.dim] = c.axes;
  c.out.dims[to] = c.axes;
  const Tensor x = RandomTensor(c.global_in, 3);
  const Tensor y = RunLocalCase(
      c,
      [](BlockBuilder& b, ValueId v, const LocalCase& l) {
        const AnyCase& a = AnyCase::Of(l);
        int split = 0;
        while (a.out.dims[split].empty()) ++split;
        return AllToAll(b, v, a.names(), a.group, split, a.dim);
      },
      x);
  RC_ASSERT(y == x);
}

// The operand is stacked over the group, so that every rank holds another summand.
RC_GTEST_PROP(RunSharded, ReductionsReduceOverTheGroup, ()) {
  AnyCase c;
  const bool maximum = *rc::gen::arbitrary<bool>();
  const bool scatter = !maximum && *rc::gen::arbitrary<bool>();
  c.global_in = StackedType(c.global_out, 0, c.group);
  c.in = Sharding::Replicated(c.global_in.rank());
  c.in.dims[0] = c.axes;
  if (scatter) c.out.dims[c.dim] = c.axes;
  const Tensor x = IntegerTensor(c.global_in, 4);
  auto sum = [](BlockBuilder& b, ValueId v, const LocalCase& l) {
    const AnyCase& a = AnyCase::Of(l);
    return AllReduce(b, ReduceSum(b, v, {0}), a.names(), a.group);
  };
  auto max = [](BlockBuilder& b, ValueId v, const LocalCase& l) {
    const AnyCase& a = AnyCase::Of(l);
    return AllReduce(b, ReduceSum(b, v, {0}), a.names(), a.group, "max");
  };
  auto scattered = [](BlockBuilder& b, ValueId v, const LocalCase& l) {
    const AnyCase& a = AnyCase::Of(l);
    return ReduceScatter(b, ReduceSum(b, v, {0}), a.names(), a.group, a.dim);
  };
  const Tensor y = maximum   ? RunLocalCase(c, max, x)
                   : scatter ? RunLocalCase(c, scattered, x)
                             : RunLocalCase(c, sum, x);
  for (int64_t i = 0; i < y.elements(); ++i) {
    double expected = maximum ? -1 : 0;
    for (int64_t r = 0; r < c.group; ++r) {
      const double term = x.Get(r * y.elements() + i);
      expected = maximum ? std::max(expected, term) : expected + term;
    }
    RC_ASSERT(y.Get(i) == expected);
  }
}

RC_GTEST_PROP(RunSharded, PermuteRotatesShards, ()) {
  AnyCase c;
  c.in.dims[c.dim] = c.axes;
  c.out = c.in;
  const Tensor x = RandomTensor(c.global_in, 5);
  const Tensor y = RunLocalCase(
      c,
      [](BlockBuilder& b, ValueId v, const LocalCase& l) {
        const AnyCase& a = AnyCase::Of(l);
        return CollectivePermute(b, v, a.names(), a.group, 1);
      },
      x);
  // Rank r holds what r - 1 held, so the whole has moved by one shard, cyclically.
  const int64_t extent = c.global_in.dims[c.dim], shard = extent / c.group;
  const int64_t stride = ContiguousStrides(c.global_in.dims)[c.dim];
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t place = i / stride % extent;
    const int64_t from = (place + extent - shard) % extent;
    RC_ASSERT(y.Get(i) == x.Get(i + (from - place) * stride));
  }
}

// y = x w and dw = x^T y of a batch split over data, with w split over fsdp.
struct LinearLayer {
  int64_t rows, inner, columns;
  std::vector<Tensor> inputs() const {
    return {RandomTensor({{rows, inner}, kF64}, 11), RandomTensor({{inner, columns}, kF64}, 12)};
  }
  Program Global() const {
    BlockBuilder b("entry");
    const ValueId x = b.Input("x", {{rows, inner}, kF64});
    const ValueId w = b.Input("w", {{inner, columns}, kF64});
    const ValueId y = Einsum(b, "bk,kn->bn", x, w);
    const ValueId dw = Einsum(b, "bk,bn->kn", x, y);
    return Finish(std::move(b), {y, dw});
  }
  SpmdProgram Sharded(int64_t data, int64_t fsdp, bool reduce = true) const {
    SpmdProgram spmd;
    spmd.mesh.axes = {{"data", data, 1}, {"fsdp", fsdp, 1}};
    const int64_t n = data * fsdp;
    BlockBuilder b("entry");
    const ValueId x = b.Input("x", {{rows / n, inner}, kF64});
    const ValueId shard = b.Input("w", {{inner / fsdp, columns}, kF64});
    const ValueId w = AllGather(b, shard, {"fsdp"}, fsdp, 0);
    const ValueId y = Einsum(b, "bk,kn->bn", x, w);
    ValueId dw = ReduceScatter(b, Einsum(b, "bk,bn->kn", x, y), {"fsdp"}, fsdp, 0);
    if (reduce) dw = AllReduce(b, dw, {"data"}, data);
    spmd.program = Finish(std::move(b), {y, dw});
    spmd.global_inputs = {{{rows, inner}, kF64}, {{inner, columns}, kF64}};
    spmd.global_outputs = {{{rows, columns}, kF64}, {{inner, columns}, kF64}};
    const Sharding batch{{{0, 1}, {}}}, weight{{{1}, {}}};
    spmd.input_shardings = {batch, weight};
    spmd.output_shardings = {batch, weight};
    return spmd;
  }
};

TEST(RunSharded, LinearLayerWithGradientEqualsUnsharded) {
  const LinearLayer layer{16, 8, 6};
  const std::vector<Tensor> expected = RunProgram(layer.Global(), layer.inputs());
  for (auto [data, fsdp] : {std::pair{1, 1}, {2, 1}, {1, 2}, {2, 2}, {2, 4}, {4, 2}, {8, 1}}) {
    SCOPED_TRACE(testing::Message() << data << " x " << fsdp);
    const std::vector<Tensor> actual = RunSharded(layer.Sharded(data, fsdp), layer.inputs());
    EXPECT_EQ(actual[0], expected[0]);
    EXPECT_LT(MaxError(actual[1], expected[1]), 1e-12);
  }
}

// Large enough for threads: 2 * 64 * 128 * 96 operations per device.
TEST(RunSharded, SameBytesForAnyThreadCount) {
  const LinearLayer layer{512, 128, 96};
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const std::vector<Tensor> one = RunSharded(layer.Sharded(2, 4), layer.inputs());
  omp_set_num_threads(5);
  const std::vector<Tensor> five = RunSharded(layer.Sharded(2, 4), layer.inputs());
  omp_set_num_threads(threads);
  EXPECT_EQ(one, five);
}

using RunShardedDeathTest = testing::Test;

// Devices keep their own copies: a gradient that was never reduced differs between them.
TEST(RunShardedDeathTest, ReplicasThatDifferAreFound) {
  const LinearLayer layer{16, 8, 6};
  EXPECT_DEATH(RunSharded(layer.Sharded(2, 2, /*reduce=*/false), layer.inputs()),
               "devices 0 and 2 differ in output 1");
}

TEST(RunShardedDeathTest, WrongInputs) {
  const LinearLayer layer{16, 8, 6};
  EXPECT_DEATH(RunSharded(layer.Sharded(2, 2), {layer.inputs()[0]}), "1 inputs for 2");
  EXPECT_DEATH(RunProgram(layer.Global(), {layer.inputs()[1], layer.inputs()[0]}),
               "input 'x' of @entry is");
}

// A loop with every binding: h <- h w[i] + c, with the products as a stacked result.
Program LoopProgram(int64_t trips, bool reverse, int64_t in_axis, int64_t out_axis) {
  const TensorType h{{2, 4}, kF64}, w{{4, 4}, kF64};
  BlockBuilder body("body");
  const ValueId carry = body.Input("h", h, Binding::kCarry);
  const ValueId weight = body.Input("w", w, Binding::kSlice, in_axis);
  const ValueId constant = body.Input("c", h, Binding::kInvariant);
  const ValueId product = CheckpointName(body, Einsum(body, "bk,kn->bn", carry, weight), "product");
  const ValueId barrier = OptimizationBarrier(body, std::vector<ValueId>{product, constant})[0];
  const ValueId next = Add(body, ToDevice(body, ToHost(body, barrier)), constant);
  BlockOutput stacked{product, "products", Binding::kSlice, out_axis, MemorySpace::kDevice, {}};
  const Block block = std::move(body).Finish(
      {BlockOutput{next, "h", Binding::kCarry, 0, MemorySpace::kDevice, {}}, stacked});
  BlockBuilder b("entry");
  const ValueId x = b.Input("x", h);
  const ValueId stack = b.Input("w", StackedType(w, in_axis, trips));
  const std::vector<ValueId> called =
      b.Call(block, trips, reverse, std::vector<ValueId>{x, stack, x});
  LoopBoundary(b);
  return Finish(std::move(b), {called[0], called[1], x}, {block});
}

TEST(RunProgram, LoopsEqualTheirUnrolling) {
  for (int64_t trips : {1, 3}) {
    for (bool reverse : {false, true}) {
      for (int64_t axis : {0, 1, 2}) {
        const Program program = LoopProgram(trips, reverse, axis, 2 - axis);
        const std::vector<Tensor> inputs = {
            RandomTensor({{2, 4}, kF64}, 21),
            RandomTensor(program.entry().type(program.entry().inputs[1].value), 22)};
        const std::vector<Tensor> looped = RunProgram(program, inputs);
        EXPECT_EQ(looped, RunProgram(Unroll(program), inputs));
        EXPECT_EQ(looped[2], inputs[0]);
      }
    }
  }
}

TEST(RunProgram, ReversedLoopVisitsTheLastSliceFirst) {
  for (bool reverse : {false, true}) {
    const Program program = LoopProgram(3, reverse, 0, 0);
    const Tensor x = RandomTensor({{2, 4}, kF64}, 23), w = RandomTensor({{3, 4, 4}, kF64}, 24);
    const std::vector<Tensor> out = RunProgram(program, {x, w});
    std::vector<double> h = x.ToDoubles();
    for (int step = 0; step < 3; ++step) {
      const int i = reverse ? 2 - step : step;
      std::vector<double> next(8);
      for (int n = 0; n < 8; ++n) {
        double product = 0;
        for (int k = 0; k < 4; ++k) product += h[n / 4 * 4 + k] * w.Get(i * 16 + k * 4 + n % 4);
        EXPECT_NEAR(out[1].Get(i * 8 + n), product, 1e-12);
        next[n] = product + x.Get(n);
      }
      h = next;
    }
    for (int n = 0; n < 8; ++n) EXPECT_NEAR(out[0].Get(n), h[n], 1e-12);
  }
}

}  // namespace
}  // namespace shardwise
