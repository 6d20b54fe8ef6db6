// Options of one verb. The only user of CLI11 is option_parser.cc.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/command.h"
#include "kernels/base/status.h"

namespace shardwise {

// `value` if it is one of `choices`, else an error that names them.
Status CheckChoice(std::string_view option, std::string_view value,
                   const std::vector<std::string_view>& choices);

class OptionParser {
 public:
  explicit OptionParser(std::string_view verb);
  ~OptionParser();

  // `names` is "--long" or "-s,--long".
  void AddFlag(const std::string& names, bool& value);
  void AddText(const std::string& names, std::string& value);
  // May be given several times, with one value each.
  void AddList(const std::string& names, std::vector<std::string>& values);
  // One of these words; `value` stays as it is without the option.
  void AddChoice(const std::string& names, std::vector<std::string_view> choices,
                 std::string& value);
  // --format, one of these; the first is what `format` is without it.
  void AddFormat(std::initializer_list<Format> choices, Format& format);

  // InvalidArgument for an unknown option (with a suggestion) or a missing or illegal value.
  Status Parse(std::vector<std::string> arguments);

  bool help() const { return help_; }
  // What no option took, in order.
  const std::vector<std::string>& rest() const { return rest_; }
  // InvalidArgument that points to the verb's help.
  Status Misused(std::string_view text) const;
  // The same, if there is anything in rest().
  Status TakesNoArguments() const;
  struct Option {
    std::vector<std::string> names;  // as they are written: "--output", "-o"
    bool takes_value = false;
    std::vector<std::string_view> choices;  // empty: any value
  };
  std::vector<Option> Options() const;
  // Of all options.
  std::vector<std::string> Names() const;

 private:
  Status UnknownOption(const std::string& argument) const;
  Status ReadFormat();
  Status CheckChoices() const;

  struct App;  // hides CLI11, which costs seconds of compilation
  std::string verb_;
  std::unique_ptr<App> app_;
  bool help_ = false;
  struct Choice {
    std::string name;  // the long one
    std::vector<std::string_view> choices;
    const std::string* value;
  };
  std::vector<Choice> choices_;
  std::string format_name_;
  std::vector<Format> formats_;
  Format* format_ = nullptr;
  std::vector<std::string> rest_;
};

}  // namespace shardwise
