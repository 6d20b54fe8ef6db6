#include "reports/render_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "reports/report_builder.h"
#include "reports/test_util.h"

namespace shardwise {
namespace {

using Json = nlohmann::json;

// A dot means nesting.
const Json* Find(const Json& root, const std::string& path) {
  const Json* at = &root;
  std::stringstream parts(path);
  for (std::string part; std::getline(parts, part, '.');) {
    if (!at->is_object() || !at->contains(part)) return nullptr;
    at = &(*at)[part];
  }
  return at;
}

void ExpectFinite(const Json& value, const std::string& path) {
  if (value.is_number_float()) {
    EXPECT_TRUE(std::isfinite(value.get<double>())) << path;
  }
  if (!value.is_structured()) return;
  for (const auto& [key, child] : value.items()) ExpectFinite(child, path + "." + key);
}

TEST(RenderJson, PromisedNamesAreThere) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail({"IW-07"});
  const Json json = Json::parse(RenderJson(BuildReport(*evaluation)));
  for (const char* path : {"schema_version",
                           "id",
                           "tool.version",
                           "model.name",
                           "model.parameters",
                           "model.tflops_per_step",
                           "step_time_s",
                           "tflops_per_device",
                           "tflops_per_chip",
                           "tokens_per_s_per_device",
                           "tokens_per_s_per_chip",
                           "mfu",
                           "hfu",
                           "mxu_utilization",
                           "time_by_cause_s",
                           "time_by_cause_ps",
                           "hbm.argument_bytes",
                           "hbm.temp_bytes",
                           "hbm.output_bytes",
                           "hbm.alias_bytes",
                           "hbm.peak_bytes",
                           "hbm.usable_bytes",
                           "hbm.host_temp_bytes",
                           "fits",
                           "live_at_peak",
                           "collectives",
                           "axes",
                           "bounds",
                           "config",
                           "topology.chips",
                           "mesh.axes",
                           "warnings",
                           "not_modelled",
                           "calibration",
                           "measured.step_time_s",
                           "measured.step_time_error",
                           "config.sim.policy.value",
                           "config.per_device_batch_size.origin"}) {
    EXPECT_NE(Find(json, path), nullptr) << path;
  }
  EXPECT_EQ(json["id"], "IW-07");
  EXPECT_EQ(json["model"]["parameters"], 70'553'706'496);
  EXPECT_EQ(json["config"]["per_device_batch_size"]["value"], 2);
  EXPECT_EQ(json["config"]["use_iota_embed"]["value"], true);
  ExpectFinite(json, "");
}

TEST(RenderJson, CausesSumToTheStep) {
  const std::unique_ptr<Evaluation> evaluation = EvaluateOrFail(MiniArguments());
  const Json json = Json::parse(RenderJson(BuildReport(*evaluation)));
  int64_t picoseconds = 0;
  double seconds = 0;
  for (const auto& [cause, time] : json["time_by_cause_ps"].items()) {
    picoseconds += time.get<int64_t>();
    seconds += json["time_by_cause_s"][cause].get<double>();
  }
  EXPECT_EQ(picoseconds, json["step_time_ps"].get<int64_t>());
  EXPECT_DOUBLE_EQ(json["step_time_s"].get<double>(), evaluation->result.step_time.seconds());
  EXPECT_NEAR(seconds / json["step_time_s"].get<double>(), 1, 1e-14);
  ASSERT_FALSE(json["collectives"].empty());
  for (const char* name : {"kind", "axes", "count", "bytes", "busy_s", "exposed_s", "group",
                           "links", "achieved_bytes_per_s", "peak_bytes_per_s"}) {
    EXPECT_TRUE(json["collectives"][0].contains(name)) << name;
  }
}

TEST(RenderJson, NoEscapesNoNaNForAnEmptyReport) {
  Report report;
  report.step.mfu = std::nan("");
  report.id = "\x1b[31m";
  const std::string text = RenderJson(report);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_TRUE(Json::parse(text)["mfu"].is_null());
}

TEST(RenderJson, ConfigValuesKeepTheirType) {
  const std::vector<ResolvedKey> keys = {{"a", "1", "x", false},      {"b.c", "2.5", "x", false},
                                         {"b.d", "'7'", "x", false},  {"e", "[1, two]", "x", false},
                                         {"f", "null", "x", false},   {"g", "true", "x", false},
                                         {"h", "{k: 3}", "x", false}, {"i", "", "x", false}};
  const Json json = Json::parse(RenderJson(keys));
  EXPECT_EQ(json["a"]["value"], 1);
  EXPECT_EQ(json["b"]["c"]["value"], 2.5);
  EXPECT_EQ(json["b"]["d"]["value"], "7");
  EXPECT_EQ(json["e"]["value"], Json::parse(R"([1, "two"])"));
  EXPECT_TRUE(json["f"]["value"].is_null());
  EXPECT_EQ(json["g"]["value"], true);
  EXPECT_EQ(json["h"]["value"], Json::parse(R"({"k": 3})"));
  EXPECT_EQ(json["i"]["value"], "");
}

TEST(RenderJson, SameBytesEveryTime) {
  const std::string first = RenderJson(BuildReport(*EvaluateOrFail(MiniArguments())));
  EXPECT_EQ(first, RenderJson(BuildReport(*EvaluateOrFail(MiniArguments()))));
}

}  // namespace
}  // namespace shardwise
