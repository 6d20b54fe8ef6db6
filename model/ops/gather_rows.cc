#include <algorithm>

#include "kernels/ref/rows-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct GatherRowsKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    WithElementType<S>(c.in_types[0].dtype, [&]<class T>(T*) {
      ref::GatherRows<T>(InAs<T>(c, 0), c.InI32(1), OutAs<T>(c, 0));
    });
  }
};

StatusOr<std::vector<TensorType>> GatherRowsInfer(const Attrs&, Types in) {
  SW_RETURN_IF_ERROR(ExpectOperands(in, 2));
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  if (in[0].rank() != 2) return InvalidArgument("table is {}, not of rank 2", in[0].ToText());
  TensorType result{in[1].dims, in[0].dtype};
  result.dims.push_back(in[0].dims[1]);
  return std::vector<TensorType>{result};
}

IndexRule GatherRowsRule(const Attrs&, Types in) {
  const std::string ids = Letters(in[1].rank(), 2);
  const std::pair<char, FactorRole> roles[] = {{'a', FactorRole::kReplicate}};
  return MakeRule("ab," + ids + "->" + ids + "b", in, {}, roles);
}

KernelWork GatherRowsWork(const Attrs&, Types in, Types) {
  const double read = static_cast<double>(in[1].elements()) / static_cast<double>(in[0].dims[0]);
  KernelWork work;
  work.read_fraction = {std::min(1.0, read), 1.0};
  return work;
}

std::vector<ValueId> GatherRowsVjp(BlockBuilder& b, const Node& node,
                                   std::span<const ValueId> grads) {
  return {ScatterAddRows(b, node.in[1], grads[0], b.type(node.in[0]).dims[0]), kNoValue};
}

void GatherRowsSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    const TensorType table = random.F64(2);
    samples.push_back({Attrs(), {table, {random.Shape(rank), DType::kI32}}, {0, table.dims[0]}});
  }
}

}  // namespace

OpDef GatherRowsOp() {
  OpDef op;
  op.name = "gather_rows";
  op.doc =
      "Rows of a table: table [v,e], ids s32 [...] -> [...,e]. Ids are in [0, v); like XLA's "
      "gather "
      "it clamps others.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseNoAttrs;
  op.infer = GatherRowsInfer;
  op.rule = GatherRowsRule;
  op.work = GatherRowsWork;
  op.kernels = KernelsOf<GatherRowsKernel>();
  op.vjp = GatherRowsVjp;
  op.samples = GatherRowsSamples;
  return op;
}

ValueId GatherRows(BlockBuilder& b, ValueId table, ValueId ids) {
  return b.Add1("gather_rows", Attrs(), {table, ids});
}

}  // namespace shardwise
