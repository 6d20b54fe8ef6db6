// Verbs that print what is known: topologies, models, keys, version, completion, help.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/cli/test_util.h"
#include "apps/cli/verbs.h"
#include "kernels/base/test_folder.h"
#include "reports/test_util.h"
#include "sim/config/keys.h"
#include "sim/config/topologies.h"
#include "sim/config/xla_flags.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

nlohmann::json JsonOf(const std::vector<std::string>& arguments) {
  const Result result = Shardwise(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  return nlohmann::json::parse(result.out);
}

// What a shell prints for a script; "" if it fails.
std::string RunShell(const std::string& shell, const std::string& script) {
  const TestFolder folder;
  const std::string path = folder.File("script");
  std::ofstream(path) << script;
  FILE* pipe = ::popen((shell + " " + path + " 2>&1").c_str(), "r");
  std::string out;
  for (int c; pipe != nullptr && (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  const bool ok = pipe != nullptr && ::pclose(pipe) == 0;
  EXPECT_TRUE(ok) << shell << ": " << out.substr(0, 500);
  return out;
}

bool HasShell(const std::string& shell) {
  return std::system(("command -v " + shell + " >/dev/null 2>&1").c_str()) == 0;
}

TEST(Listings, TopologiesByAnyName) {
  EXPECT_EQ(JsonOf({"topologies", "--format", "json"}).size(), AllTopologies().size());
  const auto one = JsonOf({"topologies", "tpu-v5p-slice 8x4x4", "--format", "json"});
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0]["name"], "v5p-256");
  EXPECT_EQ(one[0]["shape"], "4x4x8");
  EXPECT_EQ(one[0]["chips"], 128);
  EXPECT_EQ(one[0]["devices"], 128);
  EXPECT_EQ(one[0]["hosts"], 32);
  EXPECT_EQ(one[0]["wraps"], "x y z");
  EXPECT_EQ(JsonOf({"topologies", "trillium", "--format", "json"}).size(), 8u);
  EXPECT_EQ(JsonOf({"topologies", "tpu7x-4x8x16", "--format", "json"})[0]["devices"], 1024);
  const Result none = Shardwise({"topologies", "tpu7x-4x4x6"});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("nearest sizes: tpu7x-"), std::string::npos) << none.err;
}

TEST(Listings, ModelsWithTheirParameters) {
  const auto models = JsonOf({"models", "--format", "json"});
  EXPECT_GE(models.size(), AllKeys()[FindKey("model_name")].Choices().size() - 1);
  const auto facts = [](const std::string& name) {
    return JsonOf({"models", name, "--format", "json"})[0];
  };
  // Published counts: Llama 3.1's model card; DeepSeek's.
  EXPECT_NEAR(facts("llama3.1-8b")["parameters"].get<double>(), 8.03e9, 0.01e9);
  EXPECT_NEAR(facts("llama3.1-405b")["parameters"].get<double>(), 405.9e9, 0.2e9);
  EXPECT_EQ(facts("llama3.1-405b")["layers"], 126);
  EXPECT_EQ(facts("deepseek4-284b")["decoder_block"], "deepseek4");
  EXPECT_EQ(facts("gemma3-27b")["built"], "no");
  EXPECT_EQ(Shardwise({"models", "lama3.1-8b"}).code, 2);
}

// Nothing about hardware is said without unit, source and status.
TEST(Listings, EveryNumberOfAChipIsSourced) {
  for (const auto& row : JsonOf({"chips", "--format", "json"})) {
    const std::string key = row["chip"].get<std::string>() + " " + row["key"].get<std::string>();
    const std::string value = row["value"], status = row["status"];
    const bool number = value.find_first_of("0123456789") == value.find_first_not_of("[-");
    EXPECT_EQ(row["unit"] != "", number && key.find("collectives.") == std::string::npos)
        << key << " " << value;
    EXPECT_TRUE(status == "published" || status == "measured" || status == "compiler" ||
                status == "assumed")
        << key;
    EXPECT_GT(row["source"].get<std::string>().size(), 5u) << key;
  }
}

TEST(Listings, XlaFlags) {
  EXPECT_EQ(JsonOf({"keys", "xla", "--format", "json"}).size(), AllXlaFlags().size());
  const auto flags = JsonOf({"keys", "xla", "dvfs", "--format", "json"});
  ASSERT_EQ(flags.size(), 1u);
  EXPECT_EQ(flags[0]["use"], "modelled on tpu7x; neutral elsewhere");
}

// Every key is described, and every default of ours is legal by its own schema's types.
TEST(Listings, JsonSchemas) {
  const auto maxtext = JsonOf({"keys", "--json-schema"});
  EXPECT_EQ(maxtext, JsonOf({"keys", "maxtext", "--json-schema"}));
  EXPECT_EQ(maxtext["$schema"], "https://json-schema.org/draft/2020-12/schema");
  size_t ours = 0;
  for (const KeySpec& key : AllKeys()) {
    if (key.name.starts_with("sim.")) {
      ++ours;
      continue;
    }
    ASSERT_TRUE(maxtext["properties"].contains(key.name)) << key.name;
    const auto& property = maxtext["properties"][std::string(key.name)];
    EXPECT_TRUE(key.type == "any" || property.contains("anyOf")) << key.name;
  }
  EXPECT_EQ(maxtext["properties"].size() + ours, AllKeys().size());
  const auto& batch = maxtext["properties"]["per_device_batch_size"];
  EXPECT_EQ(batch["anyOf"][0]["type"], "integer");
  const auto sim = JsonOf({"keys", "--json-schema", "sim"});
  EXPECT_EQ(sim["properties"]["moe"]["properties"].contains("load"), true);
  EXPECT_EQ(sim["properties"]["policy"]["anyOf"][0]["enum"].size(), 3u);
}

TEST(Listings, VersionNamesWhatItWasMadeFrom) {
  const std::string text = Shardwise({"version"}).out;
  EXPECT_EQ(LinesOf(text).size(), 5u) << text;
  for (const char* part :
       {"\nsource   v0\n", "\nbuild    ", ", g++ ", "\nkeys     ", "\nchips    5, sha256 "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
  }
}

TEST(XlaOptions, WinOverTheEnvironment) {
  const auto flags_of = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = MiniArguments(more);
    arguments.insert(arguments.begin(), {"simulate", "--show-config"});
    const std::string out =
        Shardwise(arguments, {{"LIBTPU_INIT_ARGS", "--xla_tpu_scoped_vmem_limit_kib=1"}}).out;
    return out.substr(std::min(out.find("\nxla_flags:"), out.size() - 1) + 1);
  };
  EXPECT_EQ(flags_of({}), "xla_flags:\n- --xla_tpu_scoped_vmem_limit_kib=1  # LIBTPU_INIT_ARGS\n");
  for (const std::vector<std::string>& option :
       {std::vector<std::string>{"--xla", "--xla_tpu_scoped_vmem_limit_kib=2"},
        {"--xla=--xla_tpu_scoped_vmem_limit_kib=2"},
        {"--xla", "xla_tpu_scoped_vmem_limit_kib=2"},
        {"--xla", "--xla_tpu_scoped_vmem_limit_kib=3", "--xla",
         "--xla_tpu_scoped_vmem_limit_kib=2"}}) {
    const std::string flags = flags_of(option);
    EXPECT_TRUE(flags.starts_with("xla_flags:\n- --xla_tpu_scoped_vmem_limit_kib=2  # argument "))
        << flags;
  }
}

// The words bash would offer for a line that ends in the last of `words`.
std::string Offered(const std::vector<std::string>& words) {
  std::string script = Shardwise({"completion", "bash"}).out + "\nCOMP_WORDS=(shardwise";
  for (const std::string& word : words) script += " '" + word + "'";
  script += ")\nCOMP_CWORD=" + std::to_string(words.size()) +
            "\n_shardwise\nprintf '%s ' \"${COMPREPLY[@]}\"\n";
  return RunShell("bash", script);
}

TEST(Completion, BashOffersWhatFits) {
  EXPECT_EQ(Offered({"simu"}), "simulate ");
  EXPECT_EQ(Offered({"topo"}), "topologies ");
  EXPECT_EQ(Offered({"simulate", "--fo"}), "--format ");
  EXPECT_EQ(Offered({"simulate", "--format", "j"}), "json ");
  EXPECT_EQ(Offered({"simulate", "--format", "=", "j"}), "json ");
  EXPECT_EQ(Offered({"simulate", "--policy", "l"}), "latency-hiding ");
  EXPECT_EQ(Offered({"simulate", "IW-0"}), "IW-05 IW-07 IW-08 ");
  EXPECT_EQ(Offered({"simulate", "IW-07", "remat_pol"}), "remat_policy= remat_policy_for_vit= ");
  EXPECT_EQ(Offered({"simulate", "remat_policy", "=", "minimal_o"}), "minimal_offloaded ");
  EXPECT_EQ(Offered({"simulate", "remat_policy=minimal_o"}), "remat_policy=minimal_offloaded ");
  EXPECT_EQ(Offered({"simulate", "opt_type", "=", "m"}), "muon ");
  EXPECT_EQ(Offered({"simulate", "scan_layers", "="}), "true false ");
  EXPECT_EQ(Offered({"simulate", "compile_topology", "=", "v6e-1"}), "v6e-1 v6e-16 v6e-128 ");
  EXPECT_EQ(Offered({"simulate", "model_name", "=", "deepseek4-2"}), "deepseek4-284b ");
  EXPECT_EQ(Offered({"chips", "v"}), "v4 v5e v5p v6e ");
  EXPECT_EQ(Offered({"completion", "z"}), "zsh ");
  EXPECT_EQ(Offered({"help", "gra"}), "graph ");
  EXPECT_NE(Offered({"simulate", "sim/config/testdata/rec"}).find("recipes"), std::string::npos);
  EXPECT_NE(Offered({"simulate", "-o", "README.m"}).find("README.md"), std::string::npos);
}

TEST(Completion, OtherShellsReadTheirScripts) {
  for (const char* shell : {"zsh", "fish"}) {
    const Result script = Shardwise({"completion", shell});
    EXPECT_EQ(script.code, 0);
    EXPECT_NE(script.out.find("remat_policy="), std::string::npos) << shell;
    EXPECT_NE(script.out.find("topologies"), std::string::npos) << shell;
    if (!HasShell(shell)) continue;
    RunShell(std::string(shell) + " -n", script.out);
  }
  EXPECT_EQ(Shardwise({"completion", "csh"}).code, 2);
  if (!HasShell("fish")) return;
  const std::string script = Shardwise({"completion", "fish"}).out;
  const auto offered = [&](const std::string& line) {
    return RunShell("fish", script + "\ncomplete -C '" + line + "'\n");
  };
  EXPECT_NE(offered("shardwise topo").find("topologies\t"), std::string::npos);
  EXPECT_EQ(offered("shardwise simulate --format j"), "json\n");
  EXPECT_EQ(offered("shardwise simulate remat_policy=minimal_o"),
            "remat_policy=minimal_offloaded\n");
  EXPECT_NE(offered("shardwise chips v").find("v5p\n"), std::string::npos);
}

TEST(ManPage, HoldsEveryVerbAndOption) {
  const std::string page = Shardwise({"help", "--man"}).out;
  EXPECT_TRUE(page.starts_with(".TH SHARDWISE 1 "));
  for (const VerbInfo* info : Verbs()) {
    const std::unique_ptr<Verb> verb = info->make();
    OptionParser parser(info->name);
    verb->Bind(parser);
    for (std::string option : parser.Names()) {
      for (size_t i = 0; (i = option.find('-', i)) != std::string::npos; i += 2)
        option.insert(i, "\\");
      EXPECT_NE(page.find(option), std::string::npos) << info->name << " " << option;
    }
  }
  // No line of text is taken for a request.
  for (const std::string& line : LinesOf(page)) {
    if (!line.starts_with('.')) continue;
    const std::string request = line.substr(0, line.find(' '));
    EXPECT_TRUE(request == ".TH" || request == ".SH" || request == ".TP" || request == ".B" ||
                request == ".I" || request == ".PP" || request == ".br" || request == ".nf" ||
                request == ".fi")
        << line;
  }
  if (HasShell("groff")) {
    const std::string warnings =
        RunShell("bash", "groff -man -ww -z -Tutf8 <<'END_OF_PAGE'\n" + page + "END_OF_PAGE\n");
    EXPECT_EQ(warnings, "");
  }
}

// The commands below "Example:" of a help text, as words.
std::vector<std::vector<std::string>> ExamplesOf(std::string_view help) {
  std::vector<std::vector<std::string>> examples;
  std::string text(help.substr(std::min(help.rfind("\nExample"), help.size())));
  for (size_t at; (at = text.find("\\\n")) != std::string::npos;) text.replace(at, 2, "  ");
  for (const std::string& line : LinesOf(text)) {
    if (!line.starts_with("  shardwise ")) continue;
    std::vector<std::string>& words = examples.emplace_back();
    bool quoted = false, fresh = true;
    for (char c : line.substr(12, line.find(" > ") - 12)) {
      if (c == '"' || c == '\'') {
        quoted = !quoted;
      } else if (c == ' ' && !quoted) {
        fresh = true;
      } else {
        if (std::exchange(fresh, false)) words.emplace_back();
        words.back() += c;
      }
    }
  }
  return examples;
}

// A word that names a file of the user's.
bool NamesAFile(const std::string& word) {
  const std::string ending = fs::path(word).extension();
  return (ending == ".sh" || ending == ".yml" || ending == ".json" || ending == ".sqlite" ||
          ending == ".yaml" || word.find('/') != std::string::npos) &&
         word.find('=') == std::string::npos;
}

TEST(Examples, ParseAndRun) {
  const TestFolder folder;
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  for (const VerbInfo* info : Verbs()) {
    const auto examples = ExamplesOf(info->help);
    EXPECT_FALSE(examples.empty()) << info->name;
    for (const std::vector<std::string>& words : examples) {
      ASSERT_FALSE(words.empty());
      const VerbInfo* verb = FindVerb(words[0]);
      ASSERT_NE(verb, nullptr) << words[0];
      OptionParser parser(verb->name);
      const std::unique_ptr<Verb> made = verb->make();
      made->Bind(parser);
      const Status parsed = parser.Parse({words.begin() + 1, words.end()});
      EXPECT_TRUE(parsed.ok()) << parsed;
      const auto& rest = parser.rest();
      // Minutes of work are not for a unit test.
      const bool long_work = words[0] == "study" || words[0] == "sweep" || words[0] == "search";
      if (long_work || std::any_of(rest.begin(), rest.end(), NamesAFile)) continue;
      const Result result = Shardwise(words);
      EXPECT_TRUE(result.code == 0 || result.code == 3) << info->name << ": " << result.err;
    }
  }
  fs::current_path(before);
}

}  // namespace
}  // namespace shardwise
