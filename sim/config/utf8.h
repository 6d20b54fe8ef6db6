// Which bytes are characters: whatever is printed must be UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace shardwise {

// Bytes of the UTF-8 character at `at`; 0 if it is none, or a control character other than tab and
// newline.
size_t CharacterLength(std::string_view text, size_t at);

}  // namespace shardwise
