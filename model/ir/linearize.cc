#include <fmt/format.h>

#include <algorithm>

#include "kernels/base/check.h"
#include "model/ir/autodiff.h"
#include "model/ir/cotangents.h"
#include "model/ir/structural_attrs.h"

namespace shardwise {
namespace {

// Recomputed nodes of a backward twin; forward and backward nodes have region 0.
constexpr int32_t kRecomputeRegion = 1;

// Joint block: the forward recomputed in full, then its backward. The backward twin is what is left
// of it when saved values become inputs.
struct Joint {
  Block block;
  size_t forward_nodes = 0;
  std::vector<ValueId> carry_cotangents, stack_cotangents;  // inputs, by carry / stacked output
  std::vector<ValueId> input_cotangents;                    // by original input, or kNoValue
};

Joint BuildJoint(const Block& block, std::vector<Block>& blocks) {
  BlockBuilder builder(block.name + "_joint");
  // Inputs and clones are added in the original's order of values, so value ids stay the same.
  std::vector<ValueId> map(block.types.size());
  for (const BlockInput& input : block.inputs) {
    map[input.value.v] = builder.Input(input, block.type(input.value));
  }
  builder.SetPhase(Phase::kRecompute);
  builder.SetRegion(kRecomputeRegion);
  for (const Node& node : block.nodes) {
    SW_CHECK(!node.is(OpKind::kCall), "block {} has a nested call", block.name);
    std::vector<ValueId> in;
    for (ValueId v : node.in) in.push_back(map[v.v]);
    const auto out = builder.Clone(node, block.TypesOf(node.out), in, block.scope(node));
    for (size_t i = 0; i < out.size(); ++i) map[node.out[i].v] = out[i];
  }
  Joint joint;
  joint.forward_nodes = block.nodes.size();
  Cotangents cotangents(builder, blocks);
  for (const BlockOutput& output : block.outputs) {
    const ValueId v = map[output.value.v];
    if (!IsFloat(builder.type(v).dtype)) continue;
    const ValueId cotangent = builder.Input("d_" + output.name, builder.type(v));
    (output.binding == Binding::kCarry ? joint.carry_cotangents : joint.stack_cotangents)
        .push_back(cotangent);
  }
  builder.SetPhase(Phase::kBackward);
  builder.SetRegion(0);
  size_t carry = 0, stack = 0;
  for (const BlockOutput& output : block.outputs) {
    const ValueId v = map[output.value.v];
    if (!IsFloat(builder.type(v).dtype)) continue;
    cotangents.Accumulate(v, output.binding == Binding::kCarry ? joint.carry_cotangents[carry++]
                                                               : joint.stack_cotangents[stack++]);
  }
  for (size_t n = joint.forward_nodes; n-- > 0;) {
    const Node& node = builder.block().nodes[n];
    cotangents.Pull(node, builder.block().scopes[node.scope]);
  }
  builder.SetScope("");
  for (const BlockInput& input : block.inputs) {
    const ValueId v = map[input.value.v];
    ValueId cotangent = kNoValue;
    if (IsFloat(builder.type(v).dtype)) {
      cotangent = input.binding == Binding::kCarry ? cotangents.GetOrZeros(v) : cotangents.Get(v);
    }
    joint.input_cotangents.push_back(cotangent);
  }
  joint.block = std::move(builder).Finish({});
  return joint;
}

class Splitter {
 public:
  Splitter(const Block& original, const RematPolicy& policy, std::vector<Block>& blocks)
      : original_(original), policy_(policy), joint_(BuildJoint(original, blocks)) {
    producers_ = Producers(joint_.block);
    input_index_.assign(joint_.block.types.size(), -1);
    for (size_t i = 0; i < original.inputs.size(); ++i) {
      input_index_[joint_.block.inputs[i].value.v] = static_cast<int>(i);
    }
    FindCarryDependent();
    FindLive();
    FindSavedNames();
  }

  Linearized Run() {
    for (size_t n = joint_.forward_nodes; n < joint_.block.nodes.size(); ++n) {
      if (!live_[n]) continue;
      for (ValueId v : joint_.block.nodes[n].in) Need(v);
    }
    for (ValueId v : joint_.input_cotangents) {
      if (v.valid()) Need(v);
    }
    CollectResiduals();
    MakeForward();
    MakeBackward();
    return std::move(result_);
  }

 private:
  void FindCarryDependent() {
    depends_.assign(joint_.block.types.size(), false);
    for (size_t i = 0; i < original_.inputs.size(); ++i) {
      if (original_.inputs[i].binding == Binding::kCarry) {
        depends_[joint_.block.inputs[i].value.v] = true;
      }
    }
    for (const Node& node : joint_.block.nodes) {
      const bool any =
          std::any_of(node.in.begin(), node.in.end(), [&](ValueId v) { return depends_[v.v]; });
      for (ValueId v : node.out) depends_[v.v] = any;
    }
  }

  // Backward nodes that reach an input cotangent.
  void FindLive() {
    live_.assign(joint_.block.nodes.size(), false);
    std::vector<bool> value(joint_.block.types.size(), false);
    for (ValueId v : joint_.input_cotangents) {
      if (v.valid()) value[v.v] = true;
    }
    for (size_t n = joint_.block.nodes.size(); n-- > joint_.forward_nodes;) {
      const Node& node = joint_.block.nodes[n];
      live_[n] =
          std::any_of(node.out.begin(), node.out.end(), [&](ValueId v) { return value[v.v]; });
      if (!live_[n]) continue;
      for (ValueId v : node.in) value[v.v] = true;
    }
  }

  // A checkpoint name is an identity: a value whose named alias is saved need not be recomputed.
  void FindSavedNames() {
    saved_alias_.resize(joint_.block.types.size());
    for (size_t v = 0; v < saved_alias_.size(); ++v) saved_alias_[v] = {static_cast<int32_t>(v)};
    for (size_t n = joint_.forward_nodes; n-- > 0;) {
      const Node& node = joint_.block.nodes[n];
      if (!node.is(OpKind::kName)) continue;
      const ValueId alias = saved_alias_[node.out[0].v];
      if (PlacementOf(alias) != SavedIn::kRemat) saved_alias_[node.in[0].v] = alias;
    }
  }

  // Placement of a forward value that the backward wants; kRemat: recompute it.
  SavedIn PlacementOf(ValueId v) const {
    const int input = input_index_[v.v];
    if (input >= 0) {
      return policy_.carry == SavedIn::kOffload ? SavedIn::kOffload : SavedIn::kDevice;
    }
    const Node& node = joint_.block.nodes[producers_[v.v]];
    if (node.is(OpKind::kName)) {
      const auto it = policy_.names.find(NameOf(node));
      if (it != policy_.names.end()) return it->second;
    }
    return policy_.save_everything && depends_[v.v] ? SavedIn::kDevice : SavedIn::kRemat;
  }

  static const std::string& NameOf(const Node& name_node) {
    return name_node.attrs.As<CheckpointNameAttrs>().name;
  }

  bool IsForward(ValueId v) const {
    return input_index_[v.v] >= 0 ||
           (producers_[v.v] >= 0 && producers_[v.v] < static_cast<int>(joint_.forward_nodes));
  }

  // Marks what it takes to have `v` in the backward twin.
  void Need(ValueId v) {
    v = saved_alias_[v.v];
    if (!IsForward(v) || needed_.count(v.v) > 0) return;
    const int input = input_index_[v.v];
    if (input >= 0 && original_.inputs[input].binding != Binding::kCarry) {
      needed_[v.v] = SavedIn::kDevice;  // read again from its operand
      return;
    }
    const SavedIn placement = PlacementOf(v);
    needed_[v.v] = placement;
    if (placement != SavedIn::kRemat) return;
    for (ValueId operand : joint_.block.nodes[producers_[v.v]].in) Need(operand);
  }

  void CollectResiduals() {
    for (auto [id, placement] : needed_) {
      const int input = input_index_[id];
      const bool reread = input >= 0 && original_.inputs[input].binding != Binding::kCarry;
      if (reread || placement == SavedIn::kRemat) continue;
      std::string name;
      if (input >= 0) {
        name = "decoder_layer_input";
      } else if (const Node& node = joint_.block.nodes[producers_[id]]; node.is(OpKind::kName)) {
        name = NameOf(node);
      } else {
        name = fmt::format("{}.{}", joint_.block.scope(node), node.op->name);
      }
      result_.residuals.push_back({OriginalValue(ValueId{id}), placement, name});
      residual_of_[id] = static_cast<int>(result_.residuals.size()) - 1;
    }
  }

  // The joint block repeats the original's nodes in order, so positions correspond.
  ValueId OriginalValue(ValueId v) const {
    const int input = input_index_[v.v];
    if (input >= 0) return original_.inputs[input].value;
    const int n = producers_[v.v];
    const auto& out = joint_.block.nodes[n].out;
    return original_.nodes[n].out[std::find(out.begin(), out.end(), v) - out.begin()];
  }

  void MakeForward() {
    BlockBuilder builder(original_.name + "_fwd");
    std::vector<ValueId> map(original_.types.size());
    for (const BlockInput& input : original_.inputs) {
      map[input.value.v] = builder.Input(input, original_.type(input.value));
    }
    for (const Node& node : original_.nodes) {
      std::vector<ValueId> in;
      for (ValueId v : node.in) in.push_back(map[v.v]);
      const auto out = builder.Clone(node, original_.TypesOf(node.out), in, original_.scope(node));
      for (size_t i = 0; i < out.size(); ++i) map[node.out[i].v] = out[i];
    }
    std::vector<BlockOutput> outputs = original_.outputs;
    for (BlockOutput& output : outputs) output.value = map[output.value.v];
    builder.SetScope("residuals");
    for (const Linearized::Residual& residual : result_.residuals) {
      BlockOutput output;
      output.value = map[residual.value.v];
      output.name = residual.name;
      output.binding = Binding::kSlice;
      if (residual.placement == SavedIn::kOffload) {
        output.value = builder.Add1("to_host", Attrs(), {output.value});
        output.space = MemorySpace::kHost;
      }
      outputs.push_back(std::move(output));
    }
    result_.forward = std::move(builder).Finish(std::move(outputs));
  }

  void MakeBackward() {
    BlockBuilder builder(original_.name + "_bwd");
    map_.assign(joint_.block.types.size(), kNoValue);
    AddInputs(builder);
    for (size_t n = joint_.forward_nodes; n < joint_.block.nodes.size(); ++n) {
      if (live_[n]) Emit(builder, n);
    }
    result_.backward = FinishBackward(builder);
  }

  void AddInput(BlockBuilder& builder, ValueId v, BlockInput input, Linearized::Source source,
                int index) {
    map_[v.v] = builder.Input(std::move(input), joint_.block.type(v));
    result_.backward_inputs.push_back({source, index});
  }

  void AddInputs(BlockBuilder& builder) {
    using Source = Linearized::Source;
    for (size_t k = 0; k < joint_.carry_cotangents.size(); ++k) {
      BlockInput input;
      input.name = fmt::format("d_carry{}", k);
      input.binding = Binding::kCarry;
      AddInput(builder, joint_.carry_cotangents[k], input, Source::kCarryCotangent, k);
    }
    size_t stacked = 0;
    for (const BlockOutput& output : original_.outputs) {
      if (output.binding != Binding::kSlice || !IsFloat(original_.type(output.value).dtype))
        continue;
      BlockInput input;
      input.name = "d_" + output.name;
      input.binding = Binding::kSlice;
      input.stack_axis = output.stack_axis;
      AddInput(builder, joint_.stack_cotangents[stacked], input, Source::kStackCotangent, stacked);
      ++stacked;
    }
    for (size_t i = 0; i < original_.inputs.size(); ++i) {
      const BlockInput& in = original_.inputs[i];
      if (in.binding != Binding::kInvariant || !joint_.input_cotangents[i].valid()) continue;
      BlockInput input = in;
      input.name = "d_" + in.name;
      input.binding = Binding::kCarry;
      accumulators_[i] = builder.Input(std::move(input), original_.type(in.value));
      result_.backward_inputs.push_back({Source::kAccumulator, static_cast<int>(i)});
    }
    for (auto [id, residual] : residual_of_) {
      BlockInput input;
      input.name = result_.residuals[residual].name;
      input.binding = Binding::kSlice;
      input.role = Role::kResidual;
      if (result_.residuals[residual].placement == SavedIn::kOffload) {
        input.space = MemorySpace::kHost;
      }
      AddInput(builder, ValueId{id}, std::move(input), Source::kResidual, residual);
    }
    for (auto [id, placement] : needed_) {
      const int i = input_index_[id];
      if (i < 0 || original_.inputs[i].binding == Binding::kCarry) continue;
      AddInput(builder, ValueId{id}, original_.inputs[i], Source::kInput, i);
    }
  }

  // The value in the backward twin that stands for `v`; adds recomputation where it is first used.
  ValueId Materialize(BlockBuilder& builder, ValueId v) {
    v = saved_alias_[v.v];
    const auto residual = residual_of_.find(v.v);
    if (residual != residual_of_.end() && !fetched_[v.v] &&
        result_.residuals[residual->second].placement == SavedIn::kOffload) {
      builder.SetPhase(Phase::kBackward);
      builder.SetScope("residuals");
      map_[v.v] = builder.Add1("to_device", Attrs(), {map_[v.v]});
      fetched_[v.v] = true;
    }
    if (!map_[v.v].valid()) Emit(builder, producers_[v.v]);
    return map_[v.v];
  }

  void Emit(BlockBuilder& builder, size_t n) {
    const Node& node = joint_.block.nodes[n];
    std::vector<ValueId> in;
    for (ValueId v : node.in) in.push_back(Materialize(builder, v));
    builder.SetPhase(node.phase);
    builder.SetRegion(node.region);
    const auto out =
        builder.Clone(node, joint_.block.TypesOf(node.out), in, joint_.block.scope(node));
    for (size_t i = 0; i < out.size(); ++i) {
      if (!map_[node.out[i].v].valid()) map_[node.out[i].v] = out[i];
    }
    builder.SetRegion(0);
  }

  Block FinishBackward(BlockBuilder& builder) {
    std::vector<BlockOutput> carries, accumulators, stacked;
    std::vector<int> carry_of, accumulator_of, stacked_of;
    builder.SetPhase(Phase::kBackward);
    for (size_t i = 0; i < original_.inputs.size(); ++i) {
      if (!joint_.input_cotangents[i].valid()) continue;
      const BlockInput& in = original_.inputs[i];
      BlockOutput output;
      output.name = "d_" + in.name;
      output.value = Materialize(builder, joint_.input_cotangents[i]);
      output.logical_axes = in.logical_axes;
      if (in.binding == Binding::kCarry) {
        carries.push_back(output);
        carry_of.push_back(static_cast<int>(i));
      } else if (in.binding == Binding::kInvariant) {
        builder.SetScope("accumulate");
        output.value = builder.Add1("add", Attrs(), {accumulators_[i], output.value});
        accumulators.push_back(output);
        accumulator_of.push_back(static_cast<int>(i));
      } else {
        output.binding = Binding::kSlice;
        output.stack_axis = in.stack_axis;
        stacked.push_back(output);
        stacked_of.push_back(static_cast<int>(i));
      }
    }
    for (const auto& list : {carry_of, accumulator_of, stacked_of}) {
      result_.backward_outputs.insert(result_.backward_outputs.end(), list.begin(), list.end());
    }
    carries.insert(carries.end(), accumulators.begin(), accumulators.end());
    carries.insert(carries.end(), stacked.begin(), stacked.end());
    return std::move(builder).Finish(std::move(carries));
  }

  const Block& original_;
  const RematPolicy& policy_;
  Joint joint_;
  Linearized result_;
  std::vector<int> producers_, input_index_;
  std::vector<bool> depends_, live_;
  std::vector<ValueId> saved_alias_;     // joint value -> the value that stands for it
  std::map<int32_t, SavedIn> needed_;    // forward values the backward uses, by joint value
  std::map<int32_t, int> residual_of_;   // joint value -> residual
  std::map<int, ValueId> accumulators_;  // original input -> carry input of the backward
  std::map<int32_t, bool> fetched_;
  std::vector<ValueId> map_;  // joint value -> backward value
};

}  // namespace

Linearized Linearize(const Block& block, const RematPolicy& policy, std::vector<Block>& blocks) {
  return Splitter(block, policy, blocks).Run();
}

}  // namespace shardwise
