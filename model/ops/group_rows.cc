#include <bit>

#include "kernels/ref/grouped_rows-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

struct GroupRowsAttrs {
  int64_t groups = 1, rows = 0;
  void VisitFields(auto&& v) {
    v("groups", groups);
    v("rows", rows);
  }
};

StatusOr<std::vector<TensorType>> GroupRowsInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<GroupRowsAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 1));
  SW_RETURN_IF_ERROR(ExpectDType(in, 0, DType::kI32));
  if (in[0].rank() != 1) return InvalidArgument("ids are {}, not of rank 1", in[0].ToText());
  if (a.groups < 0 || a.rows < 0) return InvalidArgument("{} groups, {} rows", a.groups, a.rows);
  return std::vector<TensorType>{{{a.rows}, DType::kI32}, in[0], {{a.groups}, DType::kI32}};
}

IndexRule GroupRowsRule(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<GroupRowsAttrs>();
  const std::pair<char, int64_t> sizes[] = {{'r', a.rows}, {'g', a.groups}};
  const std::pair<char, FactorRole> roles[] = {
      {'n', FactorRole::kReplicate}, {'r', FactorRole::kReplicate}, {'g', FactorRole::kReplicate}};
  return MakeRule("n->r,n,g", in, sizes, roles);
}

// A bitonic network, as compilers of vector machines sort: b (b + 1) / 2 stages for 2^b rows, each
// with one compare-exchange per pair.
KernelWork GroupRowsWork(const Attrs&, Types in, Types) {
  const auto n = static_cast<uint64_t>(in[0].elements());
  const int bits = n < 2 ? 0 : std::bit_width(n - 1);
  KernelWork work;
  work.vector_ops = static_cast<double>(n) * bits * (bits + 1) / 4;
  return work;
}

struct GroupRowsKernel {
  template <class S>
  static void Run(const Attrs&, const KernelContext<S>& c) {
    ref::GroupRows(c.InI32(0), c.OutI32(0), c.OutI32(1), c.OutI32(2));
  }
};

void GroupRowsSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t rows : {int64_t{0}, int64_t{3}, random.Extent(), 3 * random.Extent()}) {
    const int64_t n = 2 * random.Extent(), groups = random.Extent();
    OpSample sample = {Attrs(GroupRowsAttrs{groups, rows}), {{{n}, DType::kI32}}};
    sample.values.resize(1);
    // Some ids lie outside on either side.
    for (int64_t i = 0; i < n; ++i) {
      sample.values[0].push_back(static_cast<double>(random.Int(-1, groups)));
    }
    samples.push_back(std::move(sample));
  }
  samples.push_back({Attrs(GroupRowsAttrs{0, 2}), {{{0}, DType::kI32}}});
}

}  // namespace

OpDef GroupRowsOp() {
  OpDef op;
  op.name = "group_rows";
  op.doc =
      "Rows by group: ids s32 [n] -> order s32 [rows], which row is at a place; inverse s32 [n], "
      "the place of a row; sizes s32 [groups], places taken. Ascending by id, equal ids as they "
      "come; -1 where there is no row or no place. Rows with an id outside [0, groups) have no "
      "place, nor do the last ones in this order when there are more than `rows`.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<GroupRowsAttrs>;
  op.infer = GroupRowsInfer;
  op.rule = GroupRowsRule;
  op.work = GroupRowsWork;
  op.kernels = KernelsOf<GroupRowsKernel>();
  op.samples = GroupRowsSamples;
  return op;
}

GroupedRows GroupRows(BlockBuilder& b, ValueId ids, int64_t groups, int64_t rows) {
  const std::vector<ValueId> out = b.Add("group_rows", Attrs(GroupRowsAttrs{groups, rows}), {ids});
  return {out[0], out[1], out[2]};
}

}  // namespace shardwise
