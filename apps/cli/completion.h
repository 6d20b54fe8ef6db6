// Scripts that complete command lines of the tool, made from the tables the parsers use: verbs,
// options and their words, keys and their values.
#pragma once

#include <string>

namespace shardwise {

std::string BashCompletion();
std::string ZshCompletion();
std::string FishCompletion();

}  // namespace shardwise
