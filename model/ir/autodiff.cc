#include "model/ir/autodiff.h"

#include <algorithm>

#include "kernels/base/check.h"
#include "model/ir/cotangents.h"
#include "model/ir/structural_attrs.h"

namespace shardwise {
namespace {

// A forward call that has been retargeted to its forward twin.
struct LinearizedCall {
  Linearized twins;
  std::vector<ValueId> residuals;  // stacked values, by residual
};

class Differentiator {
 public:
  Differentiator(BlockBuilder& builder, std::vector<Block>& blocks,
                 const std::map<std::string, RematPolicy>& policies)
      : builder_(builder), blocks_(blocks), policies_(policies), cotangents_(builder, blocks) {}

  std::vector<ValueId> Run(ValueId loss, std::span<const ValueId> wrt) {
    const size_t forward_nodes = builder_.block().nodes.size();
    FindActive(wrt, forward_nodes);
    LinearizeCalls(forward_nodes);
    builder_.SetPhase(Phase::kBackward);
    builder_.SetScope("loss");
    cotangents_.Accumulate(loss, One(loss));
    for (size_t n = forward_nodes; n-- > 0;) {
      const Node node = builder_.block().nodes[n];
      if (!std::any_of(node.in.begin(), node.in.end(), [&](ValueId v) { return Active(v); })) {
        continue;
      }
      const std::string scope = builder_.block().scopes[node.scope];
      if (node.is(OpKind::kCall)) {
        builder_.SetScope(scope);
        PullCall(n, node);
      } else {
        cotangents_.Pull(node, scope);
      }
    }
    std::vector<ValueId> result;
    for (ValueId v : wrt) result.push_back(cotangents_.GetOrZeros(v));
    builder_.SetScope("");
    return result;
  }

 private:
  ValueId One(ValueId loss) {
    SW_CHECK(builder_.type(loss).dims.empty(), "the loss is {}", builder_.type(loss).ToText());
    return builder_.Add1("full", FullAttrs{{}, builder_.type(loss).dtype, 1}, {});
  }

  bool Active(ValueId v) const { return active_[v.v]; }

  // Values that depend on `wrt`: cotangents of others are never asked for.
  void FindActive(std::span<const ValueId> wrt, size_t forward_nodes) {
    active_.assign(builder_.block().types.size(), false);
    for (ValueId v : wrt) active_[v.v] = true;
    for (size_t n = 0; n < forward_nodes; ++n) {
      const Node& node = builder_.block().nodes[n];
      const bool any =
          std::any_of(node.in.begin(), node.in.end(), [&](ValueId v) { return active_[v.v]; });
      for (ValueId v : node.out) {
        active_[v.v] = any && IsFloat(builder_.block().types[v.v].dtype);
      }
    }
  }

  void LinearizeCalls(size_t forward_nodes) {
    for (size_t n = 0; n < forward_nodes; ++n) {
      const Node node = builder_.block().nodes[n];
      if (!node.is(OpKind::kCall)) continue;
      const std::string name = node.attrs.As<CallAttrs>().block;
      const size_t found = std::find_if(blocks_.begin(), blocks_.end(),
                                        [&](const Block& b) { return b.name == name; }) -
                           blocks_.begin();
      SW_CHECK(found < blocks_.size(), "no block named '{}'", name);
      const auto policy = policies_.find(name);
      LinearizedCall call;
      const Block original = blocks_[found];  // the list may grow
      call.twins =
          Linearize(original, policy != policies_.end() ? policy->second : RematPolicy{}, blocks_);
      call.residuals = builder_.RetargetCall(n, call.twins.forward);
      blocks_[found] = call.twins.forward;
      calls_.emplace(n, std::move(call));
    }
  }

  void PullCall(size_t index, const Node& node) {
    const LinearizedCall& call = calls_.at(index);
    const Block& forward = call.twins.forward;
    std::vector<ValueId> carries, stacks;
    for (size_t o = 0; o + call.residuals.size() < node.out.size(); ++o) {
      if (!IsFloat(builder_.type(node.out[o]).dtype)) continue;
      (forward.outputs[o].binding == Binding::kCarry ? carries : stacks).push_back(node.out[o]);
    }
    std::vector<ValueId> in;
    for (const Linearized::BackwardInput& source : call.twins.backward_inputs) {
      switch (source.source) {
        case Linearized::Source::kCarryCotangent:
          in.push_back(cotangents_.GetOrZeros(carries[source.index]));
          break;
        case Linearized::Source::kStackCotangent:
          in.push_back(cotangents_.GetOrZeros(stacks[source.index]));
          break;
        case Linearized::Source::kAccumulator:
          in.push_back(ZerosLike(builder_, builder_.type(node.in[source.index])));
          break;
        case Linearized::Source::kResidual:
          in.push_back(call.residuals[source.index]);
          break;
        case Linearized::Source::kInput:
          in.push_back(node.in[source.index]);
          break;
      }
    }
    const CallAttrs& attrs = node.attrs.As<CallAttrs>();
    blocks_.push_back(call.twins.backward);
    const auto out = builder_.Call(call.twins.backward, attrs.trips, !attrs.reverse, in);
    for (size_t o = 0; o < out.size(); ++o) {
      cotangents_.Accumulate(node.in[call.twins.backward_outputs[o]], out[o]);
    }
  }

  BlockBuilder& builder_;
  std::vector<Block>& blocks_;
  const std::map<std::string, RematPolicy>& policies_;
  Cotangents cotangents_;
  std::vector<bool> active_;
  std::map<size_t, LinearizedCall> calls_;  // by node index
};

}  // namespace

std::vector<ValueId> AppendBackward(BlockBuilder& builder, std::vector<Block>& blocks, ValueId loss,
                                    std::span<const ValueId> wrt,
                                    const std::map<std::string, RematPolicy>& policies) {
  return Differentiator(builder, blocks, policies).Run(loss, wrt);
}

}  // namespace shardwise
