#include "sim/config/source_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "sim/config/yaml.h"

namespace shardwise {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A named pipe that nobody has opened for writing looks like an empty file; a writer that was
// started together with this program gets so long to open it.
constexpr milliseconds kPatienceForWriter{300};
// For a writer that is there to say something.
constexpr milliseconds kPatienceForData{10'000};

// Closes what it opened.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path)
      : owned_(path != "-"),
        fd_(owned_ ? ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC) : STDIN_FILENO) {}
  ~Descriptor() {
    if (owned_ && fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int fd() const { return fd_; }

 private:
  bool owned_;
  int fd_;
};

std::string ErrnoText() { return std::generic_category().message(errno); }

// Appends what a read brings; its result, negative with errno.
ssize_t ReadSome(int fd, std::string& text) {
  std::array<char, 16384> chunk;
  ssize_t count = 0;
  do {
    count = ::read(fd, chunk.data(), chunk.size());
  } while (count < 0 && errno == EINTR);
  if (count > 0) text.append(chunk.data(), static_cast<size_t>(count));
  return count;
}

// "" after everything, or why not; so does ReadPipe.
std::string ReadFile(int fd, std::string& text) {
  while (text.size() <= kMaxYamlBytes) {
    const ssize_t count = ReadSome(fd, text);
    if (count < 0) return ErrnoText();
    if (count == 0) break;
  }
  return "";
}

std::string ReadPipe(int fd, std::string& text) {
  Clock::time_point last = Clock::now();
  while (text.size() <= kMaxYamlBytes) {
    pollfd pipe = {.fd = fd, .events = POLLIN, .revents = 0};
    const bool ready = ::poll(&pipe, 1, 20) > 0;
    const auto waited = Clock::now() - last;
    if (waited > kPatienceForData) return "its writer is silent";
    if (!ready && fd == STDIN_FILENO) continue;  // a read might block
    const ssize_t count = ReadSome(fd, text);
    if (count > 0) last = Clock::now();
    if (count < 0 && errno != EAGAIN) return ErrnoText();
    if (count != 0) continue;
    if (ready || !text.empty()) break;
    if (waited > kPatienceForWriter) return "nobody writes to it";
  }
  return "";
}

struct Contents {
  std::string text;
  std::string why;  // it could not be read; else ""
};

Contents ReadAll(const std::string& path) {
  const Descriptor file(path);
  struct stat about = {};
  if (file.fd() < 0 || ::fstat(file.fd(), &about) != 0) return {"", ErrnoText()};
  if (S_ISDIR(about.st_mode)) return {"", "it is a directory"};
  const bool pipe = S_ISFIFO(about.st_mode);
  if (!S_ISREG(about.st_mode) && !pipe) return {"", "neither a file nor a pipe"};
  Contents contents;
  contents.why = pipe ? ReadPipe(file.fd(), contents.text) : ReadFile(file.fd(), contents.text);
  return contents;
}

// Gives its text once, and is asked for it again where one run loads several steps.
const Contents& StandardInput() {
  static const Contents contents = ReadAll("-");
  return contents;
}

}  // namespace

std::optional<std::string> ReadSourceFile(const std::string& path, const Location& named,
                                          Diagnostics& diagnostics) {
  const bool standard = path == "-";
  Contents contents = standard ? StandardInput() : ReadAll(path);
  if (contents.why.empty()) return std::move(contents.text);
  diagnostics.CannotRead(
      named,
      fmt::format("cannot read {}: {}", standard ? "standard input" : Quote(path), contents.why));
  return std::nullopt;
}

bool IsSourceFile(const std::string& path) {
  std::error_code error;
  return path == "-" ||
         (std::filesystem::exists(path, error) && !std::filesystem::is_directory(path, error));
}

}  // namespace shardwise
