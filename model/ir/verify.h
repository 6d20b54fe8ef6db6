// Structural rules every pass keeps: SSA in program order, types as inferred, calls that match
// their block, carries that keep their type.
#pragma once

#include "kernels/base/status.h"
#include "model/ir/block.h"

namespace shardwise {

Status Verify(const Program& program);
// For passes: a violation is a bug.
void CheckVerified(const Program& program, std::string_view after_pass);

}  // namespace shardwise
