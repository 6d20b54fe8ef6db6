// Files that appear whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "kernels/base/status.h"

namespace shardwise {

// Content on its way to a file. It is written to a temporary file beside the target, which takes
// the target's name on Commit; without Commit nothing remains. A target that is no regular file (a
// device, a pipe) is written to directly, on Commit.
class OutputFile {
 public:
  // IoError when the folder is missing or not writable, the disk is full, or `path` is a folder. An
  // existing file keeps its permissions; a symbolic link stays and its target is replaced.
  static StatusOr<OutputFile> Prepare(const std::string& path, std::string content);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Status Commit();

 private:
  OutputFile() = default;

  std::string path_;       // as the user wrote it, for messages
  std::string target_;     // links resolved
  std::string temporary_;  // empty: none, or already renamed
  std::string content_;    // of targets written directly
};

}  // namespace shardwise
