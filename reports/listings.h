// What is known, as tables: chips, operations, configuration keys.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reports/table.h"
#include "sim/machine/chip.h"

namespace shardwise {

// One row a chip: what people compare.
Table BuildChipOverview(const std::vector<Chip>& chips);
// Every number of a chip with unit, status, interval and source.
Table BuildChipTable(const Chip& chip);
// Unit a value of a chip file is in, by its dotted key: "B/s", "cycles", "factor"; "" for text.
std::string_view UnitOfChipKey(std::string_view key);

// Every operation of the registry.
Table BuildOpTable();

// Configuration keys whose name contains `pattern`.
Table BuildKeyTable(std::string_view pattern);
// Known flags of the TPU compiler whose name contains `pattern`.
Table BuildXlaFlagTable(std::string_view pattern);

}  // namespace shardwise
