// At most one sweep writes a store.
#pragma once

#include <string>

#include "kernels/base/status.h"

namespace shardwise {

// A file beside the store, removed at the end; a process that dies lets go of it too.
class StoreLock {
 public:
  // IoError if another process holds it, or the folder cannot be written.
  static StatusOr<StoreLock> Take(const std::string& store);
  StoreLock(StoreLock&& other) noexcept;
  StoreLock& operator=(StoreLock&&) = delete;
  ~StoreLock();

 private:
  StoreLock(std::string path, int fd);

  std::string path_;
  int fd_ = -1;
};

}  // namespace shardwise
