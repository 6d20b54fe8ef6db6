// For tests: a small training step in local types. Layers of two products with gathered weights,
// differentiated, with an update.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/ir/autodiff.h"
#include "model/ir/builder.h"
#include "model/ir/verify.h"
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "sim/mesh/partition.h"

namespace shardwise::testing {

struct SmallStepOptions {
  int64_t layers = 4;
  int64_t rows = 4096;  // of a device
  int64_t width = 1024;
  int64_t devices = 8;       // mesh axis fsdp
  bool save_hidden = false;  // the product between the layers' two weights is kept, not recomputed
  bool offload = false;      // the layer input waits in host memory
};

// x -> x + silu(norm(x) w0) w1, with w0 and w1 gathered from shards.
inline Block SmallLayer(const SmallStepOptions& o) {
  BlockBuilder b("layer");
  const std::vector<std::string> fsdp = {"fsdp"};
  const ValueId x = b.Input("x", {{o.rows, o.width}, DType::kBF16}, Binding::kCarry);
  auto parameter = [&](std::string name, Dims dims) {
    BlockInput input;
    input.name = std::move(name);
    input.binding = Binding::kSlice;
    input.role = Role::kParameter;
    return Convert(b, b.Input(input, {std::move(dims), DType::kF32}), DType::kBF16);
  };
  auto weight = [&](const char* name) {
    return AllGather(b, parameter(name, {o.width / o.devices, o.width}), fsdp, o.devices, 0);
  };
  const ValueId w0 = weight("w0"), w1 = weight("w1"), scale = parameter("scale", {o.width});
  const ValueId hidden =
      CheckpointName(b, Einsum(b, "bk,kn->bn", RmsNorm(b, x, scale, 1e-5), w0), "hidden");
  BlockOutput output;
  output.value = Add(b, x, Einsum(b, "bk,kn->bn", Silu(b, hidden), w1));
  output.name = "y";
  return std::move(b).Finish({output});
}

inline SpmdProgram SmallStep(const SmallStepOptions& o) {
  RematPolicy policy;
  if (o.save_hidden) policy.names["hidden"] = SavedIn::kDevice;
  if (o.offload) policy.carry = SavedIn::kOffload;
  BlockBuilder b("step");
  std::vector<Block> blocks = {SmallLayer(o)};
  BlockInput batch;
  batch.name = "batch";
  batch.role = Role::kBatch;
  const ValueId x = b.Input(batch, {{o.rows, o.width}, DType::kBF16});
  std::vector<ValueId> weights;
  for (const char* name : {"w0", "w1", "scale"}) {
    BlockInput input;
    input.name = name;
    input.role = Role::kParameter;
    Dims dims = {o.layers, o.width / o.devices, o.width};
    if (input.name == "scale") dims = {o.layers, o.width};
    weights.push_back(b.Input(input, {std::move(dims), DType::kF32}));
  }
  const std::vector<ValueId> operands = {x, weights[0], weights[1], weights[2]};
  const ValueId y = b.Call(blocks[0], o.layers, false, operands)[0];
  const ValueId loss = ReduceSum(b, Convert(b, y, DType::kF32), {0, 1});
  const auto gradients = AppendBackward(b, blocks, loss, weights, {{"layer", policy}});
  b.SetPhase(Phase::kOptimizer);
  std::vector<BlockOutput> outputs(1);
  outputs[0].value = loss;
  outputs[0].name = "loss";
  for (size_t i = 0; i < weights.size(); ++i) {
    BlockOutput output;
    output.value = Sub(b, weights[i], Scale(b, gradients[i], 1e-3));
    output.name = b.block().inputs[i + 1].name;
    outputs.push_back(output);
  }
  Block entry = std::move(b).Finish(std::move(outputs));
  entry.donated = {{1, 1}, {2, 2}, {3, 3}};
  blocks.push_back(std::move(entry));
  SpmdProgram spmd;
  spmd.program.blocks = std::move(blocks);
  spmd.mesh.axes = {{"fsdp", o.devices, 1}};
  CheckVerified(spmd.program, "building the small step");
  return spmd;
}

}  // namespace shardwise::testing
