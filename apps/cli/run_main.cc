#include "apps/cli/run_main.h"

#include <exception>
#include <memory>

#include "apps/cli/verbs.h"

namespace shardwise {
namespace {

StatusOr<int> RunVerb(std::vector<std::string> words, const Console& io) {
  if (words.empty()) return InvalidArgument("no verb (shardwise help lists them)");
  if (words[0] == "-h" || words[0] == "--help") words[0] = "help";
  if (words[0] == "--version") words[0] = "version";
  const VerbInfo* info = FindVerb(words[0]);
  if (info == nullptr) return UnknownVerb(words[0]);
  const std::unique_ptr<Verb> verb = info->make();
  OptionParser parser(info->name);
  verb->Bind(parser);
  SW_RETURN_IF_ERROR(parser.Parse({words.begin() + 1, words.end()}));
  if (parser.help()) {
    io.out << info->help;
    return kExitOk;
  }
  return verb->Run(parser, io);
}

int RunCommand(const std::vector<std::string>& arguments, const Console& io) {
  const StatusOr<int> code = RunVerb(arguments, io);
  return code.ok() ? *code : Fail(code.status(), io);
}

}  // namespace

int RunMain(const std::vector<std::string>& arguments, const Console& io) {
  int code = kExitInternal;
  try {
    code = RunCommand(arguments, io);
  } catch (const std::exception& error) {
    io.err << "shardwise: internal error: " << error.what()
           << "; please report this with the command line\n";
    return kExitInternal;
  }
  io.out.flush();
  if (!io.out) return Fail(IoError("cannot write standard output"), io);
  return code;
}

}  // namespace shardwise
