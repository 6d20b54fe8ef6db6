// JSON Schema of configuration files, for editors that complete and check YAML.
#pragma once

#include <cstdint>
#include <string>

namespace shardwise {

enum class SchemaOf : uint8_t {
  kMaxText,  // a MaxText yml
  kSim,      // our own keys, as in a sim.yml or below `sim:` of a scenario
};

// Draft 2020-12. Key order is that of the names.
std::string BuildJsonSchema(SchemaOf what);

}  // namespace shardwise
