// The man page, made from the help texts.
#pragma once

#include <string>

namespace shardwise {

// roff with the man macros, section 1.
std::string ManPage();

}  // namespace shardwise
