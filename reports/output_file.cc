#include "reports/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace shardwise {
namespace {

Status CannotWrite(const std::string& path, int error) {
  return IoError("cannot write {}: {}", path, std::strerror(error));
}

// 0 or errno. Closes the descriptor in any case: some file systems report a full disk only then.
int WriteAndClose(int fd, std::string_view content) {
  int error = 0;
  while (!content.empty() && error == 0) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written >= 0) {
      content.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  return error;
}

// Where a chain of links ends, whether or not something is there.
std::string ResolveLinks(const std::string& path) {
  std::error_code error;
  const std::filesystem::path resolved = std::filesystem::weakly_canonical(path, error);
  return error ? path : resolved.string();
}

}  // namespace

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      temporary_(std::exchange(other.temporary_, "")),
      content_(std::move(other.content_)) {}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

StatusOr<OutputFile> OutputFile::Prepare(const std::string& path, std::string content) {
  OutputFile file;
  file.path_ = path;
  struct stat info {};
  const bool exists = ::stat(path.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) return CannotWrite(path, EISDIR);
  if (exists && !S_ISREG(info.st_mode)) {
    file.content_ = std::move(content);
    return file;
  }
  if (exists && ::access(path.c_str(), W_OK) != 0) return CannotWrite(path, errno);
  file.target_ = ResolveLinks(path);
  const std::filesystem::path target(file.target_);
  const std::string name = "." + target.filename().string() + ".tmp" + std::to_string(::getpid());
  const std::string temporary = (target.parent_path() / name).string();
  ::unlink(temporary.c_str());  // left by a process that was killed
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return CannotWrite(path, errno);
  file.temporary_ = temporary;
  if (exists && ::fchmod(fd, info.st_mode & 07777) != 0) {
    const int error = errno;
    ::close(fd);
    return CannotWrite(path, error);
  }
  if (const int error = WriteAndClose(fd, content); error != 0) return CannotWrite(path, error);
  return file;
}

Status OutputFile::Commit() {
  if (temporary_.empty()) {
    const int fd = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return CannotWrite(path_, errno);
    const int error = WriteAndClose(fd, content_);
    return error == 0 ? absl::OkStatus() : CannotWrite(path_, error);
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) return CannotWrite(path_, errno);
  temporary_.clear();
  return absl::OkStatus();
}

}  // namespace shardwise
