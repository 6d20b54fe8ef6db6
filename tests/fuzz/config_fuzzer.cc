// libFuzzer target: any bytes as a configuration file, key=value arguments and variables. Loading
// ends with a scenario or with located messages of bounded length, in UTF-8.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/check.h"
#include "sim/config/keys.h"
#include "sim/config/scenario.h"
#include "sim/config/sources.h"
#include "tests/fuzz/check_text.h"

namespace shardwise {
namespace {

// Behind the text of the file: a line of its own, then one argument or variable per line.
constexpr std::string_view kArgumentsMark = "\n%%\n";

// A file in memory that has a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("config", 0)) { SW_CHECK(fd_ >= 0, "no file in memory"); }
  std::string Hold(std::string_view text) const {
    SW_CHECK(::ftruncate(fd_, 0) == 0, "cannot empty the file");
    const ssize_t written = ::pwrite(fd_, text.data(), text.size(), 0);
    SW_CHECK(written == static_cast<ssize_t>(text.size()), "cannot write the file");
    return "/proc/self/fd/" + std::to_string(fd_);
  }

 private:
  int fd_;
};

struct Input {
  std::string_view file;
  std::vector<std::string> arguments;
  Environment environment;
};

Input Split(std::string_view bytes) {
  Input input;
  const size_t mark = bytes.find(kArgumentsMark);
  input.file = bytes.substr(0, mark);
  if (mark == std::string_view::npos) return input;
  std::string_view rest = bytes.substr(mark + kArgumentsMark.size());
  while (!rest.empty() && input.arguments.size() < 16) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const size_t equals = line.find('=');
    if (!IsAssignment(line)) continue;
    if (line.starts_with("M_")) {
      input.environment.emplace(line.substr(0, equals), line.substr(equals + 1));
    } else {
      input.arguments.emplace_back(line);
    }
  }
  return input;
}

void CheckScenario(const Scenario& scenario) {
  SW_CHECK(scenario.mesh.devices() > 0, "a mesh without devices");
  SW_CHECK(scenario.keys.size() == AllKeys().size(), "keys are missing");
  for (const ResolvedKey& key : scenario.keys) {
    SW_CHECK(ParseYaml("k: " + key.value, "value").ok(), "{}: {}", key.name, key.value);
  }
}

void Run(std::string_view bytes) {
  static const MemoryFile file;
  Input input = Split(bytes);
  input.arguments.insert(input.arguments.begin(), file.Hold(input.file));
  const StatusOr<Scenario> scenario = LoadScenario(input.arguments, input.environment);
  if (scenario.ok()) {
    CheckScenario(*scenario);
  } else {
    CheckMessage(scenario.status());
  }
}

}  // namespace
}  // namespace shardwise

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  shardwise::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
