#include "apps/cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "apps/cli/verbs.h"
#include "reports/shell.h"
#include "sim/config/keys.h"
#include "sim/config/remat_policies.h"
#include "sim/config/scenario.h"
#include "sim/config/topologies.h"
#include "sim/machine/chip.h"

namespace shardwise {
namespace {

using Words = std::vector<std::string>;

std::vector<OptionParser::Option> OptionsOf(const VerbInfo& info) {
  const std::unique_ptr<Verb> verb = info.make();
  OptionParser parser(info.name);
  verb->Bind(parser);
  return parser.Options();
}

// Verbs that say so in their usage line.
bool TakesKeys(const VerbInfo& info) {
  return info.help.substr(0, info.help.find('\n')).find("key=value") != std::string_view::npos;
}

// Names a verb takes that are neither files nor keys.
Words NamesFor(const VerbInfo& info) {
  Words names;
  const auto add = [&](const auto& more) { names.insert(names.end(), more.begin(), more.end()); };
  if (TakesKeys(info) || info.name == "accuracy") add(BuiltInScenarios());
  if (info.name == "chips") add(ChipNames());
  if (info.name == "models") add(BuiltModels());
  if (info.name == "topologies") {
    for (const TopologySize& size : AllTopologies()) names.emplace_back(size.name);
  }
  if (info.name == "help") {
    for (const VerbInfo* verb : Verbs()) names.emplace_back(verb->name);
  }
  if (info.name == "completion") names = {"bash", "zsh", "fish"};
  if (info.name == "keys") names = {"xla", "maxtext", "sim"};
  return names;
}

Words ValuesOf(const KeySpec& key) {
  Words values;
  for (std::string_view choice : key.Choices()) {
    if (!choice.empty()) values.emplace_back(choice);
  }
  if (key.Allows("bool")) values.insert(values.end(), {"true", "false"});
  if (key.name == "remat_policy") {
    for (std::string_view policy : RematPolicyNames()) values.emplace_back(policy);
  }
  if (key.name == "compile_topology") {
    for (const TopologySize& size : AllTopologies()) values.emplace_back(size.name);
  }
  return values;
}

// "    pattern) echo 'words' ;;" for every set of words, the patterns that share them joined.
std::string Cases(const std::map<std::string, Words>& patterns_by_words) {
  std::map<std::string, std::string> by_first;
  for (const auto& [words, patterns] : patterns_by_words) {
    if (words.empty()) continue;
    by_first[patterns[0]] =
        fmt::format("    {}) echo '{}' ;;\n", fmt::join(patterns, " | "), words);
  }
  std::string out;
  for (const auto& [first, line] : by_first) out += line;
  return out;
}

std::string Joined(const Words& words) { return fmt::format("{}", fmt::join(words, " ")); }

// Functions that bash and zsh share: what may stand where.
std::string SharedFunctions() {
  std::map<std::string, Words> options, with_value, choices, names, values;
  Words verbs, keyed, keys;
  for (const VerbInfo* info : Verbs()) {
    verbs.emplace_back(info->name);
    if (TakesKeys(*info)) keyed.emplace_back(info->name);
    Words all, valued;
    for (const OptionParser::Option& option : OptionsOf(*info)) {
      all.insert(all.end(), option.names.begin(), option.names.end());
      if (!option.takes_value) continue;
      valued.insert(valued.end(), option.names.begin(), option.names.end());
      const Words words(option.choices.begin(), option.choices.end());
      for (const std::string& name : option.names) {
        choices[Joined(words)].push_back(fmt::format("'{} {}'", info->name, name));
      }
    }
    options[Joined(all)].emplace_back(info->name);
    with_value[Joined(valued)].emplace_back(info->name);
    names[Joined(NamesFor(*info))].emplace_back(info->name);
  }
  for (const KeySpec& key : AllKeys()) {
    keys.push_back(fmt::format("{}=", key.name));
    values[Joined(ValuesOf(key))].emplace_back(key.name);
  }
  const auto function = [](std::string_view name, std::string_view subject,
                           const std::map<std::string, Words>& cases) {
    return fmt::format("_shardwise_{}() {{\n  case {} in\n{}  esac\n}}\n", name, subject,
                       Cases(cases));
  };
  return fmt::format("_shardwise_verbs='{}'\n_shardwise_keys='{}'\n", Joined(verbs), Joined(keys)) +
         fmt::format(
             "_shardwise_takes_keys() {{ case $1 in {}) return 0 ;; *) return 1 ;; esac; }}\n",
             fmt::join(keyed, " | ")) +
         function("options", "$1", options) + function("valued_options", "$1", with_value) +
         function("option_words", "\"$1 $2\"", choices) + function("names", "$1", names) +
         function("values", "$1", values);
}

}  // namespace

std::string BashCompletion() {
  return "# Completion of shardwise for bash: source this file.\n" + SharedFunctions() +
         R"sh(_shardwise() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
  local key= prefix= words=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "$_shardwise_verbs" -- "$current"))
    return
  fi
  # "=" is a word of its own, unless COMP_WORDBREAKS lacks it.
  if [[ $current == = ]]; then
    key=$before current=
  elif [[ $before == = ]] && ((COMP_CWORD > 2)); then
    key=${COMP_WORDS[COMP_CWORD-2]}
  elif [[ $current == *=* ]]; then
    key=${current%%=*} prefix=${current%%=*}= current=${current#*=}
  elif [[ " $(_shardwise_valued_options "$verb") " == *" $before "* ]]; then
    key=$before
  fi
  if [[ $key == -* ]]; then
    words=$(_shardwise_option_words "$verb" "$key")
  elif [[ -n $key ]]; then
    words=$(_shardwise_values "$key")
  elif [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(_shardwise_options "$verb")" -- "$current"))
    return
  fi
  if [[ -n $key ]]; then
    if [[ -n $words ]]; then
      COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$current"))
    else
      COMPREPLY=($(compgen -P "$prefix" -f -- "$current"))
    fi
    return
  fi
  words=$(_shardwise_names "$verb")
  if _shardwise_takes_keys "$verb"; then words+=" $_shardwise_keys"; fi
  COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
  # A key waits for its value.
  if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -o filenames -F _shardwise shardwise
)sh";
}

std::string ZshCompletion() {
  return "#compdef shardwise\n# Completion of shardwise for zsh: put this file into $fpath as "
         "_shardwise.\n" +
         SharedFunctions() +
         R"sh(_shardwise() {
  local current=${words[CURRENT]} before=${words[CURRENT-1]} verb=${words[2]} found
  if (( CURRENT == 2 )); then
    compadd -- ${=_shardwise_verbs}
  elif [[ $current == *=* ]]; then
    if [[ $current == -* ]]; then
      found=$(_shardwise_option_words $verb ${current%%=*})
    else
      found=$(_shardwise_values ${current%%=*})
    fi
    compset -P '*='
    if [[ -n $found ]]; then compadd -- ${=found}; else _files; fi
  elif [[ " $(_shardwise_valued_options $verb) " == *" $before "* ]]; then
    found=$(_shardwise_option_words $verb $before)
    if [[ -n $found ]]; then compadd -- ${=found}; else _files; fi
  elif [[ $current == -* ]]; then
    compadd -- $(_shardwise_options $verb)
  else
    compadd -- $(_shardwise_names $verb)
    if _shardwise_takes_keys $verb; then compadd -S '' -- ${=_shardwise_keys}; fi
    _files
  fi
}
if [[ $funcstack[1] == _shardwise ]]; then _shardwise "$@"; else compdef _shardwise shardwise; fi
)sh";
}

std::string FishCompletion() {
  std::string out =
      "# Completion of shardwise for fish: put this file into ~/.config/fish/completions.\n";
  Words keyed;
  for (const VerbInfo* info : Verbs()) {
    out += fmt::format("complete -c shardwise -n __fish_use_subcommand -f -a {} -d {}\n",
                       info->name, ShellWord(info->summary));
    const std::string when =
        fmt::format("complete -c shardwise -n '__fish_seen_subcommand_from {}'", info->name);
    for (const OptionParser::Option& option : OptionsOf(*info)) {
      out += when;
      for (const std::string& name : option.names) {
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      }
      if (!option.choices.empty()) {
        out += " -x -a " + ShellWord(fmt::format("{}", fmt::join(option.choices, " ")));
      } else if (option.takes_value) {
        out += " -r";
      }
      out += "\n";
    }
    if (const Words names = NamesFor(*info); !names.empty()) {
      out += when + " -a " + ShellWord(fmt::format("{}", fmt::join(names, " "))) + "\n";
    }
    if (TakesKeys(*info)) keyed.emplace_back(info->name);
  }
  Words keys;
  for (const KeySpec& key : AllKeys()) {
    const Words values = ValuesOf(key);
    if (values.empty()) keys.push_back(fmt::format("{}=", key.name));
    for (const std::string& value : values) keys.push_back(fmt::format("{}={}", key.name, value));
  }
  return out + fmt::format("complete -c shardwise -n '__fish_seen_subcommand_from {}' -a {}\n",
                           fmt::join(keyed, " "),
                           ShellWord(fmt::format("{}", fmt::join(keys, " "))));
}

}  // namespace shardwise
