#include "reports/shell.h"

namespace shardwise {

std::string ShellWord(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,+-@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string ScenarioWords(const std::vector<std::string>& arguments) {
  std::string words;
  for (const std::string& argument : arguments) {
    words += (argument.starts_with("--") ? " --xla " : " ") + ShellWord(argument);
  }
  return words;
}

}  // namespace shardwise
