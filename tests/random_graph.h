// Random programs over the registry: f64 graphs of a dozen ops, with a loop at times, whose
// dimensions mostly divide by 2 and 4, with sharding wishes at random places.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/ir/autodiff.h"
#include "model/ir/verify.h"
#include "tests/block_grower.h"
#include "tests/numerics.h"

namespace shardwise {

struct RandomProgram {
  Program program;
  std::vector<Tensor> inputs;
  LogicalAxisRules rules;
};

// Logical names "l0" ... "l4", each on up to two mesh axes, some with a second rule to fall back
// on.
inline LogicalAxisRules DrawRules(Draw& draw, const Mesh& mesh) {
  LogicalAxisRules rules;
  for (int pass = 0; pass < 2; ++pass) {
    for (int name = 0; name < 5; ++name) {
      if (pass == 1 && draw.Chance(0.7)) continue;
      std::vector<std::string> axes;
      for (const MeshAxis& axis : mesh.axes) {
        if (draw.Chance(0.5)) axes.push_back(axis.name);
      }
      if (draw.Chance(0.5)) std::reverse(axes.begin(), axes.end());
      rules.emplace_back("l" + std::to_string(name), axes);
    }
  }
  return rules;
}

inline BlockOutput NamedOutput(ValueId value, std::string name,
                               std::vector<std::string> logical = {}) {
  return {value, std::move(name), Binding::kCarry, 0, MemorySpace::kDevice, std::move(logical)};
}

inline RematPolicy DrawPolicy(Draw& draw) {
  RematPolicy policy;
  policy.save_everything = draw.Chance(0.25);
  for (int n = 0; n < 3; ++n) {
    const std::vector<SavedIn> placements = {SavedIn::kRemat, SavedIn::kDevice, SavedIn::kOffload};
    if (draw.Chance(0.6)) policy.names["name" + std::to_string(n)] = draw.Of(placements);
  }
  if (draw.Chance(0.3)) policy.carry = SavedIn::kOffload;
  return policy;
}

// A loop body: carry, slices and invariants in, carry and at times a stacked value out.
inline Block GrowBody(Draw& draw, const TensorType& carry, const std::string& name,
                      std::vector<BlockGrower::Wanted>& wanted) {
  BlockGrower body(name, draw);
  body.EnterBody();
  body.pool().push_back(body.Input(carry, Binding::kCarry));
  body.AddIds(draw.Chance(0.5) ? Binding::kSlice : Binding::kInvariant);
  const int64_t floats = 2 + draw.Below(3);
  for (int64_t i = 0; i < floats; ++i) {
    const int rank = static_cast<int>(1 + draw.Below(3));
    body.pool().push_back(body.Float(draw.Chance(0.4) ? carry.dims : body.DrawDims(rank)));
  }
  const int64_t steps = 2 + draw.Below(6);
  for (int64_t i = 0; i < steps; ++i) body.Grow();
  BlockBuilder& b = body.builder();
  const ValueId next = Add(b, Scale(b, body.pool()[0], 0.5), Sin(b, body.Like(carry.dims)));
  std::vector<BlockOutput> outputs = {NamedOutput(next, "carry")};
  if (draw.Chance(0.6)) {
    BlockOutput stacked = NamedOutput(draw.Of(body.pool()), "stacked");
    stacked.binding = Binding::kSlice;
    stacked.stack_axis = draw.Below(b.type(stacked.value).rank() + 1);
    outputs.push_back(stacked);
  }
  wanted = body.wanted();
  return std::move(b).Finish(std::move(outputs));
}

// Adds a call of a random body to the entry block and its results to the pool.
inline void GrowCall(Draw& draw, BlockGrower& entry, std::vector<Block>& blocks,
                     std::map<std::string, RematPolicy>& policies) {
  const ValueId start = draw.Of(entry.pool());
  const int64_t trips = 1 + draw.Below(3);
  std::vector<BlockGrower::Wanted> wanted;
  const std::string name = "body" + std::to_string(blocks.size());
  const Block body = GrowBody(draw, entry.builder().type(start), name, wanted);
  std::vector<ValueId> operands;
  for (size_t i = 0; i < body.inputs.size(); ++i) {
    const BlockInput& input = body.inputs[i];
    TensorType type = body.type(input.value);
    if (input.binding == Binding::kCarry) {
      operands.push_back(start);
      continue;
    }
    if (input.binding == Binding::kSlice) type = StackedType(type, input.stack_axis, trips);
    if (IsFloat(type.dtype) && draw.Chance(0.3)) {
      operands.push_back(entry.Like(type.dims));
    } else {
      operands.push_back(entry.Input(type, Binding::kInvariant, wanted[i].bound));
    }
  }
  for (ValueId v : entry.builder().Call(body, trips, draw.Chance(0.3), operands)) {
    if (entry.builder().type(v).elements() <= 2048) entry.pool().push_back(v);
  }
  policies[name] = DrawPolicy(draw);
  blocks.push_back(body);
}

// Loss, a few values of the graph, and the gradients by all float inputs.
inline RandomProgram DrawProgram(Draw& draw, const Mesh& mesh, bool with_call) {
  BlockGrower entry("entry", draw);
  std::vector<Block> blocks;
  std::map<std::string, RematPolicy> policies;
  entry.AddIds(Binding::kInvariant);
  for (int64_t i = 1 + draw.Below(3); i > 0; --i) {
    entry.pool().push_back(entry.Float(entry.DrawDims(static_cast<int>(1 + draw.Below(4)))));
  }
  const int64_t steps = 3 + draw.Below(8), call_at = with_call ? draw.Below(steps) : -1;
  for (int64_t i = 0; i < steps; ++i) {
    entry.Grow();
    if (i == call_at) GrowCall(draw, entry, blocks, policies);
  }
  BlockBuilder& b = entry.builder();
  std::vector<BlockOutput> outputs;
  ValueId loss = entry.Total(entry.pool().back());
  for (int k = 0; k < 3; ++k) {
    const ValueId v = draw.Of(entry.pool());
    outputs.push_back(
        NamedOutput(v, "value" + std::to_string(k), DrawNames(draw, b.type(v).rank())));
    loss = Add(b, loss, entry.Total(Sin(b, v)));
  }
  std::vector<ValueId> wrt;
  std::vector<std::vector<std::string>> logical;
  for (const BlockInput& input : b.block().inputs) {
    if (!IsFloat(b.type(input.value).dtype)) continue;
    wrt.push_back(input.value);
    logical.push_back(draw.Chance(0.7) ? input.logical_axes : std::vector<std::string>{});
  }
  const std::vector<ValueId> grads = AppendBackward(b, blocks, loss, wrt, policies);
  outputs.push_back(NamedOutput(loss, "loss"));
  for (size_t i = 0; i < grads.size(); ++i) {
    outputs.push_back(NamedOutput(grads[i], "d_in" + std::to_string(i), logical[i]));
  }
  RandomProgram random;
  for (const BlockGrower::Wanted& w : entry.wanted()) {
    random.inputs.push_back(draw.Values(w.type, w.bound));
  }
  random.program.blocks = std::move(blocks);
  random.program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  random.rules = DrawRules(draw, mesh);
  CheckVerified(random.program, "drawing a program");
  return random;
}

}  // namespace shardwise
