// The lockstep interpreter behind RunProgram and RunSharded.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/tensor.h"
#include "model/ir/block.h"
#include "model/ir/mesh.h"

namespace shardwise {

// A value on one device; identities share it.
using Value = std::shared_ptr<const Tensor>;
// Values of one device: operands or results of a block, or all values of a block by ValueId.
using Values = std::vector<Value>;

// Runs a program on `mesh.devices()` devices, one node at a time on all of them.
class Interpreter {
 public:
  // Both must outlive the interpreter. A mesh without axes is one device.
  Interpreter(const Program& program, const Mesh& mesh);

  // Entry block: inputs[d] and the result's [d] are those of device d.
  std::vector<Values> Run(std::vector<Values> inputs);

 private:
  // What is known of a block before it runs.
  struct Plan {
    std::vector<std::vector<ValueId>> dies_after;  // by node: values nobody reads later
    std::vector<ValueId> never_read;               // inputs
    std::vector<bool> parallel;  // by node: enough work per device for threads to pay
  };

  static Plan PlanOf(const Block& block);
  // The environments are emptied of dead values as the block runs.
  std::vector<Values> RunBlock(int block, std::vector<Values> inputs);
  void RunNode(const Block& block, const Node& node, bool parallel, std::vector<Values>& envs);
  void RunCall(const Block& caller, const Node& node, std::vector<Values>& envs);
  void RunCollectiveNode(const Block& block, const Node& node, std::vector<Values>& envs);
  void RunLocal(const Block& block, const Node& node, int64_t device, Values& env);

  // fn(device) for every device; each touches its own environment only.
  template <class Fn>
  void ForEachDevice(bool parallel, Fn fn);

  const Program& program_;
  const Mesh& mesh_;
  int64_t devices_;
  std::vector<Plan> plans_;  // by block
};

}  // namespace shardwise
