#include "sim/config/recipe.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/base/embedded.h"
#include "kernels/base/test_folder.h"
#include "sim/config/keys.h"
#include "sim/config/scenario.h"
#include "sim/config/utf8.h"

namespace shardwise {
namespace {

constexpr const char* kFolder = "sim/config/testdata/recipes/";

using Arguments = std::vector<std::pair<std::string, std::string>>;

struct Read {
  Recipe recipe;
  Arguments arguments;
  std::vector<std::string> flags;
  std::string error;

  std::string Value(const std::string& name) const {
    std::string found = "unset";
    for (const auto& [key, value] : arguments) {
      if (key == name) found = value;
    }
    return found;
  }
};

Read ReadText(std::string_view text, std::string_view name = "run.sh") {
  Diagnostics diagnostics;
  Read read;
  read.recipe = ReadRecipe(FileSource(name, text), diagnostics);
  for (const RecipeArgument& argument : read.recipe.arguments) {
    read.arguments.emplace_back(argument.name,
                                argument.unknown.empty() ? argument.value : argument.unknown);
  }
  for (const XlaFlagSetting& flag : read.recipe.xla_flags) read.flags.push_back(flag.text);
  read.error = Message(diagnostics.ToStatus());
  return read;
}

// The arguments of a script that starts MaxText with `words` behind it.
Arguments ArgumentsOf(const std::string& before, const std::string& words) {
  const Read read = ReadText(before + "\npython3 -m MaxText.train base.yml " + words + "\n");
  EXPECT_EQ(read.error, "");
  return read.arguments;
}

std::map<std::string, std::string> KeysOf(const Scenario& scenario) {
  std::map<std::string, std::string> keys;
  for (const ResolvedKey& key : scenario.keys) {
    const KeySpec& spec = AllKeys()[FindKey(key.name)];
    if (spec.use != KeyUse::kNeutral) keys[key.name] = key.value;
  }
  return keys;
}

// Four forms of one public run, and the scenario that was written from the run by hand.
TEST(Recipes, EveryFormResolvesToTheScenario) {
  StatusOr<Scenario> expected = LoadScenario({"IW-07"});
  ASSERT_TRUE(expected.ok());
  for (const char* name : {"xpk.sh", "k8s_manifest.yaml", "README.md", "local.sh"}) {
    StatusOr<Scenario> recipe = LoadScenario({std::string(kFolder) + name});
    ASSERT_TRUE(recipe.ok()) << name << "\n" << recipe.status();
    EXPECT_EQ(recipe->mesh.ToText(), expected->mesh.ToText()) << name;
    EXPECT_EQ(recipe->topology.name, expected->topology.name) << name;
    EXPECT_EQ(recipe->topology.num_slices, expected->topology.num_slices) << name;
    EXPECT_EQ(recipe->xla_flags, expected->xla_flags) << name;
    EXPECT_EQ(recipe->warnings.size(), expected->warnings.size()) << name;
    EXPECT_EQ(recipe->not_modelled.back(), expected->not_modelled.back()) << name;
    std::map<std::string, std::string> keys = KeysOf(*recipe), wanted = KeysOf(*expected);
    // Other spellings of the same slice, the default clock, and switches as Python writes them.
    keys["compile_topology"] = wanted["compile_topology"];
    keys["sim.dvfs_p_state"] = wanted["sim.dvfs_p_state"];
    for (auto& [key, value] : keys) {
      if (value == "True") value = "true";
    }
    // What a recipe may write out though it is the default.
    keys.erase("mesh_axes");
    wanted.erase("mesh_axes");
    EXPECT_EQ(keys, wanted) << name;
  }
}

// Every built-in scenario, written as a script that submits it.
TEST(Recipes, EveryScenarioSurvivesAsAScript) {
  const TestFolder folder;
  const std::string path = folder.File("scenario.sh");
  for (const std::string& id : BuiltInScenarios()) {
    const auto text = FindEmbedded("configs/scenarios/" + id + ".yml");
    ASSERT_TRUE(text.has_value()) << id;
    const StatusOr<YamlNode> root = ParseYaml(*text, id);
    ASSERT_TRUE(root.ok()) << root.status();
    std::string flags, arguments, machine;
    const YamlNode& keys = *root->Find("maxtext");
    for (size_t i = 0; i < keys.keys.size(); ++i) {
      const std::string value = keys.children[i].ToFlow();
      if (keys.keys[i].text == "compile_topology") {
        machine = "--device-type=" + value;
      } else {
        arguments += fmt::format(" \\\n\\\"{}={}\\\"", keys.keys[i].text, value);
      }
    }
    if (const YamlNode* list = root->Find("xla_flags")) {
      for (const YamlNode& flag : list->children) flags += flag.text + " \\\n";
    }
    std::ofstream(path) << "FLAGS=\"" << flags << "\"\nxpk workload create " << machine
                        << " --command=\"LIBTPU_INIT_ARGS='${FLAGS}' python3 -m MaxText.train "
                           "base.yml "
                        << arguments << "\"\n";
    const StatusOr<Scenario> expected = LoadScenario({id}), recipe = LoadScenario({path});
    ASSERT_TRUE(expected.ok() && recipe.ok()) << id << recipe.status();
    EXPECT_EQ(recipe->mesh.ToText(), expected->mesh.ToText()) << id;
    EXPECT_EQ(recipe->topology.name, expected->topology.name) << id;
    EXPECT_EQ(recipe->xla_flags, expected->xla_flags) << id;
    std::map<std::string, std::string> read = KeysOf(*recipe), wanted = KeysOf(*expected);
    for (auto* all : {&read, &wanted}) {
      std::erase_if(*all, [](const auto& key) { return key.first.starts_with("sim."); });
    }
    EXPECT_EQ(read, wanted) << id;
  }
}

TEST(Recipes, PlacesAreThoseOfTheScript) {
  StatusOr<Scenario> recipe = LoadScenario({std::string(kFolder) + "xpk.sh"});
  ASSERT_TRUE(recipe.ok()) << recipe.status();
  std::ifstream file(std::string(kFolder) + "xpk.sh");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  int checked = 0;
  for (const ResolvedKey& key : recipe->keys) {
    const size_t colon = key.origin.find(".sh:");
    if (colon == std::string::npos || key.origin.find(',') != std::string::npos) continue;
    if (key.value.size() < 3 || key.value == "null") continue;
    const std::string& line = lines[std::stoul(key.origin.substr(colon + 4)) - 1];
    EXPECT_NE(line.find(key.value), std::string::npos) << key.name << " at " << key.origin;
    ++checked;
  }
  EXPECT_GT(checked, 30);
  EXPECT_EQ(recipe->xla_flag_origins[0], "sim/config/testdata/recipes/xpk.sh:22");
}

TEST(Recipes, LaterArgumentsWinOverTheRecipe) {
  const std::string path = std::string(kFolder) + "k8s_manifest.yaml";
  StatusOr<Scenario> scenario =
      LoadScenario({path, "per_device_batch_size=4", "compile_topology=v5p-256",
                    "--xla_tpu_scoped_vmem_limit_kib=1"});
  ASSERT_TRUE(scenario.ok()) << scenario.status();
  EXPECT_EQ(scenario->per_device_batch_size, 4);
  EXPECT_EQ(scenario->topology.name, "v5p-256");
  EXPECT_EQ(scenario->XlaFlag("xla_tpu_scoped_vmem_limit_kib", ""), "1");
}

TEST(Recipes, WordsAreThoseOfBash) {
  const Arguments expected = {{"a", "x y"}, {"b", "$c"}, {"d", "e'f"}, {"g", "h\"i"}, {"j", ""}};
  EXPECT_EQ(ArgumentsOf("", R"(a="x y" b='$c' d="e'f" g="h\"i" j=)"), expected);
  EXPECT_EQ(ArgumentsOf("", R"(a=x\ y b=\$c d=e\'f g=h\"i j="")"), expected);
  EXPECT_EQ(ArgumentsOf("", R"("a=x y" 'b=$c' "d=e'f" 'g=h"i' j='')"), expected);
  EXPECT_EQ(ArgumentsOf("", "a=$'x y' \\\n  b='$c' d=$'e\\'f' \\\n g='h\"i' j=\"\\\n\""), expected);
  EXPECT_EQ(ArgumentsOf("", "a=1 # b=2"), (Arguments{{"a", "1"}}));
  EXPECT_EQ(ArgumentsOf("", "a=1#2 b=3"), (Arguments{{"a", "1#2"}, {"b", "3"}}));
  EXPECT_EQ(ArgumentsOf("", "a=1 2>&1 b=2 | tee c=3"), (Arguments{{"a", "1"}, {"b", "2"}}));
  EXPECT_EQ(ArgumentsOf("", "a=1 > b=2 c=3; d=4"), (Arguments{{"a", "1"}, {"c", "3"}}));
  EXPECT_EQ(ArgumentsOf("", "a=1 && b=2"), (Arguments{{"a", "1"}}));
  EXPECT_EQ(ArgumentsOf("", "mesh_axes=\"['data', 'fsdp']\""),
            (Arguments{{"mesh_axes", "['data', 'fsdp']"}}));
}

TEST(Recipes, VariablesAreThoseOfBash) {
  const Arguments expected = {{"a", "1"}, {"b", "2"}};
  EXPECT_EQ(ArgumentsOf("X='a=1 b=2'", "$X"), expected);
  EXPECT_EQ(ArgumentsOf("X=(a=1 b=2)", "\"${X[@]}\""), expected);
  EXPECT_EQ(ArgumentsOf("X=(a=1)\nX+=(b=2)", "${X[*]}"), expected);
  EXPECT_EQ(ArgumentsOf("X=(a=1 b=2)", "${X[0]} ${X[1]}"), expected);
  EXPECT_EQ(ArgumentsOf("X=a=1; X+=' b=2'", "${X}"), expected);
  EXPECT_EQ(ArgumentsOf("readonly N=1", "a=${N} b=${M:-2}"), expected);
  EXPECT_EQ(ArgumentsOf("N=; declare M=2", "a=${N:-1} b=${M-3}"), expected);
  EXPECT_EQ(ArgumentsOf("N=1", "${N:+a=1 b=2} ${N:+}"), expected);
  EXPECT_EQ(ArgumentsOf("if true; then N=1; fi\n[[ -n x ]] && M=2", "a=$N b=$M"), expected);
  EXPECT_EQ(ArgumentsOf("N=0\nN=1", "a=$N b=2"), expected);
  EXPECT_EQ(ArgumentsOf("X=\"a=1 \\\nb=2\"", "$X"), expected);
  EXPECT_EQ(ArgumentsOf("f() { Y=2; }", "a=1 b=$Y"), expected);
  // Quoted, it is one word.
  EXPECT_EQ(ArgumentsOf("X='1 b=2'", "a=\"$X\""), (Arguments{{"a", "1 b=2"}}));
  EXPECT_EQ(ArgumentsOf("X=''", "a=1 $X b=2 \"$X\""), expected);
}

TEST(Recipes, NothingIsRun) {
  const TestFolder folder;
  const std::string marker = folder.File("ran");
  const std::string touch = "touch " + marker;
  EXPECT_EQ(ArgumentsOf("X=$(" + touch + ")\n`" + touch + "`\n" + touch, "a=$X b=$(" + touch + ")"),
            (Arguments{{"a", "$(" + touch + ")"}, {"b", "$(" + touch + ")"}}));
  EXPECT_FALSE(std::filesystem::exists(marker));
  EXPECT_EQ(
      ArgumentsOf("for i in 1 2; do", "a=$i b=$((1+1)) c=${X//a/b} d=$1 e=$UNSET\ndone"),
      (Arguments{{"a", "i"}, {"b", "$((1+1))"}, {"c", "${X//a/b}"}, {"d", "$1"}, {"e", "$UNSET"}}));
}

TEST(Recipes, CommandsInCommands) {
  const std::string train = "python3 -m MaxText.train base.yml";
  for (const std::string& script :
       {"bash -c '" + train + " a=1'", "docker run image bash -c \"" + train + " a=1\"",
        "gcloud compute tpus tpu-vm ssh x --command='" + train + " a=1'",
        "time nohup " + train + " a=1 &", "if true; then " + train + " a=1; fi",
        "( cd MaxText && " + train + " a=1 )", "cat > x.sh <<'EOF'\n" + train + " a=1\nEOF",
        "bash <<-EOF\n\t" + train + " a=1\n\tEOF\n", "env A=B " + train + " a=1",
        std::string("python3 src/MaxText/train.py base.yml a=1"),
        std::string("python -u -m maxtext.trainers.pre_train.train_compile base.yml a=1")}) {
    const Read read = ReadText(script);
    EXPECT_EQ(read.error, "") << script;
    EXPECT_EQ(read.Value("a"), "1") << script;
  }
}

TEST(Recipes, MachineAndFlags) {
  const std::string train = "python3 -m MaxText.train base.yml a=1";
  Read read =
      ReadText("xpk workload create --tpu-type=v5p-128 --num-slices 4 --command='" + train + "'");
  EXPECT_EQ(read.Value("compile_topology"), "v5p-128");
  EXPECT_EQ(read.Value("compile_topology_num_slices"), "4");
  // The machine of the command that trains.
  read = ReadText(
      "xpk cluster create --tpu-type=v5p-8 --num-slices=2\nxpk workload create "
      "--tpu-type v5p-128 --command \"" +
      train + "\"\nxpk workload create --tpu-type v5p-64 --command \"" + train + "\"");
  EXPECT_EQ(read.Value("compile_topology"), "v5p-128");
  EXPECT_EQ(read.recipe.warnings.size(), 1u);
  // Only what the training process sees.
  read = ReadText("LIBTPU_INIT_ARGS=--a=1\nXLA_FLAGS=--b=2\n" + train);
  EXPECT_TRUE(read.flags.empty());
  read = ReadText("export LIBTPU_INIT_ARGS='--a=1  --c'\nXLA_FLAGS=--b=2 " + train);
  EXPECT_EQ(read.flags, (std::vector<std::string>{"--a=1", "--c", "--b=2"}));
  read = ReadText("export LIBTPU_INIT_ARGS=--a=1\nbash -c '" + train + "'");
  EXPECT_EQ(read.flags, std::vector<std::string>{"--a=1"});
  read = ReadText("export LIBTPU_INIT_ARGS=--a=1\nxpk --command='" + train + "'");
  EXPECT_TRUE(read.flags.empty());
  EXPECT_EQ(ReadText("export M_=1 M_steps=2 m_STEPS=3\n" + train).Value("steps"), "unset");
  read = ReadText("export M_STEPS=7\n" + train + " steps=8");
  EXPECT_EQ(read.Value("steps"), "8");
}

TEST(Recipes, ManifestsInScripts) {
  const Read read = ReadText(
      "BATCH=3\ncat <<EOF | kubectl apply -f -\napiVersion: batch/v1\nkind: Job\nspec:\n"
      "  nodeSelector: {cloud.google.com/gke-tpu-topology: 4x4x8,\n"
      "                 cloud.google.com/gke-tpu-accelerator: tpu-v5p-slice}\n"
      "  containers:\n  - command: [bash, -c]\n    args: ['python3 -m MaxText.train base.yml "
      "per_device_batch_size=${BATCH}']\n  replicatedJobs: [{replicas: 2}]\nEOF\n");
  EXPECT_EQ(read.error, "");
  EXPECT_EQ(read.Value("compile_topology"), "tpu-v5p-slice 4x4x8");
  EXPECT_EQ(read.Value("compile_topology_num_slices"), "2");
  EXPECT_EQ(read.Value("per_device_batch_size"), "3");
}

TEST(Recipes, MistakesPointIntoTheScript) {
  const TestFolder folder;
  const std::string path = folder.File("run.sh");
  const auto error_of = [&](const std::string& text, std::vector<std::string> more = {}) {
    std::ofstream(path) << text;
    more.insert(more.begin(), path);
    std::string error = Message(LoadScenario(more).status());
    for (size_t at; (at = error.find(path)) != std::string::npos;) {
      error.replace(at, path.size(), "run.sh");
    }
    return error;
  };
  const std::string start = "python3 -m MaxText.train base.yml compile_topology=v5p-8 ";
  EXPECT_EQ(error_of("ARGS=\"remat_polcy=full \\\n  dtype=1\"\n" + start + "${ARGS} steps=x"),
            "run.sh:1:7: error: unknown key 'remat_polcy'\n"
            "    1 | ARGS=\"remat_polcy=full \\\n"
            "      |       ^~~~~~~~~~~ did you mean 'remat_policy'?\n"
            "run.sh:2:9: error: '1' is not a value of dtype\n"
            "    2 |   dtype=1\"\n"
            "      |         ^\n"
            "help: legal values: bfloat16 float32 float16\n"
            "run.sh:3:72: error: steps expects an int, not 'x'\n"
            "    3 | " +
                start +
                "${ARGS} steps=x\n"
                "      |                                                                        ^");
  const std::string batch = start + "model_name=llama2-7b per_device_batch_size=$(nproc)";
  EXPECT_EQ(
      error_of(batch),
      "run.sh:1:101: error: per_device_batch_size depends on '$(nproc)', which this file does "
      "not say\n"
      "    1 | " +
          batch +
          "\n"
          "      | " +
          std::string(100, ' ') +
          "^\n"
          "help: add per_device_batch_size=... behind the file");
  EXPECT_EQ(error_of(batch, {"per_device_batch_size=1"}), "");
  EXPECT_EQ(error_of("echo hello\nenvsubst < k8s.yaml | kubectl apply -f -\n"),
            "run.sh: error: no MaxText training command in this file\n"
            "help: it submits 'k8s.yaml'; simulate that file");
  EXPECT_EQ(error_of("a='b\nc"),
            "run.sh:1:3: error: this quote is not closed\n    1 | a='b\n      |   ^");
  EXPECT_NE(error_of("python3 -m MaxText.sft_trainer base.yml a=b").find("is not built here"),
            std::string::npos);
  EXPECT_NE(error_of("python3 benchmarks/benchmark_runner.py xpk --model_name=x")
                .find("benchmark_runner names a configuration inside MaxText"),
            std::string::npos);
  EXPECT_NE(
      error_of("python3 -m MaxText.train MaxText/configs/v5p/128b.yml a=b").find("cannot read"),
      std::string::npos);
}

// What is not known stands in a note as it is written, cut between characters.
TEST(Recipes, NotesAreText) {
  std::string date = "$(x";
  for (int i = 0; i < 60; ++i) date += "\u00e9";
  const Read read = ReadText("xpk --tpu-type=v5p-$N --command='python3 -m MaxText.train base.yml " +
                             date + ") a=1'");
  ASSERT_EQ(read.recipe.notes.size(), 2u);
  EXPECT_EQ(read.recipe.notes[0], "run.sh: 1 MaxText argument, 0 XLA flags");
  EXPECT_NE(read.recipe.notes[1].find("'$(x\u00e9"), std::string::npos) << read.recipe.notes[1];
  for (const std::string& note : read.recipe.notes) {
    for (size_t i = 0, length = 0; i < note.size(); i += length) {
      length = CharacterLength(note, i);
      ASSERT_GT(length, 0u) << note;
    }
  }
}

TEST(Recipes, HostileScriptsEndSoon) {
  std::string doubling = "X=aaaaaaaa\n";
  for (int i = 0; i < 200; ++i) doubling += "X=$X$X\n";
  const std::string train = "python3 -m MaxText.train base.yml ";
  std::string nested, quotes, commands, documents;
  for (int i = 0; i < 50000; ++i) nested += "${a:-";
  for (int i = 0; i < 50000; ++i) quotes += "\"$(";
  for (int i = 0; i < 50000; ++i) commands += "X" + std::to_string(i) + "=1\nA=1 b\n";
  for (int i = 0; i < 5000; ++i) documents += "cat <<A <<B\n";
  for (const std::string& text : {doubling + train + "a=$X",
                                  nested,
                                  quotes,
                                  commands,
                                  documents,
                                  "((((((" + nested,
                                  std::string(300000, '('),
                                  std::string(300000, '`'),
                                  std::string(300000, '\\'),
                                  train + std::string(300000, 'a'),
                                  std::string("python3\0-m", 10),
                                  std::string("\xff"),
                                  std::string("apiVersion: x\nkind: [") + std::string(100000, '['),
                                  std::string("#!\n$"),
                                  std::string("\""),
                                  std::string("$'\\"),
                                  std::string("<<"),
                                  std::string("a=("),
                                  std::string("${"),
                                  std::string("${a["),
                                  std::string("bash -c"),
                                  std::string("--command")}) {
    const Read read = ReadText(text);
    EXPECT_LT(read.error.size(), 20000u);
  }
}

}  // namespace
}  // namespace shardwise
