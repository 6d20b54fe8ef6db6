#include "apps/cli/run_main.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "apps/cli/test_util.h"
#include "apps/cli/verbs.h"
#include "kernels/base/test_folder.h"
#include "reports/test_util.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

Result Simulate(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = MiniArguments(more);
  arguments.insert(arguments.begin(), "simulate");
  return Shardwise(arguments);
}

TEST(Cli, VersionAndHelp) {
  const Result version = Shardwise({"version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_TRUE(
      version.out.starts_with("shardwise 0.1.0, MaxText semantics e591f30\nsource   v0\nbuild    "))
      << version.out;
  EXPECT_EQ(Shardwise({"--version"}).out, version.out);
  EXPECT_EQ(Shardwise({"help"}).out, Shardwise({"--help"}).out);
  EXPECT_EQ(Shardwise({"help", "graph"}).out, std::string(kGraphVerb.help));
  EXPECT_EQ(Shardwise({"graph", "-h"}).out, std::string(kGraphVerb.help));
  EXPECT_EQ(Shardwise({"simulate", "IW-07", "--help"}).out, std::string(kSimulateVerb.help));
}

// Every option the parser takes is explained, every verb has an example, all fits a terminal.
TEST(Cli, HelpNamesEveryOption) {
  const std::string all = Shardwise({"help", "--all"}).out;
  for (const VerbInfo* verb : Verbs()) {
    const std::string text(verb->help);
    EXPECT_NE(all.find(text), std::string::npos) << verb->name;
    EXPECT_NE(text.find("Example"), std::string::npos) << verb->name;
    EXPECT_TRUE(text.starts_with("shardwise " + std::string(verb->name))) << verb->name;
    OptionParser parser(verb->name);
    const std::unique_ptr<Verb> made = verb->make();
    made->Bind(parser);
    EXPECT_FALSE(parser.Names().empty()) << verb->name;
    for (const std::string& option : parser.Names()) {
      EXPECT_NE(text.find(option), std::string::npos) << verb->name << " " << option;
    }
    for (const std::string& line : LinesOf(text)) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(Cli, BadUsageExitsTwoAndSuggests) {
  struct Case {
    std::vector<std::string> arguments;
    std::string says;
  };
  const std::vector<Case> cases = {
      {{}, "no verb"},
      {{"simulat"}, "did you mean 'simulate'?"},
      {{"help", "grph"}, "did you mean 'graph'?"},
      {{"simulate", "--fromat", "json", "IW-07"}, "did you mean '--format'?"},
      {{"simulate", "IW-07", "--format", "jsno"}, "did you mean 'json'?"},
      {{"simulate", "IW-07", "--format"}, "--format"},
      {{"simulate"}, "nothing to simulate"},
      {{"simulate", "IW-07", "--table", "ops"}, "--table needs --format csv"},
      {{"simulate", "IW-07", "--format", "csv", "--table", "op"}, "expected summary, ops"},
      {{"simulate", "IW-07", "--policy", "fastest"}, "fastest"},
      {{"simulate", "IW-07", "--trace", "-"}, "--trace needs a file"},
      {{"simulate", "IW-07", "--trace", "x", "-o", "x"}, "the same file"},
      {{"simulate", "per_device_batchsize=2"}, "did you mean 'per_device_batch_size'?"},
      {{"graph"}, "no program"},
      {{"chips", "v7"}, "unknown chip"},
      {{"ops", "add"}, "takes no arguments"},
      {{"keys", "no_key_is_called_so"}, "no key contains"},
  };
  for (const Case& c : cases) {
    const Result result = Shardwise(c.arguments);
    EXPECT_EQ(result.code, 2) << c.says;
    EXPECT_EQ(result.out, "") << c.says;
    EXPECT_NE(result.err.find(c.says), std::string::npos) << c.says << " in:\n" << result.err;
  }
}

TEST(Cli, SimulatePrintsOnlyTheResult) {
  const Result result = Simulate({});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_NE(result.out.find("completed step: 0, seconds: "), std::string::npos);
}

// What each renderer needs is there when it runs.
TEST(Cli, ReportsAreFilled) {
  const Result page = Simulate({"--format", "html"});
  EXPECT_EQ(page.code, 0) << page.err;
  for (const char* table : {"t-path", "t-roofline", "t-parameters", "t-activations", "t-rules"}) {
    const size_t at = page.out.find("id=\"" + std::string(table) + "\"");
    ASSERT_NE(at, std::string::npos) << table;
    EXPECT_LT(page.out.find("<td", at), page.out.find("</table>", at)) << table << " has no row";
  }
  const auto json = nlohmann::json::parse(Simulate({"--format", "json"}).out);
  for (const char* list : {"critical_path", "roofline", "memory_over_step"}) {
    EXPECT_FALSE(json[list].empty()) << list;
  }
}

TEST(Cli, PolicyIsTheSameAsItsKey) {
  const auto step = [](const std::vector<std::string>& more) {
    const Result result = Simulate(more);
    EXPECT_EQ(result.code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  };
  const auto by_option = step({"--format", "json", "--policy", "program-order"});
  const auto by_key = step({"--format", "json", "sim.policy=program-order"});
  EXPECT_EQ(by_option["policy"], "program-order");
  EXPECT_EQ(by_option["step_time_ps"], by_key["step_time_ps"]);
}

// Environment, --sim and --xla are read by every verb that reads a step; each is wrong here.
TEST(Cli, EveryVerbReadsAStepTheSameWay) {
  const TestFolder folder;
  const std::vector<std::vector<std::string>> commands = {
      {"simulate", "IW-07"},
      {"explain", "mfu", "IW-07"},
      {"diff", "IW-07", "remat_policy=full"},
      {"sweep", "IW-07", "--set", "steps=1,2", "-o", folder.File("s.sqlite")},
      {"accuracy", "IW-07"},
      {"graph", "IW-07"},
      {"shard", "IW-07"}};
  for (const std::vector<std::string>& command : commands) {
    const auto complains = [&](const std::string& what, std::vector<std::string> more,
                               const Environment& environment = {}) {
      more.insert(more.begin(), command.begin(), command.end());
      const Result result = Shardwise(more, environment);
      const std::string text = result.out + result.err;  // a sweep lists what is wrong with points
      EXPECT_NE(result.code, 0) << command[0];
      EXPECT_NE(text.find(what), std::string::npos) << command[0] << ": " << text;
    };
    complains("M_MODEL_NAME", {}, {{"M_MODEL_NAME", "llama2-7b"}});
    complains("none.yml", {"--sim", folder.File("none.yml")});
    complains("xla_tpu_dvfs_p_state", {"--xla", "--xla_tpu_dvfs_p_state=x"});
  }
}

TEST(Cli, CsvTablesHaveTheirColumns) {
  const auto header = [](const std::string& table) {
    const Result result = Simulate({"--format=csv", "--table", table});
    EXPECT_EQ(result.code, 0) << table;
    EXPECT_GT(LinesOf(result.out).size(), 1u) << table;
    return result.out.substr(0, result.out.find("\r\n"));
  };
  EXPECT_EQ(header("causes"), "group,cause,phase,time_ps,fraction");
  EXPECT_EQ(header("memory"), "name,scope,role,shape,bytes,fraction");
  EXPECT_TRUE(header("ops").starts_with("rank,program_id,category,hlo_op_name,"));
  EXPECT_TRUE(header("collectives").starts_with("kind,axes,group,links,"));
  EXPECT_TRUE(header("summary").starts_with("id,model_name,topology,"));
}

TEST(Cli, DoesNotFitIsAReportAndExitThree) {
  const std::vector<std::string> large = {"simulate",
                                          "model_name=llama3.1-8b",
                                          "compile_topology=v6e-1",
                                          "ici_fsdp_parallelism=1",
                                          "per_device_batch_size=1",
                                          "max_target_length=1024"};
  const Result result = Shardwise(large);
  EXPECT_EQ(result.code, 3);
  EXPECT_TRUE(result.err.starts_with(
      "shardwise: error: simulated: Ran out of memory in memory space hbm. Used "))
      << result.err;
  EXPECT_NE(result.out.find("completed step: 0, seconds: "), std::string::npos);
  EXPECT_NE(result.out.find("does not fit"), std::string::npos);
  std::vector<std::string> allowed = large;
  allowed.push_back("--allow-oom");
  EXPECT_EQ(Shardwise(allowed).code, 0);
}

TEST(Cli, NotModelledExitsFour) {
  const Result result =
      Shardwise({"simulate", "model_name=deepseek3-671b", "compile_topology=v5p-8",
                 "ici_fsdp_parallelism=4", "per_device_batch_size=1"});
  EXPECT_EQ(result.code, 4) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST(Cli, UnreadableAndUnwritableExitSix) {
  const TestFolder folder;
  EXPECT_EQ(Shardwise({"simulate", folder.File("none.yml")}).code, 6);
  EXPECT_EQ(Shardwise({"accuracy", folder.path()}).code, 6);  // holds no scenario
  for (const std::string option : {"-o", "--trace"}) {
    const Result result = Simulate({option, folder.File("none/r")});
    EXPECT_EQ(result.code, 6) << option;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("cannot write"), std::string::npos) << result.err;
  }
  EXPECT_EQ(Simulate({"-o", "/dev/full"}).code, 6);
  // A trace that could be written is not left beside a report that could not.
  const Result both =
      Simulate({"--trace", folder.File("t.pftrace"), "-o", folder.File("none/r.txt")});
  EXPECT_EQ(both.code, 6);
  EXPECT_EQ(folder.Entries(), 0u);
}

TEST(Cli, FilesHoldWhatStandardOutputWould) {
  const TestFolder folder;
  const std::string path = folder.File("report.json");
  const Result to_file = Simulate({"--format", "json", "-o", path});
  EXPECT_EQ(to_file.code, 0);
  EXPECT_EQ(to_file.out, "");
  EXPECT_EQ(ReadWhole(path), Simulate({"--format", "json"}).out);
  EXPECT_EQ(Simulate({"--trace", folder.File("t.pftrace")}).code, 0);
  EXPECT_GT(fs::file_size(folder.File("t.pftrace")), 1000u);
  EXPECT_EQ(folder.Entries(), 2u);
}

// A full standard output is an error, not silence.
TEST(Cli, FullStandardOutputExitsSix) {
  std::ofstream full("/dev/full");
  std::ostringstream err;
  EXPECT_EQ(RunMain({"ops"}, {full, err}), 6);
  EXPECT_EQ(err.str(), "shardwise: error: cannot write standard output\n");
}

TEST(Cli, ShownConfigSimulatesTheSame) {
  const TestFolder folder;
  const Result shown = Simulate({"--show-config"});
  EXPECT_EQ(shown.code, 0);
  EXPECT_NE(shown.out.find("  per_device_batch_size: 1  # argument 4\n"), std::string::npos);
  EXPECT_NE(shown.out.find("  base_emb_dim: 32  # configs/models/llama-mini.yml:2\n"),
            std::string::npos);
  const auto report_of = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "simulate");
    arguments.insert(arguments.end(), {"--format", "json", "--allow-oom"});
    const Result result = Shardwise(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    nlohmann::json report = nlohmann::json::parse(result.out);
    for (const char* about_files : {"id", "config", "measured", "notes", "warnings"}) {
      report.erase(about_files);
    }
    return report.dump();
  };
  const std::string rules = folder.File("rules.yml");
  std::ofstream(rules) << "logical_axis_rules: [[embed, [fsdp]], [mlp, [tensor]], ['a]: #', []]]\n";
  std::vector<std::vector<std::string>> runs = {
      {"model_name=llama2-7b", "compile_topology=v5p-16", "custom_mesh_and_rule=pure-fsdp"},
      {"model_name=llama2-7b", "compile_topology=v5p-16", rules},
      {"model_name=llama2-7b", "compile_topology=v5p-16", "base_emb_dim=2048",
       "override_model_config=true", "run_name=\"a: '# b\\n\"", "sim.policy=ideal"}};
  for (const std::string& id : BuiltInScenarios()) runs.push_back({id});
  for (const std::vector<std::string>& run : runs) {
    const std::string path = folder.File("shown.yml");
    std::vector<std::string> arguments = run;
    arguments.insert(arguments.begin(), {"simulate", "--show-config", "-o", path});
    EXPECT_EQ(Shardwise(arguments).code, 0);
    EXPECT_EQ(report_of({path}), report_of(run)) << run.back();
  }
}

TEST(Cli, GraphIsAProgram) {
  std::vector<std::string> arguments = MiniArguments();
  arguments.insert(arguments.begin(), "graph");
  const Result whole = Shardwise(arguments);
  EXPECT_EQ(whole.code, 0) << whole.err;
  EXPECT_EQ(whole.out.find("all_gather"), std::string::npos);
  arguments.push_back("--partitioned");
  const Result local = Shardwise(arguments);
  EXPECT_EQ(local.code, 0) << local.err;
  EXPECT_NE(local.out.find("all_gather"), std::string::npos);
}

TEST(Cli, AccuracyOfOneScenario) {
  const Result result = Shardwise({"accuracy", "IW-07", "--format", "json"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["rows"].size(), 1u);
  EXPECT_EQ(json["rows"][0]["id"], "IW-07");
  const double predicted = json["rows"][0]["predicted_s"], measured = json["rows"][0]["measured_s"];
  EXPECT_NEAR(json["rows"][0]["error"].get<double>(), predicted / measured - 1, 1e-12);
}

// A folder may hold scenarios that nobody has measured; one that is named is shown all the same.
TEST(Cli, AccuracyOfAFolderTakesWhatIsMeasured) {
  const TestFolder folder;
  for (const std::string id : {"P-02", "V4-Flash"}) {
    std::ofstream(folder.File(id + ".yml"))
        << "id: " << id << "\n"
        << (id == "P-02" ? "measured: {step_time_s: 1.5}\n" : "")
        << "maxtext: {model_name: llama-mini, compile_topology: v6e-8, max_target_length: 256}\n";
  }
  const Result all = Shardwise({"accuracy", folder.path(), "--format", "csv"});
  EXPECT_EQ(all.code, 0) << all.err;
  ASSERT_EQ(LinesOf(all.out).size(), 2u);
  EXPECT_TRUE(LinesOf(all.out)[1].starts_with("P-02,"));
  const Result named = Shardwise({"accuracy", folder.File("V4-Flash.yml"), "--format", "csv"});
  EXPECT_EQ(named.code, 0) << named.err;
  EXPECT_EQ(LinesOf(named.out).size(), 2u);
}

TEST(Cli, AccuracyGoesOnAfterAFailure) {
  const Result result = Shardwise({"accuracy", "IW-07", "IW-0O", "--format", "csv"});
  EXPECT_EQ(result.code, 6);
  EXPECT_EQ(LinesOf(result.out).size(), 3u);
  EXPECT_NE(result.err.find("did you mean 'IW-0"), std::string::npos) << result.err;
}

TEST(Cli, ListingsCoverAllChips) {
  const std::string markdown = Shardwise({"chips", "--format", "markdown"}).out;
  for (const char* chip : {"v4", "v5e", "v5p", "v6e", "tpu7x"}) {
    EXPECT_NE(markdown.find(std::string("\n## ") + chip + "\n"), std::string::npos) << chip;
  }
  EXPECT_NE(Shardwise({"ops"}).out.find("\neinsum  (matmul, compute, differentiable: yes)\n"),
            std::string::npos);
  EXPECT_NE(Shardwise({"keys", "remat_policy"}).out.find("remat_policy"), std::string::npos);
}

}  // namespace
}  // namespace shardwise
