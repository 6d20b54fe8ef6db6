#include <string>

#include "model/ir/builder.h"
#include "model/ir/passes.h"
#include "model/ir/structural_attrs.h"
#include "model/ir/verify.h"

namespace shardwise {
namespace {

class Unroller {
 public:
  explicit Unroller(const Program& program) : program_(program), builder_(program.entry().name) {}

  Program Run() {
    const Block& entry = program_.entry();
    std::vector<ValueId> map(entry.types.size());
    for (const BlockInput& input : entry.inputs) {
      map[input.value.v] = builder_.Input(input, entry.type(input.value));
    }
    Inline(entry, map, "");
    std::vector<BlockOutput> outputs = entry.outputs;
    for (BlockOutput& output : outputs) output.value = map[output.value.v];
    Block flat = std::move(builder_).Finish(std::move(outputs));
    flat.donated = entry.donated;
    Program result;
    for (const Block& block : program_.blocks) {
      if (IsManualRegion(block)) result.blocks.push_back(block);
    }
    result.blocks.push_back(std::move(flat));
    return result;
  }

 private:
  bool IsManualRegion(const Block& region) const {
    for (const Block& block : program_.blocks) {
      for (const Node& node : block.nodes) {
        if (node.is(OpKind::kManual) && node.attrs.As<ManualAttrs>().block == region.name) {
          return true;
        }
      }
    }
    return false;
  }

  void Inline(const Block& block, std::vector<ValueId>& map, const std::string& prefix) {
    for (const Node& node : block.nodes) {
      std::vector<ValueId> in;
      for (ValueId v : node.in) in.push_back(map[v.v]);
      const std::string scope = prefix + block.scope(node);
      std::vector<ValueId> out;
      if (node.is(OpKind::kCall)) {
        out = Iterate(node, in, scope);
      } else {
        SetContext(node);
        out = builder_.Clone(node, block.TypesOf(node.out), in, scope);
      }
      for (size_t i = 0; i < out.size(); ++i) map[node.out[i].v] = out[i];
    }
  }

  void SetContext(const Node& node) {
    builder_.SetPhase(node.phase);
    builder_.SetRegion(node.region);
  }

  std::vector<ValueId> Iterate(const Node& call, const std::vector<ValueId>& operands,
                               const std::string& scope) {
    const CallAttrs& attrs = call.attrs.As<CallAttrs>();
    const Block& block = program_.Get(attrs.block);
    std::vector<ValueId> carries;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (block.inputs[i].binding == Binding::kCarry) carries.push_back(operands[i]);
    }
    // Slices of each stacked result, by iteration index.
    std::vector<std::vector<ValueId>> slices(block.outputs.size(),
                                             std::vector<ValueId>(attrs.trips));
    for (int64_t step = 0; step < attrs.trips; ++step) {
      const int64_t index = attrs.reverse ? attrs.trips - 1 - step : step;
      Boundary(call);
      std::vector<ValueId> map = BindInputs(call, block, operands, carries, index);
      const std::string prefix = scope + "[" + std::to_string(index) + "]/";
      Inline(block, map, prefix);
      size_t carry = 0;
      for (size_t o = 0; o < block.outputs.size(); ++o) {
        const ValueId value = map[block.outputs[o].value.v];
        if (block.outputs[o].binding == Binding::kCarry) {
          carries[carry++] = value;
        } else {
          slices[o][index] = value;
        }
      }
    }
    Boundary(call);
    return CollectResults(call, block, carries, slices);
  }

  void Boundary(const Node& call) {
    SetContext(call);
    builder_.SetScope("");
    builder_.Add("loop_boundary", Attrs(), {});
  }

  std::vector<ValueId> BindInputs(const Node& call, const Block& block,
                                  const std::vector<ValueId>& operands,
                                  const std::vector<ValueId>& carries, int64_t index) {
    SetContext(call);
    std::vector<ValueId> map(block.types.size());
    size_t carry = 0;
    for (size_t i = 0; i < operands.size(); ++i) {
      const BlockInput& input = block.inputs[i];
      ValueId value = operands[i];
      if (input.binding == Binding::kCarry) value = carries[carry++];
      if (input.binding == Binding::kSlice) {
        value = builder_.Add1("stack_slice", StackSliceAttrs{input.stack_axis, index}, {value});
      }
      map[input.value.v] = value;
    }
    return map;
  }

  std::vector<ValueId> CollectResults(const Node& call, const Block& block,
                                      const std::vector<ValueId>& carries,
                                      const std::vector<std::vector<ValueId>>& slices) {
    SetContext(call);
    std::vector<ValueId> results;
    size_t carry = 0;
    for (size_t o = 0; o < block.outputs.size(); ++o) {
      const BlockOutput& output = block.outputs[o];
      if (output.binding == Binding::kCarry) {
        results.push_back(carries[carry++]);
      } else {
        const Attrs attrs(StackAttrs{output.stack_axis});
        results.push_back(builder_.Add(FindOp("stack"), attrs, slices[o])[0]);
      }
    }
    return results;
  }

  const Program& program_;
  BlockBuilder builder_;
};

}  // namespace

Program Unroll(const Program& program) {
  Program result = Unroller(program).Run();
  CheckVerified(result, "unrolling");
  return result;
}

}  // namespace shardwise
