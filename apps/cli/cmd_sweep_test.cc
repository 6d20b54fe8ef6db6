#include <gtest/gtest.h>

#include <sstream>

#include "apps/cli/sweep_progress.h"
#include "apps/cli/test_util.h"
#include "kernels/base/test_folder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

class SweepCli : public testing::Test, protected TestFolder {
 protected:
  static Result Sweep(const std::vector<std::string>& more, const Environment& environment = {}) {
    std::vector<std::string> arguments = MiniArguments(more);
    arguments.insert(arguments.begin(), "sweep");
    return Shardwise(arguments, environment);
  }
};

TEST_F(SweepCli, SweepReportAndMerge) {
  const std::string store = File("s.sqlite");
  const Result swept = Sweep(
      {"--set", "per_device_batch_size=1:4:*2", "--set", "remat_policy=full,minimal", "-o", store});
  EXPECT_EQ(swept.code, 0) << swept.err;
  EXPECT_NE(swept.out.find("6 points: 6 ok"), std::string::npos) << swept.out;
  EXPECT_NE(swept.out.find("Pareto front"), std::string::npos) << swept.out;
  EXPECT_NE(swept.out.find("shardwise simulate model_name=llama-mini"), std::string::npos);
  EXPECT_NE(swept.err.find("wrote " + store), std::string::npos) << swept.err;

  const Result report = Shardwise({"report", store, "--format", "csv"});
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(LinesOf(report.out).size(), 7u);
  // The same table without a store.
  const Result csv = Sweep({"--set", "per_device_batch_size=1:4:*2", "--set",
                            "remat_policy=full,minimal", "--format", "csv", "-o", "-", "-q"});
  EXPECT_EQ(csv.out, report.out);
  EXPECT_EQ(csv.err, "");
  for (const std::string format : {"json", "markdown", "text"}) {
    EXPECT_EQ(Shardwise({"report", store, "--format", format, "--top", "3"}).code, 0) << format;
  }

  const std::string out = path() + "/";
  for (const char* index : {"0", "1"}) {
    const Result shard = Sweep(
        {"--set", "per_device_batch_size=1:4:*2", "--set", "remat_policy=full,minimal", "-o", out},
        {{"BATCH_TASK_INDEX", index}, {"BATCH_TASK_COUNT", "2"}});
    EXPECT_EQ(shard.code, 0) << shard.err;
    EXPECT_NE(shard.err.find("by BATCH_TASK_INDEX: 3 of 6 points"), std::string::npos) << shard.err;
  }
  EXPECT_EQ(Shardwise({"merge", File("results-00000-of-00002.sqlite"), "-o", File("m")}).code, 2);
  EXPECT_EQ(Shardwise({"merge", File("results-00000-of-00002.sqlite"),
                       File("results-00001-of-00002.sqlite"), "-o", File("m")})
                .code,
            0);
  EXPECT_TRUE(ReadWhole(File("m")) == ReadWhole(store));
}

TEST_F(SweepCli, TablesToFilesLeaveNoStore) {
  const Result swept =
      Sweep({"--set", "per_device_batch_size=1,2", "--format", "json", "-o", File("s.json"), "-q"});
  EXPECT_EQ(swept.code, 0) << swept.err;
  EXPECT_EQ(swept.out + swept.err, "");
  EXPECT_NE(ReadWhole(File("s.json")).find("\"ranking\""), std::string::npos);
  EXPECT_EQ(Entries(), 1u);
}

TEST_F(SweepCli, ASectionOfAFile) {
  const std::string file = File("sweep.yml");
  std::ofstream(file) << "maxtext: {model_name: llama-mini, compile_topology: v5p-8,\n"
                         "  max_target_length: 256}\n"
                         "sweep:\n"
                         "  ici_fsdp_parallelism: [4, 2]\n"
                         "  per_device_batch_size: {start: 1, end: 2, step: 1}\n"
                         "  constraints: ['gbs == 8']\n";
  const Result swept = Shardwise({"sweep", file, "-o", File("s.sqlite")});
  EXPECT_EQ(swept.code, 0) << swept.err;
  EXPECT_NE(swept.out.find("4 points: 1 ok, 2 illegal, 1 filtered"), std::string::npos)
      << swept.out;
  // One scenario has no use for the section.
  EXPECT_EQ(Shardwise({"simulate", file, "ici_fsdp_parallelism=4"}).code, 0);
}

TEST_F(SweepCli, ExitCodes) {
  const std::vector<std::string> to = {"--format", "csv", "-o", "-", "--set"};
  const auto code = [&](const std::string& set) {
    std::vector<std::string> more = to;
    more.push_back(set);
    return Sweep(more).code;
  };
  EXPECT_EQ(code("per_device_batch_size=1"), 0);
  EXPECT_EQ(code("ici_tensor_parallelism=3,5"), 3);
  EXPECT_EQ(code("ici_fsdp_parallelism=4,5"), 0);
  EXPECT_EQ(code("model_name=llama-mini,gemma-7b"), 5);
}

TEST_F(SweepCli, BadUsage) {
  const std::string set = "per_device_batch_size=1,2";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "nothing to sweep over"},
      {{"--set", set, "--resume", "--overwrite"}, "exclude each other"},
      {{"--set", set, "-j", "0"}, "at least 1"},
      {{"--set", set, "-j", "x"}, "at least 1"},
      {{"--set", set, "--limit", "1"}, "2 points are more than 1"},
      {{"--set", set, "--shard", "2/2"}, "shards count from 0"},
      {{"--set", set, "--emit", "k8s"}, "--emit needs --shards"},
      {{"--set", set, "--emit", "slrm", "--shards", "4"}, "did you mean 'slurm'?"},
      {{"--set", set, "--where", "gbs <"}, "ends too early"},
      {{"--set", "per_device_batchsize=1"}, "did you mean 'per_device_batch_size'?"},
      {{"--set", set, "nonsense_key=1"}, "unknown key 'nonsense_key'"},
  };
  for (const auto& [arguments, says] : cases) {
    const Result result = Sweep(arguments);
    EXPECT_EQ(result.code, 2) << says;
    EXPECT_EQ(result.out, "") << says;
    EXPECT_NE(result.err.find(says), std::string::npos) << says << " in:\n" << result.err;
  }
  EXPECT_EQ(Shardwise({"merge", "a", "b"}).code, 2);
  EXPECT_EQ(Shardwise({"merge", "-o", "x"}).code, 2);
  EXPECT_EQ(Shardwise({"report"}).code, 2);
  EXPECT_EQ(Shardwise({"report", "no/such.sqlite"}).code, 6);
  EXPECT_EQ(Shardwise({"report", "x", "--by", "mfuu"}).code, 2);
  EXPECT_EQ(Shardwise({"report", "x", "--top", "-1"}).code, 2);
}

TEST_F(SweepCli, JobFilesNameEveryShard) {
  for (const std::string system : {"k8s", "slurm", "parallel"}) {
    const Result job = Sweep({"--set", "mesh_axes=['data','fsdp']", "--where", "gbs < 9", "--emit",
                              system, "--shards", "16"});
    EXPECT_EQ(job.code, 0) << job.err;
    EXPECT_NE(job.out.find("16 shards"), std::string::npos) << job.out;
    EXPECT_NE(job.out.find("shardwise sweep model_name=llama-mini"), std::string::npos) << job.out;
    EXPECT_NE(job.out.find("shardwise merge"), std::string::npos) << job.out;
    EXPECT_NE(job.out.find(system == "k8s" ? "completions: 16" : "15"), std::string::npos);
  }
}

TEST_F(SweepCli, ProgressFitsTheTerminal) {
  SweepProgress progress;
  progress.points = 10'000;
  progress.seconds = 2;
  progress.resumed = 100;
  for (int i = 0; i < 2600; ++i) {
    PointRecord record;
    record.index = i;
    record.values = {"4"};
    record.metrics.emplace();
    record.metrics->step_time_s = 13.92;
    record.metrics->tokens_per_s_per_chip = 4708;
    progress.Add(record);
  }
  const std::string line = ProgressLine(progress, {"ici_expert_parallelism"}, 200);
  EXPECT_EQ(line,
            "[=====>              ] 2,600/10,000  1,250/s  eta 6 s  "
            "best 13.92 s, 4,708 tokens/s/chip  ici_expert_parallelism=4");
  for (const int width : {1, 20, 79}) {
    EXPECT_EQ(ProgressLine(progress, {"ici_expert_parallelism"}, width),
              line.substr(0, static_cast<size_t>(width)));
  }
  std::ostringstream silent, lines;
  ProgressPrinter(silent, ProgressPrinter::Style::kSilent, 80, {"a"}).Show(progress);
  EXPECT_EQ(silent.str(), "");
  ProgressPrinter printer(lines, ProgressPrinter::Style::kLines, 80, {"a"});
  for (const double seconds : {1.0, 9.0, 10.5, 11.0, 19.0, 21.0}) {
    progress.seconds = seconds;
    printer.Show(progress);
  }
  EXPECT_EQ(LinesOf(lines.str()).size(), 2u) << lines.str();
}

}  // namespace
}  // namespace shardwise
