// SHA-256 (FIPS 180-4), to name what a result was made from.
#pragma once

#include <string>
#include <string_view>

namespace shardwise {

// 64 hexadecimal digits.
std::string Sha256(std::string_view bytes);

}  // namespace shardwise
