#include "model/ir/structural_attrs.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/op_util.h"

namespace shardwise {
namespace {

StatusOr<std::vector<TensorType>> RaggedAllToAllInfer(const Attrs& attrs, Types in) {
  const auto& a = attrs.As<RaggedAllToAllAttrs>();
  SW_RETURN_IF_ERROR(ExpectOperands(in, 3));
  if (in[0].rank() != 2) return InvalidArgument("x is {}, not [m,d]", in[0].ToText());
  SW_RETURN_IF_ERROR(ExpectDType(in, 1, DType::kI32));
  SW_RETURN_IF_ERROR(ExpectSameType(in, 2, 1));
  if (a.group < 1 || in[1].rank() != 2 || in[1].dims[0] != a.group) {
    return InvalidArgument("sizes are {}, not [{},e]", in[1].ToText(), a.group);
  }
  if (a.rows < 0) return InvalidArgument("{} rows", a.rows);
  if (a.imbalance < 1) {
    return InvalidArgument("imbalance {}: the fullest rank has at least the mean", a.imbalance);
  }
  return std::vector<TensorType>{{{a.rows, in[0].dims[1]}, in[0].dtype}};
}

// Rows go back where they came from: those that were lost come back as zero, and the zeros that
// were sent from past the end of x fall off there.
std::vector<ValueId> RaggedAllToAllVjp(BlockBuilder& b, const Node& node,
                                       std::span<const ValueId> grads) {
  const auto& a = node.attrs.As<RaggedAllToAllAttrs>();
  const int64_t m = b.type(node.in[0]).dims[0];
  return {RaggedAllToAll(b, grads[0], node.in[2], node.in[1], a.axes, a.group, m, a.imbalance),
          kNoValue, kNoValue};
}

void RaggedAllToAllSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (const int64_t m : {random.Extent(), int64_t{0}}) {
    const TensorType sizes = {{random.Int(1, 4), random.Int(1, 3)}, DType::kI32};
    const RaggedAllToAllAttrs attrs = {
        {"expert"}, sizes.dims[0], random.Int(0, 8), random.Uniform(1, 2)};
    samples.push_back({Attrs(attrs), {{{m, random.Extent()}, DType::kF64}, sizes, sizes}});
  }
}

}  // namespace

OpDef RaggedAllToAllOp() {
  OpDef op;
  op.name = "ragged_all_to_all";
  op.doc =
      "x [m,d], sent, received s32 [group,e] -> [rows,d]. Rows go to rank q, as many as row q of "
      "`sent` adds up to, taken from x one rank after the other; rows arrive from rank q, as many "
      "as row q of `received` adds up to, placed one rank after the other. Rows past the end of x "
      "are zero, rows past `rows` are lost, places left over are zero. What a rank sends in each "
      "of its e parts is what the other expects. The price is that of an even all_to_all of "
      "min(m, rows) rows times `imbalance`.";
  op.kind = OpKind::kCollective;
  op.op_class = OpClass::kCommunication;
  op.parse_attrs = ParseAttrs<RaggedAllToAllAttrs>;
  op.infer = RaggedAllToAllInfer;
  op.vjp = RaggedAllToAllVjp;
  op.samples = RaggedAllToAllSamples;
  return op;
}

ValueId RaggedAllToAll(BlockBuilder& b, ValueId x, ValueId sent, ValueId received,
                       std::vector<std::string> axes, int64_t group, int64_t rows,
                       double imbalance) {
  const RaggedAllToAllAttrs attrs = {std::move(axes), group, rows, imbalance};
  return b.Add1("ragged_all_to_all", attrs, {x, sent, received});
}

}  // namespace shardwise
