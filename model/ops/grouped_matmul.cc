// Products of groups of rows with a weight matrix each, and the cotangent of the weights.
#include <algorithm>
#include <cmath>
#include <string>

#include "kernels/ref/grouped_matmul-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct GroupedMatmulAttrs {
  double expected_rows = 0;  // rows taken to be filled when priced; 0: all
  bool transpose_w = false;  // w is [e,n,k]
  RowTiles tiles;
  void VisitFields(auto&& v) {
    v("expected_rows", expected_rows);
    v("transpose_w", transpose_w);
    v("tile", tiles.fwd);
    v("tile_dx", tiles.dx);
    v("tile_dw", tiles.dw);
  }
};

struct GroupedMatmulDwAttrs {
  double expected_rows = 0;
  std::string out;  // dtype of the result; "" = that of x
  int64_t tile = 0;
  void VisitFields(auto&& v) {
    v("expected_rows", expected_rows);
    v("out", out);
    v("tile", tile);
  }
};

// How many of `rows` rows hold something.
int64_t FilledRows(double expected, int64_t rows) {
  return expected > 0 ? std::llround(std::min(expected, static_cast<double>(rows))) : rows;
}
double FilledShare(double expected, int64_t rows) {
  if (rows == 0) return 1;
  return static_cast<double>(FilledRows(expected, rows)) / static_cast<double>(rows);
}

// Rows that a kernel multiplies which walks the filled rows in tiles and visits a tile once for
// each group that has rows in it: one visit more for each group but the first. The visit lists of
// MaxText's compiled kernels have that length: 98304 / 512 + 64 - 1 = 255 (IDs ds4flash40-*).
int64_t TiledRows(int64_t filled, int64_t rows, int64_t groups, int64_t tile) {
  tile = std::min(tile, rows);
  if (tile <= 0 || filled == 0) return filled;
  return ((filled + tile - 1) / tile + std::min(groups, filled) - 1) * tile;
}

Status CheckOperands(std::string_view spec, double expected_rows, std::span<const int64_t> tiles,
                     Types in) {
  SW_RETURN_IF_ERROR(MatchDims(spec, in));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 1));
  SW_RETURN_IF_ERROR(ExpectDType(in, 2, DType::kI32));
  if (!(expected_rows >= 0)) return InvalidArgument("{} expected rows", expected_rows);
  for (int64_t tile : tiles) {
    if (tile < 0) return InvalidArgument("tiles of {} rows", tile);
  }
  return absl::OkStatus();
}

// Which rows a group has is data; where a group ends, another begins.
constexpr std::pair<char, FactorRole> kRoles[] = {{'m', FactorRole::kReplicate},
                                                  {'e', FactorRole::kReplicate}};

std::string_view Spec(const GroupedMatmulAttrs& a) {
  return a.transpose_w ? "mk,enk,e" : "mk,ekn,e";
}

IndexRule Rule(const Attrs& attrs, Types in) {
  const std::string spec(Spec(attrs.As<GroupedMatmulAttrs>()));
  return MakeRule(spec + "->mn", in, {}, kRoles);
}

StatusOr<std::vector<TensorType>> Infer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<GroupedMatmulAttrs>();
  const int64_t tiles[] = {a.tiles.fwd, a.tiles.dx, a.tiles.dw};
  SW_RETURN_IF_ERROR(CheckOperands(Spec(a), a.expected_rows, tiles, in));
  const int64_t n = in[1].dims[a.transpose_w ? 1 : 2];
  return std::vector<TensorType>{{{in[0].dims[0], n}, in[0].dtype}};
}

OpCounts Cost(const Attrs&, Types in, Types out) {
  const bool has_weights = in[2].elements() > 0;
  return {.mul_add = has_weights ? 2 * in[0].elements() * out[0].dims[1] : 0};
}

// One product of all rows. Every weight is read, whatever the sizes.
KernelWork Work(const Attrs& attrs, Types in, Types out) {
  const auto& a = attrs.As<GroupedMatmulAttrs>();
  const int64_t m = in[0].dims[0], k = in[0].dims[1], n = out[0].dims[1];
  const int64_t filled = FilledRows(a.expected_rows, m), groups = in[2].dims[0];
  KernelWork work;
  work.matmuls = {{1, filled, n, k, in[0].dtype, in[1].dtype, out[0].dtype}};
  work.tiled_matmuls = work.matmuls;
  work.tiled_matmuls[0].m = TiledRows(filled, m, groups, a.tiles.fwd);
  work.read_fraction = {FilledShare(a.expected_rows, m), 1, 1};
  work.write_fraction = {FilledShare(a.expected_rows, m)};
  return work;
}

struct GroupedMatmulKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::GroupedMatmul(attrs.As<GroupedMatmulAttrs>().transpose_w, c.In(0), c.In(1), c.InI32(2),
                       c.Out(0));
  }
};

// dx = dy w^T and dw = x^T dy by groups, each in the dtype of its operand; the cotangent has the
// dtype of the result, which is that of x.
std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const GroupedMatmulAttrs a = node.attrs.As<GroupedMatmulAttrs>();
  const ValueId x = node.in[0], w = node.in[1], sizes = node.in[2], dy = grads[0];
  GroupedMatmulDwAttrs dw = {a.expected_rows, "", a.tiles.dw};
  const RowTiles tiles = {a.tiles.dx, a.tiles.fwd, a.tiles.dw};
  if (b.type(w).dtype != b.type(x).dtype) dw.out = Name(b.type(w).dtype);
  return {b.Add1("grouped_matmul", GroupedMatmulAttrs{a.expected_rows, !a.transpose_w, tiles},
                 {dy, w, sizes}),
          a.transpose_w ? b.Add1("grouped_matmul_dw", dw, {dy, x, sizes})
                        : b.Add1("grouped_matmul_dw", dw, {x, dy, sizes}),
          kNoValue};
}

IndexRule DwRule(const Attrs&, Types in) { return MakeRule("mk,mn,e->ekn", in, {}, kRoles); }

StatusOr<std::vector<TensorType>> DwInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<GroupedMatmulDwAttrs>();
  SW_RETURN_IF_ERROR(CheckOperands("mk,mn,e", a.expected_rows, {&a.tile, 1}, in));
  TensorType result = {{in[2].dims[0], in[0].dims[1], in[1].dims[1]}, in[0].dtype};
  if (!a.out.empty()) {
    const auto dtype = ParseDType(a.out);
    if (!dtype || !IsFloat(*dtype)) return InvalidArgument("out '{}' is not a float type", a.out);
    result.dtype = *dtype;
  }
  return std::vector<TensorType>{result};
}

OpCounts DwCost(const Attrs&, Types in, Types) {
  return {.mul_add = 2 * in[0].elements() * in[1].dims[1]};
}

// The groups' products as one over all rows, as above, whose result leaves the unit by group.
KernelWork DwWork(const Attrs& attrs, Types in, Types out) {
  const auto& a = attrs.As<GroupedMatmulDwAttrs>();
  const int64_t m = in[0].dims[0], k = in[0].dims[1], n = in[1].dims[1];
  const int64_t filled = FilledRows(a.expected_rows, m), groups = in[2].dims[0];
  const double share = FilledShare(a.expected_rows, m);
  KernelWork work;
  work.matmuls = {{1, k, n, filled, in[0].dtype, in[1].dtype, out[0].dtype}};
  work.tiled_matmuls = work.matmuls;
  work.tiled_matmuls[0].k = TiledRows(filled, m, groups, a.tile);
  work.read_fraction = {share, share, 1};
  return work;
}

struct GroupedMatmulDwKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::GroupedMatmulDw(c.In(0), c.In(1), c.InI32(2), c.Out(0));
  }
};

// Sizes of `groups` groups that fill `rows` rows or leave some over.
std::vector<double> SampleSizes(SampleRandom& random, int64_t groups, int64_t rows) {
  std::vector<double> sizes;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t size = random.Int(0, 2) == 0 ? 0 : random.Int(0, rows);
    sizes.push_back(static_cast<double>(size));
    rows -= size;
  }
  return sizes;
}

struct SampleShape {
  int64_t m, k, n, e;
  // Operands of these shapes, the first two floats.
  OpSample Make(SampleRandom& random, Attrs attrs, Dims x, Dims y) const {
    OpSample sample = {
        std::move(attrs),
        {{std::move(x), DType::kF64}, {std::move(y), DType::kF64}, {{e}, DType::kI32}}};
    sample.values = {{}, {}, SampleSizes(random, e, m)};
    return sample;
  }
};

// Random shapes, then some with nothing in a dimension.
std::vector<SampleShape> SampleShapes(SampleRandom& random) {
  std::vector<SampleShape> shapes;
  for (int i = 0; i < 4; ++i) {
    shapes.push_back({2 * random.Extent(), random.Extent(), random.Extent(), random.Int(1, 4)});
  }
  for (const SampleShape& empty : {SampleShape{0, 2, 3, 2}, {3, 0, 2, 2}, {3, 2, 1, 0}}) {
    shapes.push_back(empty);
  }
  return shapes;
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const SampleShape& s : SampleShapes(random)) {
    const bool transpose = samples.size() % 2 == 1;
    GroupedMatmulAttrs attrs = {static_cast<double>(random.Int(0, s.m)), transpose, {}};
    attrs.tiles.fwd = random.Int(0, 8);
    samples.push_back(s.Make(random, Attrs(attrs), {s.m, s.k},
                             transpose ? Dims{s.e, s.n, s.k} : Dims{s.e, s.k, s.n}));
  }
}

void DwSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const SampleShape& s : SampleShapes(random)) {
    const GroupedMatmulDwAttrs attrs = {static_cast<double>(random.Int(0, s.m)), "",
                                        random.Int(0, 8)};
    samples.push_back(s.Make(random, Attrs(attrs), {s.m, s.k}, {s.m, s.n}));
  }
}

}  // namespace

OpDef GroupedMatmulOp() {
  OpDef op;
  op.name = "grouped_matmul";
  op.doc =
      "x [m,k], w [e,k,n] ([e,n,k] if transpose_w), sizes s32 [e] -> [m,n] in the dtype of x: the "
      "first sizes[0] rows times w[0], the next sizes[1] times w[1], and so on; zeros past the "
      "last group. Accumulates in f32 (f64 for f64). Priced for `expected_rows` rows, 0 for all, "
      "of which a kernel works on whole tiles of `tile` rows of one group (tile_dx and tile_dw in "
      "the backward), 0 for single rows.";
  op.op_class = OpClass::kMatmul;
  op.standalone = true;
  op.parse_attrs = ParseAttrs<GroupedMatmulAttrs>;
  op.infer = Infer;
  op.rule = Rule;
  op.cost = Cost;
  op.work = Work;
  op.kernels = KernelsOf<GroupedMatmulKernel>();
  op.vjp = Vjp;
  op.samples = Samples;
  return op;
}

OpDef GroupedMatmulDwOp() {
  OpDef op;
  op.name = "grouped_matmul_dw";
  op.doc =
      "x [m,k], dy [m,n], sizes s32 [e] -> [e,k,n]: x^T dy over the rows of each group of "
      "grouped_matmul; rows past the last group are left out. Accumulates in f32 (f64 for f64); "
      "`out` is the dtype of the result. Priced as grouped_matmul.";
  op.op_class = OpClass::kMatmul;
  op.standalone = true;
  op.parse_attrs = ParseAttrs<GroupedMatmulDwAttrs>;
  op.infer = DwInfer;
  op.rule = DwRule;
  op.cost = DwCost;
  op.work = DwWork;
  op.kernels = KernelsOf<GroupedMatmulDwKernel>();
  op.samples = DwSamples;
  op.no_vjp_reason = "is a derivative itself";
  return op;
}

ValueId GroupedMatmul(BlockBuilder& b, ValueId x, ValueId w, ValueId sizes, double expected_rows,
                      const RowTiles& tiles) {
  return b.Add1("grouped_matmul", GroupedMatmulAttrs{expected_rows, false, tiles}, {x, w, sizes});
}

}  // namespace shardwise
