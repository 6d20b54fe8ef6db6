#include "model/ir/cotangents.h"

#include <algorithm>

#include "kernels/base/check.h"
#include "model/ir/manual.h"
#include "model/ir/structural_attrs.h"

namespace shardwise {

ValueId ZerosLike(BlockBuilder& builder, const TensorType& type) {
  return builder.Add1("full", FullAttrs{type.dims, type.dtype, 0}, {});
}

ValueId Cotangents::GetOrZeros(ValueId v) {
  const ValueId cotangent = Get(v);
  return cotangent.valid() ? cotangent : ZerosLike(builder_, builder_.type(v));
}

void Cotangents::Accumulate(ValueId v, ValueId cotangent) {
  SW_CHECK(builder_.type(v) == builder_.type(cotangent), "cotangent {} of a value {} in '{}'",
           builder_.type(cotangent).ToText(), builder_.type(v).ToText(), builder_.scope());
  if (v.v >= static_cast<int32_t>(of_.size())) of_.resize(v.v + 1);
  of_[v.v] = of_[v.v].valid() ? builder_.Add1("add", Attrs(), {of_[v.v], cotangent}) : cotangent;
}

void Cotangents::Pull(const Node& node, std::string_view scope) {
  if (node.in.empty()) return;  // a constant
  std::vector<ValueId> grads;
  for (ValueId v : node.out) grads.push_back(Get(v));
  if (std::none_of(grads.begin(), grads.end(), [](ValueId g) { return g.valid(); })) return;
  builder_.SetScope(scope);
  SW_CHECK(node.op->vjp != nullptr || node.is(OpKind::kManual), "{} in '{}' is not differentiable",
           node.op->name, scope);
  const Node copy = node;  // the builder's node list may move while the vjp adds to it
  const std::vector<ValueId> pulled = copy.is(OpKind::kManual)
                                          ? PullManual(builder_, blocks_, copy, grads)
                                          : copy.op->vjp(builder_, copy, grads);
  SW_CHECK(pulled.size() == copy.in.size(), "vjp of {} returns {} values for {} operands",
           copy.op->name, pulled.size(), copy.in.size());
  for (size_t i = 0; i < pulled.size(); ++i) {
    if (pulled[i].valid()) Accumulate(copy.in[i], pulled[i]);
  }
}

}  // namespace shardwise
