// Which source the tool was built from. Only the tool itself links it, so that a commit does not
// link every test anew.
#pragma once

namespace shardwise {

extern const char* const kRevision;  // "v0.1.0-12-gabc1234-dirty"; "" outside of a git checkout

}  // namespace shardwise
