#include "sim/search/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace shardwise {

StoreLock::StoreLock(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

StoreLock::StoreLock(StoreLock&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

StoreLock::~StoreLock() {
  if (fd_ < 0) return;
  ::unlink(path_.c_str());
  ::close(fd_);
}

StatusOr<StoreLock> StoreLock::Take(const std::string& store) {
  struct stat target {};
  if (::stat(store.c_str(), &target) == 0 && !S_ISREG(target.st_mode)) {
    return IoError("cannot write {}: it is no regular file", store);
  }
  const std::string path = store + ".lock";
  while (true) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return IoError("cannot write {}: {}", store, std::strerror(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(fd);
      if (error != EWOULDBLOCK) return IoError("cannot lock {}: {}", store, std::strerror(error));
      return IoError("another sweep is writing {}", store);
    }
    // Its owner may have removed the file between the two calls; then the lock is on nothing.
    struct stat held {
    }, named{};
    if (::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
      return StoreLock(path, fd);
    }
    ::close(fd);
  }
}

}  // namespace shardwise
