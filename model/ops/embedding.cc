// Embedding lookup and its backward.
#include "kernels/ref/rows-inl.h"
#include "model/ir/builder.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct EmbeddingAttrs {
  bool one_hot = false;
  void VisitFields(auto&& v) { v("one_hot", one_hot); }
};

struct EmbeddingVjpAttrs {
  int64_t rows = 1;  // v of the table
  bool one_hot = false;
  void VisitFields(auto&& v) {
    v("rows", rows);
    v("one_hot", one_hot);
  }
};

// Ids are rows of the whole table.
constexpr std::pair<char, FactorRole> kRoles[] = {{'v', FactorRole::kReplicate}};

StatusOr<std::vector<TensorType>> Infer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(MatchDims("ve,bs", in));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 0));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  const Dims& ids = in[1].dims;
  return std::vector<TensorType>{{{ids[0], ids[1], in[0].dims[1]}, in[0].dtype}};
}

IndexRule Rule(const Attrs&, Types in) { return MakeRule("ve,bs->bse", in, {}, kRoles); }

// The product with one-hot rows [bs,v] that MaxText's use_iota_embed makes: a matrix product and a
// mask of v entries per id. The kernel picks rows instead, with the same result, so OpDef::cost has
// no arithmetic.
KernelWork OneHotWork(int64_t ids, MatmulShape matmul, int64_t rows) {
  KernelWork work;
  work.matmuls.push_back(matmul);
  work.vector_ops = static_cast<double>(ids) * static_cast<double>(rows);
  return work;
}

KernelWork Work(const Attrs& attrs, Types in, Types out) {
  if (!attrs.As<EmbeddingAttrs>().one_hot) return FindOp("gather_rows")->work(attrs, in, out);
  const int64_t ids = in[1].elements(), rows = in[0].dims[0];
  const DType dtype = in[0].dtype;
  return OneHotWork(ids, {1, ids, in[0].dims[1], rows, dtype, dtype, out[0].dtype}, rows);
}

struct ForwardKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::GatherRows<S>(c.In(0), c.InI32(1), c.Out(0));
  }
};

std::vector<ValueId> Vjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const EmbeddingVjpAttrs attrs = {b.type(node.in[0]).dims[0],
                                   node.attrs.As<EmbeddingAttrs>().one_hot};
  return {b.Add1("embedding_vjp", attrs, {node.in[1], grads[0]}), kNoValue};
}

// [b,s,v]: one where v is the id, zero elsewhere.
ValueId OneHot(BlockBuilder& b, ValueId ids, int64_t rows, DType dtype) {
  Dims shape = b.type(ids).dims;
  shape.push_back(rows);
  const int64_t v = 2;
  const ValueId is_id = Compare(b, "EQ", BroadcastInDim(b, Iota(b, {shape[v]}, 0), shape, {v}),
                                BroadcastAlong(b, ids, shape, {&v, 1}));
  return Convert(b, is_id, dtype);
}

std::vector<ValueId> Decompose(BlockBuilder& b, const Node& node) {
  const ValueId table = node.in[0], ids = node.in[1];
  if (!node.attrs.As<EmbeddingAttrs>().one_hot) return {GatherRows(b, table, ids)};
  const TensorType type = b.type(table);
  return {Einsum(b, "bsv,ve->bse", OneHot(b, ids, type.dims[0], type.dtype), table)};
}

void Samples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool one_hot : {false, true}) {
    const TensorType table = random.F64(2), ids = {random.Shape(2), DType::kI32};
    samples.push_back({Attrs(EmbeddingAttrs{one_hot}), {table, ids}, {1, table.dims[0]}});
  }
}

StatusOr<std::vector<TensorType>> VjpInfer(const Attrs& attrs, Types in) {
  SW_RETURN_IF_ERROR(MatchDims("bs,bse", in));
  SW_RETURN_IF_ERROR(ExpectDType(in, 0, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectFloat(in, 1));
  const int64_t rows = attrs.As<EmbeddingVjpAttrs>().rows;
  if (rows < 0) return InvalidArgument("a table of {} rows", rows);
  return std::vector<TensorType>{{{rows, in[1].dims[2]}, in[1].dtype}};
}

IndexRule VjpRule(const Attrs& attrs, Types in) {
  const std::pair<char, int64_t> rows = {'v', attrs.As<EmbeddingVjpAttrs>().rows};
  return MakeRule("bs,bse->ve", in, {&rows, 1}, kRoles);
}

OpCounts VjpCost(const Attrs&, Types in, Types) { return {.mul_add = in[1].elements()}; }

KernelWork VjpWork(const Attrs& attrs, Types in, Types out) {
  const auto& a = attrs.As<EmbeddingVjpAttrs>();
  const int64_t ids = in[0].elements();
  if (a.one_hot) {
    const DType dtype = in[1].dtype;
    return OneHotWork(ids, {1, a.rows, in[1].dims[2], ids, dtype, dtype, out[0].dtype}, a.rows);
  }
  KernelWork work;
  work.vector_ops = static_cast<double>(VjpCost(attrs, in, out).total());
  return work;
}

struct VjpKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::ScatterAddRows<S>(c.InI32(0), c.In(1), c.Out(0));
  }
};

std::vector<ValueId> VjpOfVjp(BlockBuilder& b, const Node& node, std::span<const ValueId> grads) {
  const bool one_hot = node.attrs.As<EmbeddingVjpAttrs>().one_hot;
  return {kNoValue, Embedding(b, grads[0], node.in[0], one_hot)};
}

std::vector<ValueId> VjpDecompose(BlockBuilder& b, const Node& node) {
  const auto& attrs = node.attrs.As<EmbeddingVjpAttrs>();
  const ValueId ids = node.in[0], dy = node.in[1];
  if (!attrs.one_hot) return {ScatterAddRows(b, ids, dy, attrs.rows)};
  return {Einsum(b, "bsv,bse->ve", OneHot(b, ids, attrs.rows, b.type(dy).dtype), dy)};
}

void VjpSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const bool one_hot : {false, true}) {
    const TensorType dy = random.F64(3);
    const TensorType ids = {{dy.dims[0], dy.dims[1]}, DType::kI32};
    const int64_t rows = random.Extent();
    samples.push_back({Attrs(EmbeddingVjpAttrs{rows, one_hot}), {ids, dy}, {rows}});
  }
}

}  // namespace

OpDef EmbeddingOp() {
  OpDef def;
  def.name = "embedding";
  def.doc =
      "table [v,e], ids s32 [b,s] -> [b,s,e]: row ids of the table. one_hot: priced as MaxText's "
      "use_iota_embed, a product of one-hot rows [b,s,v] with the table.";
  def.op_class = OpClass::kIndexing;
  def.parse_attrs = ParseAttrs<EmbeddingAttrs>;
  def.infer = Infer;
  def.rule = Rule;
  def.work = Work;
  def.kernels = KernelsOf<ForwardKernel>();
  def.vjp = Vjp;
  def.decompose = Decompose;
  def.samples = Samples;
  return def;
}

OpDef EmbeddingVjpOp() {
  OpDef def;
  def.name = "embedding_vjp";
  def.doc =
      "ids s32 [b,s], dy [b,s,e] -> dtable [rows,e]: the sum of the rows of dy with each id, in "
      "the "
      "order of ids.";
  def.op_class = OpClass::kIndexing;
  def.parse_attrs = ParseAttrs<EmbeddingVjpAttrs>;
  def.infer = VjpInfer;
  def.rule = VjpRule;
  def.cost = VjpCost;
  def.work = VjpWork;
  def.kernels = KernelsOf<VjpKernel>();
  def.vjp = VjpOfVjp;
  def.decompose = VjpDecompose;
  def.samples = VjpSamples;
  return def;
}

ValueId Embedding(BlockBuilder& b, ValueId table, ValueId ids, bool one_hot) {
  return b.Add1("embedding", EmbeddingAttrs{one_hot}, {table, ids});
}

}  // namespace shardwise
