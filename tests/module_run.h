// Runs a piece of a model on given values: forward, and the gradients of sum(output * cotangent)
// with respect to every float input. Manual regions are inlined for one device.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/tensor.h"
#include "model/ir/autodiff.h"
#include "model/ir/builder.h"
#include "model/ops/builders.h"
#include "sim/exec/execute.h"
#include "sim/mesh/partition.h"

namespace shardwise {

inline Tensor TensorOf(const TensorType& type, const std::vector<double>& values) {
  Tensor tensor(type);
  SW_CHECK(tensor.elements() == static_cast<int64_t>(values.size()), "{} values for {}",
           values.size(), type.ToText());
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.Set(i, values[i]);
  return tensor;
}

// The program on a mesh of one device, without manual regions.
inline Program Inlined(const Program& program) {
  StatusOr<SpmdProgram> spmd = Partition(program, Mesh{}, {});
  SW_CHECK(spmd.ok(), "{}", Message(spmd.status()));
  return std::move(spmd->program);
}

class ModuleRun {
 public:
  ModuleRun() : builder_("module") {}

  BlockBuilder& builder() { return builder_; }
  std::vector<Block>& blocks() { return blocks_; }

  ValueId Input(const std::string& name, Tensor value) {
    const ValueId v = builder_.Input(name, value.type());
    inputs_.emplace_back(name, v);
    values_.push_back(std::move(value));
    return v;
  }
  void Output(const std::string& name, ValueId v) { outputs_.emplace_back(name, v); }
  // Adds sum(v * cotangent) to the loss.
  void Cotangent(ValueId v, Tensor cotangent) {
    const ValueId c = builder_.Input("cotangent", cotangent.type());
    values_.push_back(std::move(cotangent));
    std::vector<int64_t> axes(builder_.type(v).dims.size());
    for (size_t d = 0; d < axes.size(); ++d) axes[d] = static_cast<int64_t>(d);
    AddLoss(axes.empty() ? Mul(builder_, v, c) : ReduceSum(builder_, Mul(builder_, v, c), axes));
  }
  void AddLoss(ValueId scalar) { loss_ = loss_.valid() ? Add(builder_, loss_, scalar) : scalar; }

  // Outputs by name, "loss", and "grad.<input>" of float inputs.
  std::map<std::string, Tensor> Run(const std::map<std::string, RematPolicy>& policies = {}) && {
    if (loss_.valid()) {
      Output("loss", loss_);
      std::vector<ValueId> wrt;
      std::vector<std::string> names;
      for (const auto& [name, v] : inputs_) {
        if (!IsFloat(builder_.type(v).dtype)) continue;
        wrt.push_back(v);
        names.push_back("grad." + name);
      }
      const std::vector<ValueId> grads = AppendBackward(builder_, blocks_, loss_, wrt, policies);
      for (size_t i = 0; i < grads.size(); ++i) Output(names[i], grads[i]);
    }
    std::vector<BlockOutput> outputs;
    for (const auto& [name, v] : outputs_) {
      BlockOutput output;
      output.name = name;
      output.value = v;
      outputs.push_back(std::move(output));
    }
    blocks_.push_back(std::move(builder_).Finish(std::move(outputs)));
    const std::vector<Tensor> results =
        RunProgram(Inlined(Program{std::move(blocks_)}), std::move(values_));
    std::map<std::string, Tensor> named;
    for (size_t o = 0; o < results.size(); ++o) named.emplace(outputs_[o].first, results[o]);
    return named;
  }

 private:
  BlockBuilder builder_;
  std::vector<Block> blocks_;
  std::vector<std::pair<std::string, ValueId>> inputs_, outputs_;
  std::vector<Tensor> values_;
  ValueId loss_;
};

}  // namespace shardwise
