// Environment variables as a value: who reads them gets them handed in.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace shardwise {

// Names and values.
using Environment = std::map<std::string, std::string, std::less<>>;

}  // namespace shardwise
