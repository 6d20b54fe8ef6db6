#include "apps/cli/command.h"

#include <fmt/format.h>

#include <array>

#include "reports/output_file.h"

namespace shardwise {

std::string_view Name(Format format) {
  constexpr std::array<std::string_view, 5> kNames = {"text", "json", "csv", "markdown", "html"};
  return kNames[static_cast<size_t>(format)];
}

int ExitCodeOf(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kUnimplemented:
      return kExitNotModelled;
    case absl::StatusCode::kUnavailable:
      return kExitIo;
    default:
      return kExitInternal;
  }
}

int Fail(const Status& status, const Console& io) {
  const std::string text = Message(status);
  // Diagnostics begin with the place they are about.
  const bool located = text.find(": error: ") != std::string::npos;
  io.err << (located ? "" : "shardwise: error: ") << text << "\n";
  return ExitCodeOf(status);
}

int Emit(const std::string& text, const std::string& path, const Console& io) {
  if (path == "-") {
    io.out << text;
    return kExitOk;  // RunMain looks at the stream's state at the end
  }
  StatusOr<OutputFile> file = OutputFile::Prepare(path, text);
  if (!file.ok()) return Fail(file.status(), io);
  if (const Status written = file->Commit(); !written.ok()) return Fail(written, io);
  return kExitOk;
}

}  // namespace shardwise
