#include "sim/exec/execute.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "kernels/base/check.h"
#include "sim/exec/interpreter.h"

namespace shardwise {
namespace {

std::vector<Values> CutInputs(const SpmdProgram& spmd, const std::vector<Tensor>& inputs) {
  std::vector<Values> local(spmd.mesh.devices());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& global = spmd.global_inputs[i];
    SW_CHECK(inputs[i].type() == global, "input {} is {}, not {}", i, inputs[i].type().ToText(),
             global.ToText());
    const Sharding& sharding = spmd.input_shardings[i];
    for (int64_t d = 0; d < spmd.mesh.devices(); ++d) {
      auto shard = std::make_shared<Tensor>(LocalType(global, sharding, spmd.mesh));
      CopyBoxOut(inputs[i], ShardStart(global, sharding, spmd.mesh, d), *shard);
      local[d].push_back(std::move(shard));
    }
  }
  return local;
}

// Joins the shards of output `o`; the first device that holds a shard supplies it.
Tensor JoinShards(const SpmdProgram& spmd, size_t o, const std::vector<Values>& results) {
  const TensorType& global = spmd.global_outputs[o];
  const Sharding& sharding = spmd.output_shardings[o];
  Tensor joined(global);
  std::vector<std::pair<Dims, int64_t>> holders;  // shard start, device
  for (int64_t d = 0; d < spmd.mesh.devices(); ++d) {
    const Tensor& shard = *results[d][o];
    SW_CHECK(shard.type() == LocalType(global, sharding, spmd.mesh), "output {} is {} of {} {}", o,
             shard.type().ToText(), global.ToText(), sharding.ToText(spmd.mesh));
    const Dims start = ShardStart(global, sharding, spmd.mesh, d);
    bool seen = false;
    for (const auto& [other_start, other] : holders) {
      if (other_start != start) continue;
      seen = true;
      SW_CHECK(shard == *results[other][o], "devices {} and {} differ in output {} ('{}') {} of {}",
               other, d, o, spmd.program.entry().outputs[o].name, sharding.ToText(spmd.mesh),
               global.ToText());
    }
    if (seen) continue;
    holders.emplace_back(start, d);
    CopyBoxIn(shard, start, joined);
  }
  return joined;
}

}  // namespace

std::vector<Tensor> RunProgram(const Program& program, std::vector<Tensor> inputs) {
  const Mesh one_device;
  std::vector<Values> values(1);
  for (Tensor& input : inputs) {
    values[0].push_back(std::make_shared<const Tensor>(std::move(input)));
  }
  const std::vector<Values> results = Interpreter(program, one_device).Run(std::move(values));
  std::vector<Tensor> outputs;
  for (const Value& value : results[0]) outputs.push_back(*value);
  return outputs;
}

std::vector<Tensor> RunSharded(const SpmdProgram& spmd, const std::vector<Tensor>& inputs) {
  SW_CHECK(inputs.size() == spmd.global_inputs.size(), "{} inputs for {}", inputs.size(),
           spmd.global_inputs.size());
  const std::vector<Values> results =
      Interpreter(spmd.program, spmd.mesh).Run(CutInputs(spmd, inputs));
  std::vector<Tensor> outputs;
  for (size_t o = 0; o < spmd.global_outputs.size(); ++o) {
    outputs.push_back(JoinShards(spmd, o, results));
  }
  return outputs;
}

}  // namespace shardwise
