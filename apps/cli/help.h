// help and version: what the tool can do, in words.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "apps/cli/command.h"

namespace shardwise {

struct Verb {
  std::string_view name;
  std::string_view summary;  // one line
  std::string_view (*help)();
};
// In the order help lists them.
std::span<const Verb> Verbs();
const Verb* FindVerb(std::string_view name);  // null: no such verb

struct HelpOptions {
  std::string verb;  // empty: the tool
  bool all = false;  // every verb's text after the tool's
};
struct VersionOptions {};

int RunHelp(const HelpOptions& options, Streams io);
std::string_view HelpHelp();
int RunVersion(const VersionOptions& options, Streams io);
std::string_view VersionHelp();

}  // namespace shardwise
