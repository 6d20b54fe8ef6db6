// Text form of programs: printed for people and tests, parsed back for tests.
#pragma once

#include <string>
#include <string_view>

#include "kernels/base/status.h"
#include "model/ir/block.h"

namespace shardwise {

std::string ToText(const Block& block);
std::string ToText(const Program& program);
// "line:column: what is wrong" on malformed text; the result is verified.
StatusOr<Program> ParseProgram(std::string_view text);

}  // namespace shardwise
