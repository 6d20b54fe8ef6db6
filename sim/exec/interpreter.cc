#include "sim/exec/interpreter.h"

#include <utility>

#include "kernels/base/check.h"
#include "model/ops/run_op.h"
#include "sim/exec/collectives.h"
#include "sim/exec/parts.h"

namespace shardwise {
namespace {

// Arithmetic operations or bytes of one device, about a millisecond's worth: below, waking threads
// and their waiting for each other costs more than it saves, many times over on a busy host.
constexpr int64_t kParallelWork = 1 << 20;

// Identities, whatever they mean to the scheduler or the partitioner.
bool IsIdentity(const Node& node) {
  return node.is(OpKind::kName) || node.is(OpKind::kConstraint) || node.is(OpKind::kBarrier) ||
         node.is(OpKind::kTransfer) || node.op->name == "pvary";
}

int64_t WorkOfNode(const Block& block, const Node& node) {
  if (!node.is(OpKind::kCompute)) return 0;
  const auto in = block.TypesOf(node.in), out = block.TypesOf(node.out);
  int64_t work = 0;
  for (const TensorType& type : in) work += type.bytes();
  for (const TensorType& type : out) work += type.bytes();
  if (node.op->cost != nullptr) work += node.op->cost(node.attrs, in, out).total();
  return work;
}

// How the inputs of a called block come from the operands of the call on one device.
class CallFrame {
 public:
  CallFrame(const Block& callee, const Block& caller, const Node& node, const Values& env)
      : callee_(callee) {
    for (size_t i = 0; i < node.in.size(); ++i) {
      operands_.push_back(env[node.in[i].v]);
      if (callee.inputs[i].binding != Binding::kCarry) continue;
      carries_.push_back(std::move(operands_.back()));
    }
    for (size_t o = 0; o < node.out.size(); ++o) {
      const bool stacked = callee.outputs[o].binding == Binding::kSlice;
      stacks_.push_back(stacked ? std::make_shared<Tensor>(caller.type(node.out[o])) : nullptr);
    }
  }

  // Operands of iteration `index`; the carries leave the frame.
  Values Enter(int64_t index) {
    Values inputs;
    size_t carry = 0;
    for (size_t i = 0; i < operands_.size(); ++i) {
      const BlockInput& input = callee_.inputs[i];
      if (input.binding == Binding::kCarry) {
        inputs.push_back(std::move(carries_[carry++]));
      } else if (input.binding == Binding::kInvariant) {
        inputs.push_back(operands_[i]);
      } else {
        const Tensor& stacked = *operands_[i];
        auto slice = std::make_shared<Tensor>(callee_.type(input.value));
        ReadPart(PartsOfStack(stacked.type(), input.stack_axis), index, stacked.data(),
                 slice->data());
        inputs.push_back(std::move(slice));
      }
    }
    return inputs;
  }

  void Leave(int64_t index, Values outputs) {
    size_t carry = 0;
    for (size_t o = 0; o < outputs.size(); ++o) {
      const BlockOutput& output = callee_.outputs[o];
      if (output.binding == Binding::kCarry) {
        carries_[carry++] = std::move(outputs[o]);
      } else {
        Tensor& stacked = *stacks_[o];
        WritePart(PartsOfStack(stacked.type(), output.stack_axis), index, outputs[o]->data(),
                  stacked.data());
      }
    }
  }

  void Return(const Node& node, Values& env) {
    size_t carry = 0;
    for (size_t o = 0; o < node.out.size(); ++o) {
      const bool stacked = callee_.outputs[o].binding == Binding::kSlice;
      env[node.out[o].v] = stacked ? Value(std::move(stacks_[o])) : std::move(carries_[carry++]);
    }
  }

 private:
  const Block& callee_;
  Values operands_;  // null at carries
  Values carries_;
  std::vector<std::shared_ptr<Tensor>> stacks_;  // by output; null at carries
};

}  // namespace

Interpreter::Interpreter(const Program& program, const Mesh& mesh)
    : program_(program), mesh_(mesh), devices_(mesh.devices()) {
  for (const Block& block : program.blocks) plans_.push_back(PlanOf(block));
}

Interpreter::Plan Interpreter::PlanOf(const Block& block) {
  constexpr int kNever = -1;
  const int end = static_cast<int>(block.nodes.size());
  std::vector<int> last_use(block.types.size(), kNever);
  Plan plan;
  plan.dies_after.resize(block.nodes.size());
  for (int n = 0; n < end; ++n) {
    for (ValueId v : block.nodes[n].in) last_use[v.v] = n;
    for (ValueId v : block.nodes[n].out) last_use[v.v] = n;
    plan.parallel.push_back(WorkOfNode(block, block.nodes[n]) >= kParallelWork);
  }
  for (const BlockOutput& output : block.outputs) last_use[output.value.v] = end;
  for (size_t v = 0; v < last_use.size(); ++v) {
    const ValueId value{static_cast<int32_t>(v)};
    if (last_use[v] == kNever) {
      plan.never_read.push_back(value);
    } else if (last_use[v] < end) {
      plan.dies_after[last_use[v]].push_back(value);
    }
  }
  return plan;
}

template <class Fn>
void Interpreter::ForEachDevice([[maybe_unused]] bool parallel, Fn fn) {
#pragma omp parallel for schedule(static) if (parallel && devices_ > 1)
  for (int64_t device = 0; device < devices_; ++device) fn(device);
}

std::vector<Values> Interpreter::Run(std::vector<Values> inputs) {
  SW_CHECK(static_cast<int64_t>(inputs.size()) == devices_, "inputs of {} devices for {}",
           inputs.size(), devices_);
  const Block& entry = program_.entry();
  for (const Values& values : inputs) {
    SW_CHECK(values.size() == entry.inputs.size(), "{} inputs for the {} of @{}", values.size(),
             entry.inputs.size(), entry.name);
    for (size_t i = 0; i < values.size(); ++i) {
      const TensorType& expected = entry.type(entry.inputs[i].value);
      SW_CHECK(values[i]->type() == expected, "input '{}' of @{} is {}, not {}",
               entry.inputs[i].name, entry.name, values[i]->type().ToText(), expected.ToText());
    }
  }
  return RunBlock(static_cast<int>(program_.blocks.size()) - 1, std::move(inputs));
}

std::vector<Values> Interpreter::RunBlock(int index, std::vector<Values> inputs) {
  const Block& block = program_.blocks[index];
  const Plan& plan = plans_[index];
  auto forget = [](const std::vector<ValueId>& dead, std::vector<Values>& envs) {
    for (Values& env : envs) {
      for (ValueId v : dead) env[v.v] = nullptr;
    }
  };
  std::vector<Values> envs(devices_, Values(block.types.size()));
  for (int64_t d = 0; d < devices_; ++d) {
    for (size_t i = 0; i < block.inputs.size(); ++i) {
      envs[d][block.inputs[i].value.v] = std::move(inputs[d][i]);
    }
  }
  forget(plan.never_read, envs);
  for (size_t n = 0; n < block.nodes.size(); ++n) {
    RunNode(block, block.nodes[n], plan.parallel[n], envs);
    forget(plan.dies_after[n], envs);
  }
  std::vector<Values> outputs(devices_);
  for (int64_t d = 0; d < devices_; ++d) {
    for (const BlockOutput& output : block.outputs) outputs[d].push_back(envs[d][output.value.v]);
  }
  return outputs;
}

void Interpreter::RunNode(const Block& block, const Node& node, bool parallel,
                          std::vector<Values>& envs) {
  switch (node.op->kind) {
    case OpKind::kCall:
      return RunCall(block, node, envs);
    case OpKind::kCollective:
      return RunCollectiveNode(block, node, envs);
    default:
      ForEachDevice(parallel, [&](int64_t device) { RunLocal(block, node, device, envs[device]); });
  }
}

void Interpreter::RunLocal(const Block& block, const Node& node, int64_t device, Values& env) {
  if (node.is(OpKind::kBoundary)) return;
  if (IsIdentity(node)) {
    for (size_t i = 0; i < node.out.size(); ++i) env[node.out[i].v] = env[node.in[i].v];
    return;
  }
  SW_CHECK(node.is(OpKind::kCompute) || node.is(OpKind::kShardLocal),
           "no way to run {} in '{}' of @{}", node.op->name, block.scope(node), block.name);
  std::vector<const Tensor*> in;
  std::vector<Tensor> out;
  for (ValueId v : node.in) in.push_back(env[v.v].get());
  for (ValueId v : node.out) out.emplace_back(block.type(v));
  if (node.is(OpKind::kShardLocal)) {
    RunShardSlice(node, mesh_, device, *in[0], out[0]);
  } else {
    RunOp(*node.op, node.attrs, in, out);
  }
  for (size_t i = 0; i < node.out.size(); ++i) {
    env[node.out[i].v] = std::make_shared<const Tensor>(std::move(out[i]));
  }
}

void Interpreter::RunCollectiveNode(const Block& block, const Node& node,
                                    std::vector<Values>& envs) {
  std::vector<std::vector<const Tensor*>> in(node.in.size());
  std::vector<Tensor*> out;
  std::vector<std::shared_ptr<Tensor>> results;
  for (const Values& env : envs) {
    for (size_t k = 0; k < in.size(); ++k) in[k].push_back(env[node.in[k].v].get());
    results.push_back(std::make_shared<Tensor>(block.type(node.out[0])));
    out.push_back(results.back().get());
  }
  RunCollective(node, mesh_, in, out);
  for (int64_t d = 0; d < devices_; ++d) envs[d][node.out[0].v] = std::move(results[d]);
}

void Interpreter::RunCall(const Block& caller, const Node& node, std::vector<Values>& envs) {
  const CallAttrs& attrs = node.attrs.As<CallAttrs>();
  const int index = program_.Find(attrs.block);
  SW_CHECK(index >= 0, "no block named '{}'", attrs.block);
  const Block& callee = program_.blocks[index];
  std::vector<CallFrame> frames;
  for (const Values& env : envs) frames.emplace_back(callee, caller, node, env);
  for (int64_t step = 0; step < attrs.trips; ++step) {
    const int64_t i = attrs.reverse ? attrs.trips - 1 - step : step;
    std::vector<Values> inputs;
    for (CallFrame& frame : frames) inputs.push_back(frame.Enter(i));
    std::vector<Values> outputs = RunBlock(index, std::move(inputs));
    for (int64_t d = 0; d < devices_; ++d) frames[d].Leave(i, std::move(outputs[d]));
  }
  for (int64_t d = 0; d < devices_; ++d) frames[d].Return(node, envs[d]);
}

}  // namespace shardwise
