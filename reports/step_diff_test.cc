#include "reports/step_diff.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>

#include "reports/render_diff.h"
#include "reports/render_json.h"
#include "reports/report_builder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

ResultFile ResultOfArguments(const std::vector<std::string>& arguments) {
  return ResultOf(BuildReport(*EvaluateOrFail(arguments)));
}

Duration TimeAt(const Table& table, size_t row, std::string_view id) {
  return std::get<Duration>(table.rows[row][static_cast<size_t>(table.Find(id))]);
}

// All rows but the last, and the last.
void ExpectSums(const Table& table, std::string_view id, Duration whole) {
  ASSERT_FALSE(table.rows.empty());
  Duration sum;
  for (size_t r = 0; r + 1 < table.rows.size(); ++r) sum += TimeAt(table, r, id);
  EXPECT_EQ(sum, whole) << id;
  EXPECT_EQ(TimeAt(table, table.rows.size() - 1, id), whole) << id;
}

void ExpectAddsUp(const StepDiff& diff) {
  for (const Table* table : {&diff.waterfall, &diff.causes}) {
    ExpectSums(*table, "a_ps", diff.time_a);
    ExpectSums(*table, "b_ps", diff.time_b);
    ExpectSums(*table, "change_ps", diff.time_b - diff.time_a);
  }
  int64_t sum = 0;
  for (size_t r = 0; r + 1 < diff.memory.rows.size(); ++r) {
    sum += std::get<int64_t>(diff.memory.rows[r].back());
  }
  EXPECT_EQ(sum, std::get<int64_t>(diff.memory.rows.back().back()));
}

TEST(StepDiff, BarsAddUpToTheDifference) {
  const std::vector<std::vector<std::string>> steps = {
      MiniArguments(),
      MiniArguments({"remat_policy=minimal"}),
      MiniArguments({"ici_fsdp_parallelism=2", "ici_tensor_parallelism=2"}),
      MiniArguments({"sim.policy=ideal", "per_device_batch_size=2"}),
      {"IW-07"},
      {"V4-Flash"}};
  std::vector<ResultFile> results;
  for (const auto& step : steps) results.push_back(ResultOfArguments(step));
  for (const ResultFile& a : results) {
    for (const ResultFile& b : results) {
      const StepDiff diff = CompareSteps(a, "a", b, "b");
      EXPECT_EQ(diff.time_a, a.step_time);
      EXPECT_EQ(diff.time_b, b.step_time);
      ExpectAddsUp(diff);
      const bool same = &a == &b;
      EXPECT_EQ(diff.keys.rows.empty(), same);
      EXPECT_TRUE(diff.constants.rows.empty() || !same);
    }
  }
}

TEST(StepDiff, OneKeyThatDiffersIsNamedWithItsOrigins) {
  const StepDiff diff =
      CompareSteps(ResultOfArguments({"IW-07"}), "a",
                   ResultOfArguments({"IW-07", "per_device_batch_size=1",
                                      "compile_xla_flags=--xla_tpu_scoped_vmem_limit_kib=16384"}),
                   "b");
  const std::vector<Cell>& key = diff.keys.rows.at(1);
  EXPECT_EQ(key[0], Cell("per_device_batch_size"));
  EXPECT_EQ(key[1], Cell("2"));
  EXPECT_EQ(key[2], Cell("1"));
  EXPECT_EQ(key[3], Cell("configs/scenarios/IW-07.yml:18"));
  EXPECT_EQ(key[4], Cell("argument 2"));
  // A key, its derived ones, and the flag it sets.
  EXPECT_EQ(diff.keys.rows.at(0)[0], Cell("compile_xla_flags"));
  EXPECT_EQ(diff.keys.rows.back()[0], Cell("--xla_tpu_scoped_vmem_limit_kib"));
  EXPECT_EQ(diff.keys.rows.back()[1], Cell("61440"));
  ASSERT_EQ(diff.notes.size(), 1u);
  EXPECT_TRUE(diff.notes[0].starts_with("tokens per step differ")) << diff.notes[0];
}

TEST(StepDiff, SavedResultsAreWhatTheyWere) {
  const auto e = EvaluateOrFail(MiniArguments());
  Report report = BuildReport(*e);
  const ResultFile now = ResultOf(report);
  AddDetails(*e, report);
  const StatusOr<ResultFile> saved = ParseResult(RenderJson(report), "r.json");
  ASSERT_TRUE(saved.ok()) << Message(saved.status());
  const StepDiff diff = CompareSteps(now, "now", *saved, "r.json");
  EXPECT_TRUE(diff.keys.rows.empty());
  EXPECT_TRUE(diff.notes.empty());
  EXPECT_EQ(diff.time_change, 0);
  for (const std::string_view name : kDiffTables) {
    for (const auto& row : TableOf(diff, name).rows) {
      EXPECT_TRUE((name != "waterfall" && name != "causes") || row.back() == Cell(Duration{}));
    }
  }
}

TEST(StepDiff, ThresholdsAreSharesOrTimes) {
  const auto parsed = [](std::string_view text) { return ParseThreshold(text); };
  EXPECT_EQ(parsed("1%")->fraction, 0.01);
  EXPECT_EQ(parsed("5ms")->time.ps, 5'000'000'000);
  EXPECT_EQ(parsed("0.5s")->time.ps, 500'000'000'000);
  EXPECT_EQ(parsed("0%")->time.ps, 0);
  for (const char* wrong :
       {"", "1", "%", "ms", "-1%", "nan%", "inf%", "1e9%", "1 %", "5msx", "x"}) {
    EXPECT_FALSE(parsed(wrong).ok()) << wrong;
  }
}

TEST(StepDiff, ARegressionIsMoreThanTheThreshold) {
  StepDiff diff;
  diff.time_a = {1'000'000};
  diff.per_token_change = 0.02;
  EXPECT_TRUE(Regression(diff, {0.01, {}}).has_value());
  EXPECT_FALSE(Regression(diff, {0.03, {}}).has_value());
  EXPECT_TRUE(Regression(diff, {0, {19'000}}).has_value());
  EXPECT_FALSE(Regression(diff, {0, {21'000}}).has_value());
  diff.per_token_change = -0.5;
  EXPECT_FALSE(Regression(diff, {}).has_value());
  diff.fits_b = false;
  EXPECT_TRUE(Regression(diff, {1, {}}).has_value());
  diff.fits_a = false;
  EXPECT_FALSE(Regression(diff, {1, {}}).has_value());
}

TEST(StepDiff, TextIsForTerminals) {
  const StepDiff diff = CompareSteps(ResultOfArguments({"IW-07"}), "IW-07",
                                     ResultOfArguments({"V4-Flash"}), "V4-Flash");
  const std::string text = RenderText(diff);
  EXPECT_NE(text.find("step 11.95 s -> 9.963 s (-16.6 %)"), std::string::npos) << text;
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~'));
  EXPECT_NE(RenderMarkdown(diff).find("| optimizer |"), std::string::npos);
}

std::string ErrorOf(std::string_view text) {
  const StatusOr<ResultFile> result = ParseResult(text, "r.json");
  return result.ok() ? "" : Message(result.status());
}

TEST(ResultFile, WhatIsWrongIsLocated) {
  EXPECT_TRUE(ErrorOf("").starts_with("r.json:1:1: error: not JSON")) << ErrorOf("");
  EXPECT_TRUE(ErrorOf("{\n  \"a\": nul\n}").starts_with("r.json:2:11: error:"))
      << ErrorOf("{\n  \"a\": nul\n}");
  EXPECT_TRUE(ErrorOf("[]").starts_with("r.json:1:1: error: a result is a map"));
  EXPECT_TRUE(ErrorOf("{\"schema_version\": 7}").find("schema version 7") != std::string::npos);
  EXPECT_TRUE(ErrorOf("{\"schema_version\": 1}").find("no field 'tool'") != std::string::npos);
  EXPECT_FALSE(ReadResultFile("/nowhere/r.json").ok());
  EXPECT_FALSE(ReadResultFile("/").ok());
  EXPECT_FALSE(ErrorOf(std::string(200'000, '[')).empty());
  EXPECT_LT(ErrorOf(std::string(10'000'000, '7')).size(), 1000u);
}

// Times that were changed by hand no longer add up, and nothing else crashes.
RC_GTEST_PROP(ResultFile, AnyChangeIsReadOrRefused, ()) {
  static const std::string text = RenderJson(BuildReport(*EvaluateOrFail(MiniArguments())));
  std::string changed = text;
  const auto at = *rc::gen::inRange<size_t>(0, text.size());
  const auto length = *rc::gen::inRange<size_t>(0, 30);
  const auto replacement = *rc::gen::string<std::string>();
  changed.replace(at, length, replacement);
  const StatusOr<ResultFile> result = ParseResult(changed, "r.json");
  if (!result.ok()) {
    RC_ASSERT(Message(result.status()).starts_with("r.json:"));
    RC_ASSERT(Message(result.status()).size() < 2000u);
    return;
  }
  Duration sum;
  for (const ResultTime& bar : result->waterfall) sum += bar.time;
  RC_ASSERT(sum == result->step_time);
}

}  // namespace
}  // namespace shardwise
