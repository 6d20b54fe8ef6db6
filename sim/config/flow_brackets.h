// A first look at the brackets of YAML text, before a parser that would recurse on them.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace shardwise {

struct FlowBrackets {
  std::optional<size_t> unclosed;  // offset of the innermost '[' or '{' still open at the end
  std::optional<size_t> too_deep;  // offset of the first bracket nested deeper than allowed
};

// Follows quotes, comments and flow collections. Approximate where a plain scalar holds brackets,
// so `unclosed` only explains a failure the parser has found; one pass, no recursion.
FlowBrackets ScanFlowBrackets(std::string_view text, size_t max_depth);

}  // namespace shardwise
