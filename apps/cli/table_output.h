// A table as the result of a verb.
#pragma once

#include <string>

#include "apps/cli/command.h"
#include "reports/table.h"

namespace shardwise {

// Prints a table to standard output; `title` heads the markdown form. Returns the exit code.
int EmitTable(const Table& table, const std::string& title, Format format, const Console& io);

}  // namespace shardwise
