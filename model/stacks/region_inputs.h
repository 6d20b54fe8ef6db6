// The operands of a manual region and what each device sees of them.
#pragma once

#include <string>
#include <vector>

#include "model/ir/builder.h"
#include "model/ir/manual.h"

namespace shardwise {

// Collects the operands of a region, their specs and its inputs at once.
class RegionInputs {
 public:
  RegionInputs(const BlockBuilder& outer, BlockBuilder& region, const Mesh& mesh)
      : outer_(outer), region_(region), mesh_(mesh) {}

  // The input of the region for `operand` of the block outside, split by `spec`, which names the
  // axes of its leading dimensions; they divide them. `site`: of MaxText, if it asks for the spec.
  ValueId Add(const std::string& name, ValueId operand, const ManualSpec& spec,
              const std::string& site = "");

  const std::vector<ValueId>& operands() const { return operands_; }
  const std::vector<std::string>& specs() const { return specs_; }
  const std::vector<std::string>& sites() const { return sites_; }

 private:
  const BlockBuilder& outer_;
  BlockBuilder& region_;
  const Mesh& mesh_;
  std::vector<ValueId> operands_;
  std::vector<std::string> specs_, sites_;
};

}  // namespace shardwise
