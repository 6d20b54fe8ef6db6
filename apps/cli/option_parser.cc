#include "apps/cli/option_parser.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "sim/config/diagnostics.h"

namespace shardwise {

Status CheckChoice(std::string_view option, std::string_view value,
                   const std::vector<std::string_view>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return absl::OkStatus();
  const std::string hint = SuggestName(value, choices);
  return InvalidArgument("{} {}: expected {}{}{}", option, Quote(value), fmt::join(choices, ", "),
                         hint.empty() ? "" : "; ", hint);
}

struct OptionParser::App {
  CLI::App cli;
};

OptionParser::OptionParser(std::string_view verb) : verb_(verb), app_(std::make_unique<App>()) {
  app_->cli.set_help_flag();
  app_->cli.allow_extras();
  app_->cli.add_flag("-h,--help", help_);
}

OptionParser::~OptionParser() = default;

void OptionParser::AddFlag(const std::string& names, bool& value) {
  app_->cli.add_flag(names, value);
}

void OptionParser::AddText(const std::string& names, std::string& value) {
  app_->cli.add_option(names, value);
}

void OptionParser::AddList(const std::string& names, std::vector<std::string>& values) {
  app_->cli.add_option(names, values)->allow_extra_args(false);
}

void OptionParser::AddChoice(const std::string& names, std::vector<std::string_view> choices,
                             std::string& value) {
  app_->cli.add_option(names, value);
  choices_.push_back({names.substr(names.find("--")), std::move(choices), &value});
}

void OptionParser::AddFormat(std::initializer_list<Format> choices, Format& format) {
  formats_ = choices;
  format_ = &format;
  format = formats_.front();
  format_name_ = Name(format);
  app_->cli.add_option("--format", format_name_);
}

Status OptionParser::Parse(std::vector<std::string> arguments) {
  // Everything behind "--" is an input, whatever it looks like.
  const auto mark = std::find(arguments.begin(), arguments.end(), "--");
  std::vector<std::string> plain;
  if (mark != arguments.end()) plain.assign(mark + 1, arguments.end());
  arguments.erase(mark, arguments.end());
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app_->cli.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    return Misused(error.what());
  }
  for (std::string& argument : app_->cli.remaining()) {
    if (argument.size() > 1 && argument[0] == '-') return UnknownOption(argument);
    rest_.push_back(std::move(argument));
  }
  rest_.insert(rest_.end(), plain.begin(), plain.end());
  SW_RETURN_IF_ERROR(CheckChoices());
  return ReadFormat();
}

Status OptionParser::CheckChoices() const {
  for (const Choice& choice : choices_) {
    if (app_->cli.count(choice.name) == 0) continue;
    SW_RETURN_IF_ERROR(CheckChoice(choice.name, *choice.value, choice.choices));
  }
  return absl::OkStatus();
}

Status OptionParser::ReadFormat() {
  std::vector<std::string_view> names;
  for (Format format : formats_) {
    names.push_back(Name(format));
    if (Name(format) == format_name_) *format_ = format;
  }
  return names.empty() ? absl::OkStatus() : CheckChoice("--format", format_name_, names);
}

Status OptionParser::Misused(std::string_view text) const {
  return InvalidArgument("{} (shardwise {} --help explains)", text, verb_);
}

Status OptionParser::TakesNoArguments() const {
  return rest_.empty() ? absl::OkStatus() : Misused(verb_ + " takes no arguments");
}

std::vector<OptionParser::Option> OptionParser::Options() const {
  std::vector<Option> options;
  for (const CLI::Option* option : app_->cli.get_options()) {
    Option& out = options.emplace_back();
    for (const std::string& name : option->get_lnames()) out.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) out.names.push_back("-" + name);
    out.takes_value = option->get_type_size() > 0;
    for (const Choice& choice : choices_) {
      if (choice.name == out.names[0]) out.choices = choice.choices;
    }
    if (out.names[0] == "--format") {
      for (Format format : formats_) out.choices.push_back(Name(format));
    }
  }
  return options;
}

std::vector<std::string> OptionParser::Names() const {
  std::vector<std::string> names;
  for (const Option& option : Options()) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

Status OptionParser::UnknownOption(const std::string& argument) const {
  const std::string name = argument.substr(0, argument.find('='));
  const std::vector<std::string> names = Names();
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string hint = SuggestName(name, views);
  return Misused(fmt::format("unknown option {}{}{}", Quote(name), hint.empty() ? "" : "; ", hint));
}

}  // namespace shardwise
