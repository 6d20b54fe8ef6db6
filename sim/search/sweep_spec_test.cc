#include "sim/search/sweep_spec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "sim/config/keys.h"
#include "sim/search/axis_values.h"
#include "sim/search/shard.h"
#include "sim/search/sweep_names.h"
#include "sim/search/sweep_spec_reader.h"

namespace shardwise {
namespace {

std::vector<std::string> ValuesOf(const std::string& text) {
  Diagnostics diagnostics;
  const auto values = ParseAxisValues(
      text, {.source = FileSource("--set", text), .line = 1, .column = 1}, diagnostics);
  if (!values.has_value()) return {Message(diagnostics.ToStatus())};
  std::vector<std::string> texts;
  for (const YamlNode& value : *values) texts.push_back(value.ToFlow());
  return texts;
}

using Texts = std::vector<std::string>;

TEST(AxisValues, ListsAndRanges) {
  EXPECT_EQ(ValuesOf("1,2,4"), (Texts{"1", "2", "4"}));
  EXPECT_EQ(ValuesOf("full, minimal"), (Texts{"full", "minimal"}));
  EXPECT_EQ(ValuesOf("[a,b],[c],{k: [1,2]}"), (Texts{"[a, b]", "[c]", "{k: [1, 2]}"}));
  EXPECT_EQ(ValuesOf("'a,b',\"c, d\",it's"), (Texts{"'a,b'", "'c, d'", "it's"}));
  EXPECT_EQ(ValuesOf("1:16:*2"), (Texts{"1", "2", "4", "8", "16"}));
  EXPECT_EQ(ValuesOf("1:15:*2"), (Texts{"1", "2", "4", "8"}));
  EXPECT_EQ(ValuesOf("1:8:+3"), (Texts{"1", "4", "7"}));
  EXPECT_EQ(ValuesOf("8:1:-3"), (Texts{"8", "5", "2"}));
  EXPECT_EQ(ValuesOf("0.1:0.3:+0.1"), (Texts{"0.1", "0.2", "0.3"}));
  EXPECT_EQ(ValuesOf("8:1:*0.5"), (Texts{"8", "4", "2", "1"}));
  EXPECT_EQ(ValuesOf("5:5:*2"), (Texts{"5"}));
  EXPECT_EQ(ValuesOf("4611686018427387904:9223372036854775807:*2"), (Texts{"4611686018427387904"}));
}

TEST(AxisValues, Mistakes) {
  const auto says = [](const std::string& text, const std::string& what) {
    const Texts values = ValuesOf(text);
    ASSERT_EQ(values.size(), 1u) << text;
    EXPECT_NE(values[0].find(what), std::string::npos) << values[0];
    EXPECT_NE(values[0].find("--set:1:"), std::string::npos) << values[0];
  };
  says("", "a value is missing");
  says("1,,2", "a value is missing");
  says("1:8", "a range ends with how it goes on");
  says("1:8:2", "1:8:*2 doubles");
  says("1:8:*x", "expected a number, got 'x'");
  says("1:inf:+1", "expected a number");
  says("1:8:+0", "never comes from 1 to 8");
  says("1:8:*1", "never comes from 1 to 8");
  says("8:1:+1", "never comes from 8 to 1");
  says("0:8:*2", "is positive");
  says("1:8:*-2", "must be positive");
  says("1:1e15:+1", "more than 1000000 values");
  says("1:2:+1e-9", "more than 1000000 values");
  says("1,1:8:*2", "a range stands alone");
  says("[a,b", "is not closed");
}

RC_GTEST_PROP(AxisValues, RangesHoldWhatArithmeticSays, ()) {
  const auto start = *rc::gen::inRange<int64_t>(-50, 50);
  const auto end = *rc::gen::inRange<int64_t>(start, start + 200);
  const auto step = *rc::gen::inRange<int64_t>(1, 20);
  Texts expected;
  for (int64_t value = start; value <= end; value += step)
    expected.push_back(std::to_string(value));
  RC_ASSERT(ValuesOf(fmt::format("{}:{}:+{}", start, end, step)) == expected);
}

StatusOr<SweepSpec> Read(std::vector<std::string> sets, std::vector<std::string> zips = {},
                         const std::string& section = "") {
  SweepRequest request;
  request.sets = std::move(sets);
  request.zips = std::move(zips);
  if (!section.empty()) {
    request.section.emplace(FileSource("sim.yml", section), *ParseYaml(section, "sim.yml"));
  }
  return ReadSweepSpec(request);
}

// All points as "a b c".
Texts PointsOf(const SweepSpec& spec) {
  Texts points;
  for (int64_t i = 0; i < spec.points; ++i) {
    std::string text;
    for (const SweptValue& value : spec.Values(i)) text += value.value_or("-") + " ";
    points.push_back(text.substr(0, text.size() - 1));
  }
  return points;
}

TEST(SweepSpec, TheLastKeyVariesFastest) {
  const auto spec = Read({"ici_fsdp_parallelism=1,2", "remat_policy=full,minimal"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(PointsOf(*spec), (Texts{"1 full", "1 minimal", "2 full", "2 minimal"}));
}

TEST(SweepSpec, ZippedKeysMoveTogether) {
  const auto spec = Read(
      {"ici_fsdp_parallelism=1,2,4", "remat_policy=full,minimal", "ici_expert_parallelism=8,4,2"},
      {"ici_fsdp_parallelism,ici_expert_parallelism"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->Keys(),
            (Texts{"ici_fsdp_parallelism", "ici_expert_parallelism", "remat_policy"}));
  EXPECT_EQ(PointsOf(*spec), (Texts{"1 8 full", "1 8 minimal", "2 4 full", "2 4 minimal",
                                    "4 2 full", "4 2 minimal"}));
}

TEST(SweepSpec, FlagsComeOnTopOfAFile) {
  const std::string section =
      "ici_fsdp_parallelism: {start: 1, end: 4, multiplier: 2}\n"
      "remat_policy: [full, minimal]\n"
      "zip: [[ici_fsdp_parallelism, per_device_batch_size]]\n"
      "per_device_batch_size: {start: 2, end: 6, step: 2}\n"
      "constraints: ['gbs > 1']\n";
  const auto plain = Read({}, {}, section);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->points, 6);
  EXPECT_EQ(PointsOf(*plain).front(), "1 2 full");
  ASSERT_EQ(plain->constraints.size(), 1u);
  EXPECT_EQ(plain->constraints[0].text(), "gbs > 1");
  const auto changed = Read({"remat_policy=custom"}, {}, section);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(PointsOf(*changed), (Texts{"1 2 custom", "2 4 custom", "4 6 custom"}));
}

TEST(SweepSpec, MistakesOfOnePassComeTogether) {
  const auto spec = Read({"ici_fdsp_parallelism=1", "per_device_batch_size=x", "remat_policy",
                          "steps=1,2,1", "steps=3"},
                         {"steps", "steps,seed"});
  ASSERT_FALSE(spec.ok());
  const std::string message = Message(spec.status());
  for (const std::string what :
       {"did you mean 'ici_fsdp_parallelism'?", "per_device_batch_size expects", "key=values",
        "'1' is given twice", "steps is swept twice", "two keys or more", "'seed' is not swept"}) {
    EXPECT_NE(message.find(what), std::string::npos) << what << " in\n" << message;
  }
}

TEST(SweepSpec, TooManyPointsAreRefused) {
  const std::vector<std::string> sets = {
      "steps=1:1000:+1", "learning_rate_schedule_steps=1:1000:+1", "log_period=1:1000:+1"};
  const auto spec = Read(sets);
  ASSERT_FALSE(spec.ok());
  EXPECT_NE(Message(spec.status()).find("--limit 1000000000"), std::string::npos);
  SweepRequest allowed;
  allowed.sets = sets;
  allowed.limit = 1'000'000'000;
  EXPECT_EQ(ReadSweepSpec(allowed)->points, 1'000'000'000);
  // 10^24 is more than 64 bits hold.
  std::vector<std::string> more = sets;
  for (const char* key : {"checkpoint_period", "eval_interval", "eval_steps", "profiler_steps",
                          "max_target_length"}) {
    more.push_back(std::string(key) + "=1:1000:+1");
  }
  EXPECT_NE(Message(Read(more).status()).find("2^63"), std::string::npos);
  EXPECT_NE(Message(Read({}).status()).find("nothing to sweep over"), std::string::npos);
}

// Every point is there once, in lexicographic order of rows.
RC_GTEST_PROP(SweepSpec, PointsAreTheProduct, ()) {
  SweepSpec spec;
  const int axes = *rc::gen::inRange(1, 5);
  for (int a = 0; a < axes; ++a) {
    SweepAxis& axis = spec.axes.emplace_back();
    axis.keys = {fmt::format("k{}", a)};
    const int rows = *rc::gen::inRange(1, 5);
    for (int r = 0; r < rows; ++r) axis.rows.push_back({std::to_string(r)});
    spec.points *= rows;
  }
  const Texts points = PointsOf(spec);
  RC_ASSERT(std::is_sorted(points.begin(), points.end()));
  RC_ASSERT(std::set<std::string>(points.begin(), points.end()).size() ==
            static_cast<size_t>(spec.points));
}

// No result has the name of a key, so a constraint and a column mean one thing.
TEST(SweepNames, ResultsAndKeysDiffer) {
  for (const MetricColumn& column : MetricColumns()) EXPECT_LT(FindKey(column.name), 0);
  EXPECT_EQ(FindResult("hbm_used"), FindResult("hbm_peak_bytes"));
  EXPECT_NE(FindResult("gbs"), nullptr);
  EXPECT_EQ(FindResult("no such thing"), nullptr);
}

class PointListFile : public testing::Test {
 protected:
  std::string Write(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    return path_;
  }
  StatusOr<SweepSpec> ReadList(const std::string& text, std::vector<std::string> sets = {}) {
    SweepRequest request;
    request.list = Write(text);
    request.sets = std::move(sets);
    return ReadSweepSpec(request);
  }
  ~PointListFile() override { std::filesystem::remove(path_); }

 private:
  std::string path_ = testing::TempDir() + "sw_list" + std::to_string(::getpid());
};

TEST_F(PointListFile, CsvAndJsonLinesSayTheSame) {
  const auto csv = ReadList(
      "ici_fsdp_parallelism,remat_policy,mesh_axes\r\n"
      "1,full,\"[data, fsdp]\"\r\n"
      "\r\n"
      "2,,\"['a\"\"b']\"\n");
  ASSERT_TRUE(csv.ok()) << csv.status();
  EXPECT_EQ(PointsOf(*csv), (Texts{"1 full [data, fsdp]", "2 - [a\"b]"}));
  const auto json = ReadList(
      "{\"ici_fsdp_parallelism\": 1, \"remat_policy\": \"full\", \"mesh_axes\": [\"data\", "
      "\"fsdp\"]}\n"
      "\n"
      "{\"mesh_axes\": [\"a\\\"b\"], \"ici_fsdp_parallelism\": 2}");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->ToJson(), csv->ToJson());
}

TEST_F(PointListFile, IsTheSlowestAxis) {
  const auto spec = ReadList("ici_fsdp_parallelism\n1\n2\n", {"remat_policy=full,minimal"});
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(PointsOf(*spec), (Texts{"1 full", "1 minimal", "2 full", "2 minimal"}));
}

TEST_F(PointListFile, Mistakes) {
  const auto says = [&](const std::string& text, const std::string& what) {
    const auto spec = ReadList(text, {"steps=1"});
    ASSERT_FALSE(spec.ok()) << text;
    EXPECT_NE(Message(spec.status()).find(what), std::string::npos) << Message(spec.status());
    EXPECT_LT(Message(spec.status()).size(), 20'000u);
  };
  says("", "holds no points");
  says("ici_fsdp_parallelism\n", "holds no points");
  says("ici_fsdp_parallelism,remat_policy\n1\n", "1 fields, but the header has 2");
  says("ici_fsdp_parallelism,ici_fsdp_parallelism\n1,2\n", "is given twice");
  says("ici_fdsp_parallelism\n1\n", "did you mean 'ici_fsdp_parallelism'?");
  says("ici_fsdp_parallelism\nx\n", ":2:1: error: ici_fsdp_parallelism expects");
  says("steps\n1\n", "steps is swept twice");
  says("ici_fsdp_parallelism\n\"1\n", "is not closed");
  says("{\"ici_fsdp_parallelism\": 1\n", "is not closed");
  says("{\"a\": 1}\n[1]\n", "expected a JSON object");
  std::string many = "ici_fsdp_parallelism\n";
  for (int i = 0; i < 100'000; ++i) many += "x\n";
  says(many, "more");
  says(std::string("\x00\xff\xfe\n\x01", 5), "error");
  SweepRequest request;
  request.list = testing::TempDir();
  EXPECT_EQ(ReadSweepSpec(request).status().code(), absl::StatusCode::kUnavailable);
  request.list = "no/such/file.csv";
  EXPECT_EQ(ReadSweepSpec(request).status().code(), absl::StatusCode::kUnavailable);
}

using Variables = std::map<std::string, std::string, std::less<>>;

TEST(Shard, ComesFromFlagOrBatchSystem) {
  const auto choose = [](std::string_view flag, std::optional<int64_t> shards,
                         const Variables& environment) -> std::string {
    const auto choice = ChooseShard(flag, shards, environment);
    return choice.ok() ? choice->shard.ToText() + " " + choice->source : Message(choice.status());
  };
  EXPECT_EQ(choose("", {}, {}), "0/1 ");
  EXPECT_EQ(choose("7/64", {}, {{"BATCH_TASK_INDEX", "1"}}), "7/64 --shard");
  EXPECT_EQ(choose("", 8, {{"JOB_COMPLETION_INDEX", "3"}}), "3/8 JOB_COMPLETION_INDEX");
  EXPECT_EQ(choose("", {}, {{"BATCH_TASK_INDEX", "1"}, {"BATCH_TASK_COUNT", "4"}}),
            "1/4 BATCH_TASK_INDEX");
  EXPECT_EQ(choose("", {},
                   {{"SLURM_ARRAY_TASK_ID", "14"},
                    {"SLURM_ARRAY_TASK_MIN", "10"},
                    {"SLURM_ARRAY_TASK_STEP", "2"},
                    {"SLURM_ARRAY_TASK_COUNT", "5"}}),
            "2/5 SLURM_ARRAY_TASK_ID");
  EXPECT_EQ(choose("", {}, {{"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "2"}}),
            "0/2 OMPI_COMM_WORLD_RANK");
  EXPECT_EQ(choose("", {}, {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}), "1/2 PMI_RANK");
  for (const auto& [text, what] : std::vector<std::pair<std::string, std::string>>{
           {choose("3/3", {}, {}), "shards count from 0"},
           {choose("x", {}, {}), "expected i/n"},
           {choose("1/2/3", {}, {}), "expected i/n"},
           {choose("-1/2", {}, {}), "expected i/n"},
           {choose("", {}, {{"JOB_COMPLETION_INDEX", "3"}}), "--shards N says so"},
           {choose("", 3, {{"JOB_COMPLETION_INDEX", "3"}}), "JOB_COMPLETION_INDEX: shard 3 of 3"},
           {choose("", {}, {{"PMI_RANK", "one"}, {"PMI_SIZE", "2"}}), "PMI_RANK='one'"},
           {choose("", 3, {}), "--shards needs"}}) {
    EXPECT_NE(text.find(what), std::string::npos) << text;
  }
}

RC_GTEST_PROP(Shard, DealEveryPointOnce, ()) {
  const auto points = *rc::gen::inRange<int64_t>(0, 200);
  const auto count = *rc::gen::inRange<int64_t>(1, 20);
  std::multiset<int64_t> dealt;
  for (int64_t i = 0; i < count; ++i) {
    const Shard shard = {.index = i, .count = count};
    for (int64_t p = 0; p < shard.Size(points); ++p) dealt.insert(shard.PointAt(p));
  }
  std::multiset<int64_t> all;
  for (int64_t p = 0; p < points; ++p) all.insert(p);
  RC_ASSERT(dealt == all);
}

TEST(Shard, FileNames) {
  EXPECT_EQ(ShardFileName("a/s.sqlite", {}, ".csv"), "a/s.sqlite");
  EXPECT_EQ(ShardFileName("a/s.sqlite", {7, 64}, ".csv"), "a/s-00007-of-00064.sqlite");
  EXPECT_EQ(ShardFileName("out/", {7, 64}, ".sqlite"), "out/results-00007-of-00064.sqlite");
  EXPECT_EQ(ShardFileName("out/", {}, ".csv"), "out/results.csv");
}

}  // namespace
}  // namespace shardwise
