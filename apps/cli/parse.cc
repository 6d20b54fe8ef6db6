#include "apps/cli/parse.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <utility>

#include "sim/config/diagnostics.h"
#include "sim/sched/schedule.h"

namespace shardwise {
namespace {

constexpr std::array<std::pair<std::string_view, Format>, 4> kFormats = {
    {{"text", Format::kText},
     {"json", Format::kJson},
     {"csv", Format::kCsv},
     {"markdown", Format::kMarkdown}}};

// `value` if it is one of `choices`, else an error that names them.
Status CheckChoice(std::string_view option, std::string_view value,
                   const std::vector<std::string_view>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return absl::OkStatus();
  const std::string hint = SuggestName(value, choices);
  return InvalidArgument("{} {}: expected {}{}{}", option, Quote(value), fmt::join(choices, ", "),
                         hint.empty() ? "" : "; ", hint);
}

// One verb's options on CLI11; what they do not take is left in `rest`, in order.
class VerbParser {
 public:
  explicit VerbParser(std::string_view verb) : verb_(verb) {
    app_.set_help_flag();
    app_.allow_extras();
    app_.add_flag("-h,--help", help_);
  }

  void AddFlag(const std::string& names, bool& value) { app_.add_flag(names, value); }
  void AddText(const std::string& names, std::string& value) { app_.add_option(names, value); }
  void AddFormat(std::vector<std::string_view> choices) {
    formats_ = std::move(choices);
    app_.add_option("--format", format_);
  }

  Status Parse(std::vector<std::string> arguments) {
    // Everything behind "--" is an input, whatever it looks like.
    const auto mark = std::find(arguments.begin(), arguments.end(), "--");
    std::vector<std::string> plain;
    if (mark != arguments.end()) plain.assign(mark + 1, arguments.end());
    arguments.erase(mark, arguments.end());
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return Misused(error.what());
    }
    for (std::string& argument : app_.remaining()) {
      if (argument.size() > 1 && argument[0] == '-') return UnknownOption(argument);
      rest.push_back(std::move(argument));
    }
    rest.insert(rest.end(), plain.begin(), plain.end());
    if (!formats_.empty()) SW_RETURN_IF_ERROR(CheckChoice("--format", format_, formats_));
    return absl::OkStatus();
  }

  Status Misused(std::string_view text) const {
    return InvalidArgument("{} (shardwise {} --help explains)", text, verb_);
  }
  bool help() const { return help_; }
  Format format() const {
    for (const auto& [name, format] : kFormats) {
      if (name == format_) return format;
    }
    return Format::kText;
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const CLI::Option* option : app_.get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    }
    return names;
  }

  std::vector<std::string> rest;

 private:
  Status UnknownOption(const std::string& argument) const {
    const std::string name = argument.substr(0, argument.find('='));
    const std::vector<std::string> names = Names();
    const std::vector<std::string_view> views(names.begin(), names.end());
    const std::string hint = SuggestName(name, views);
    return Misused(
        fmt::format("unknown option {}{}{}", Quote(name), hint.empty() ? "" : "; ", hint));
  }

  std::string verb_;
  CLI::App app_;
  bool help_ = false;
  std::string format_ = "text";
  std::vector<std::string_view> formats_;
};

// Every verb: which options it has (Bind), and what they mean together (Finish).
struct SimulateVerb {
  SimulateOptions options;
  std::string policy, table;

  void Bind(VerbParser& parser) {
    parser.AddFormat({"text", "json", "csv"});
    parser.AddText("--table", table);
    parser.AddText("--trace", options.trace);
    parser.AddText("-o,--output", options.output);
    parser.AddText("--policy", policy);
    parser.AddFlag("--show-config", options.show_config);
    parser.AddFlag("--allow-oom", options.allow_oom);
  }
  StatusOr<Command> Finish(const VerbParser& parser) {
    options.format = parser.format();
    options.inputs = parser.rest;
    if (options.inputs.empty()) {
      return parser.Misused("nothing to simulate: name a file, a built-in scenario or key=value");
    }
    if (!table.empty()) {
      SW_RETURN_IF_ERROR(
          CheckChoice("--table", table, {"summary", "ops", "collectives", "causes", "memory"}));
      if (options.format != Format::kCsv) return parser.Misused("--table needs --format csv");
      options.table = table;
    }
    if (options.show_config && (options.format == Format::kCsv || !options.trace.empty())) {
      return parser.Misused("--show-config simulates nothing: no csv, no trace");
    }
    if (options.trace == "-") return parser.Misused("--trace needs a file");
    if (!options.trace.empty() && options.trace == options.output) {
      return parser.Misused("--trace and --output name the same file");
    }
    if (!policy.empty()) {
      SW_RETURN_IF_ERROR(ParseSchedulePolicy(policy).status());
      options.inputs.push_back("sim.policy=" + policy);
    }
    return Command(options);
  }
};

struct AccuracyVerb {
  AccuracyOptions options;

  void Bind(VerbParser& parser) {
    parser.AddFormat({"text", "markdown", "csv", "json"});
    parser.AddText("-o,--output", options.output);
  }
  StatusOr<Command> Finish(const VerbParser& parser) {
    options.format = parser.format();
    options.inputs = parser.rest;
    return Command(options);
  }
};

struct StudyVerb {
  StudyOptions options;

  void Bind(VerbParser& parser) { parser.AddText("-o,--output", options.output); }
  StatusOr<Command> Finish(const VerbParser& parser) {
    if (!parser.rest.empty()) return parser.Misused("study takes no arguments");
    return Command(options);
  }
};

struct GraphVerb {
  GraphOptions options;

  void Bind(VerbParser& parser) {
    parser.AddFlag("--partitioned", options.partitioned);
    parser.AddText("-o,--output", options.output);
  }
  StatusOr<Command> Finish(const VerbParser& parser) {
    options.inputs = parser.rest;
    if (options.inputs.empty()) {
      return parser.Misused("no program: name a file, a built-in scenario or key=value");
    }
    return Command(options);
  }
};

struct ChipsVerb {
  void Bind(VerbParser& parser) { parser.AddFormat({"text", "markdown", "json", "csv"}); }
  StatusOr<Command> Finish(const VerbParser& parser) {
    return Command(ChipsOptions{parser.rest, parser.format()});
  }
};

struct OpsVerb {
  void Bind(VerbParser& parser) { parser.AddFormat({"text", "markdown", "json", "csv"}); }
  StatusOr<Command> Finish(const VerbParser& parser) {
    if (!parser.rest.empty()) return parser.Misused("ops takes no arguments");
    return Command(OpsOptions{parser.format()});
  }
};

struct KeysVerb {
  void Bind(VerbParser& parser) { parser.AddFormat({"text", "markdown", "json", "csv"}); }
  StatusOr<Command> Finish(const VerbParser& parser) {
    if (parser.rest.size() > 1) return parser.Misused("keys takes one part of a name");
    return Command(KeysOptions{parser.rest.empty() ? "" : parser.rest[0], parser.format()});
  }
};

Status UnknownVerb(std::string_view verb) {
  std::vector<std::string_view> names;
  for (const Verb& known : Verbs()) names.push_back(known.name);
  const std::string hint = SuggestName(verb, names);
  return InvalidArgument("unknown verb {}{}{} (shardwise help lists them)", Quote(verb),
                         hint.empty() ? "" : "; ", hint);
}

struct HelpVerb {
  HelpOptions options;

  void Bind(VerbParser& parser) { parser.AddFlag("--all", options.all); }
  StatusOr<Command> Finish(const VerbParser& parser) {
    if (parser.rest.size() > 1) return parser.Misused("help takes one verb");
    if (!parser.rest.empty()) options.verb = parser.rest[0];
    if (!options.verb.empty() && FindVerb(options.verb) == nullptr) {
      return UnknownVerb(options.verb);
    }
    return Command(options);
  }
};

struct VersionVerb {
  void Bind(VerbParser&) {}
  StatusOr<Command> Finish(const VerbParser& parser) {
    if (!parser.rest.empty()) return parser.Misused("version takes no arguments");
    return Command(VersionOptions{});
  }
};

template <class V>
StatusOr<Command> ParseVerb(std::string_view name, std::vector<std::string> arguments) {
  V verb;
  VerbParser parser(name);
  verb.Bind(parser);
  SW_RETURN_IF_ERROR(parser.Parse(std::move(arguments)));
  if (parser.help()) return Command(HelpOptions{std::string(name)});
  return verb.Finish(parser);
}

template <class V>
std::vector<std::string> NamesOf(std::string_view name) {
  V verb;
  VerbParser parser(name);
  verb.Bind(parser);
  return parser.Names();
}

struct VerbFunctions {
  std::string_view name;
  StatusOr<Command> (*parse)(std::string_view, std::vector<std::string>);
  std::vector<std::string> (*names)(std::string_view);
};

template <class V>
constexpr VerbFunctions FunctionsOf(std::string_view name) {
  return {name, ParseVerb<V>, NamesOf<V>};
}

constexpr std::array<VerbFunctions, 9> kVerbFunctions = {
    FunctionsOf<SimulateVerb>("simulate"), FunctionsOf<AccuracyVerb>("accuracy"),
    FunctionsOf<StudyVerb>("study"),       FunctionsOf<GraphVerb>("graph"),
    FunctionsOf<ChipsVerb>("chips"),       FunctionsOf<OpsVerb>("ops"),
    FunctionsOf<KeysVerb>("keys"),         FunctionsOf<HelpVerb>("help"),
    FunctionsOf<VersionVerb>("version")};

}  // namespace

StatusOr<Command> ParseArguments(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return InvalidArgument("no verb (shardwise help lists them)");
  const std::string& verb = arguments[0];
  if (verb == "-h" || verb == "--help") return Command(HelpOptions{});
  if (verb == "--version") return Command(VersionOptions{});
  for (const VerbFunctions& functions : kVerbFunctions) {
    if (functions.name != verb) continue;
    return functions.parse(verb, {arguments.begin() + 1, arguments.end()});
  }
  return UnknownVerb(verb);
}

std::vector<std::string> OptionNames(std::string_view verb) {
  for (const VerbFunctions& functions : kVerbFunctions) {
    if (functions.name == verb) return functions.names(verb);
  }
  return {};
}

}  // namespace shardwise
