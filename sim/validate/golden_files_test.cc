// The golden files of tests/golden, and of the folder that SHARDWISE_GOLDEN names, through our
// graphs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/validate/run_case.h"

namespace shardwise {
namespace {

// Golden files of a folder, by name.
std::vector<std::string> FilesOf(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

const std::string kFolder = std::string(SHARDWISE_SOURCE_DIR) + "/tests/golden";

// The default, but for f32 files that are further from their f64 twins themselves: whole models,
// and rotations, whose angles of thousands of radians the modules round to f32.
double ToleranceOf(const GoldenCase& golden) {
  const bool far = golden.kind.starts_with("model.") || golden.kind.starts_with("rope.");
  return golden.dtype == DType::kF32 && far ? 2e-4 : 0;
}

// Runs what has an adapter; returns the kinds that have none.
std::set<std::string> RunAll(const std::vector<std::string>& files) {
  std::set<std::string> without;
  for (const std::string& file : files) {
    const StatusOr<GoldenCase> golden = ReadGoldenCase(file);
    EXPECT_TRUE(golden.ok()) << Message(golden.status());
    if (!golden.ok()) continue;
    if (FindGoldenModule(golden->kind) == nullptr) {
      without.insert(golden->kind);
      continue;
    }
    const StatusOr<CaseReport> report = RunGoldenCase(*golden, {.tolerance = ToleranceOf(*golden)});
    EXPECT_TRUE(report.ok()) << Message(report.status());
    if (!report.ok()) continue;
    EXPECT_TRUE(report->passed()) << report->ToText();
  }
  return without;
}

TEST(GoldenFiles, OfTheRepository) {
  const std::vector<std::string> files = FilesOf(kFolder);
  EXPECT_EQ(files.size(), 25u);
  EXPECT_EQ(RunAll(files), std::set<std::string>{});
}

// A wrong number in what is compared is seen, in small cases and in the largest.
TEST(GoldenFiles, AWrongNumberIsRed) {
  const std::pair<const char*, std::vector<const char*>> cases[] = {
      {"attention.csa.1", {"out.top_k_indices", "out.attn_output", "grad.param.sinks"}},
      {"router.topk.3", {"out.top_k_weights", "grad.param.weight"}},
      {"layer.csa_topk.1",
       {"out.y", "grad.param.attn_hc.base", "grad.param.mlp.experts.down_proj"}},
      {"model.lm_aux.2",
       {"out.aux_loss", "out.layer3", "grad.param.model.layers.4.mlp.gate.weight"}}};
  for (const auto& [name, tensors] : cases) {
    const std::string path = fmt::format("{}/{}.f64.safetensors", kFolder, name);
    for (const char* tensor : tensors) {
      StatusOr<GoldenCase> golden = ReadGoldenCase(path);
      ASSERT_TRUE(golden.ok()) << Message(golden.status());
      GoldenTensor& wrong = golden->tensors.at(tensor);
      double& value = wrong.values[wrong.values.size() / 2];
      if (wrong.integer) {
        value = value == 0 ? 1 : 0;
      } else {
        value += 1e-7;
      }
      const StatusOr<CaseReport> report = RunGoldenCase(*golden);
      ASSERT_TRUE(report.ok()) << Message(report.status());
      EXPECT_FALSE(report->passed());
      EXPECT_NE(report->ToText().find(fmt::format("WRONG {}:", tensor)), std::string::npos)
          << report->ToText();
    }
  }
}

TEST(GoldenFiles, EveryAdapterHasACase) {
  std::set<std::string> kinds;
  for (const std::string& file : FilesOf(kFolder)) {
    const StatusOr<GoldenCase> golden = ReadGoldenCase(file);
    ASSERT_TRUE(golden.ok()) << Message(golden.status());
    const GoldenModule* module = FindGoldenModule(golden->kind);
    if (module != nullptr) kinds.insert(std::string(module->kind));
    EXPECT_EQ(std::filesystem::path(file).stem().string(), golden->name);
  }
  for (const GoldenModule& module : GoldenModules()) {
    EXPECT_TRUE(kinds.contains(std::string(module.kind))) << module.kind;
  }
  EXPECT_TRUE(std::is_sorted(GoldenModules().begin(), GoldenModules().end(),
                             [](const auto& a, const auto& b) { return a.kind < b.kind; }));
}

TEST(GoldenFiles, OfTheNamedFolder) {
  const char* folder = std::getenv("SHARDWISE_GOLDEN");
  if (folder == nullptr) GTEST_SKIP() << "SHARDWISE_GOLDEN names no folder";
  const std::vector<std::string> files = FilesOf(folder);
  EXPECT_FALSE(files.empty());
  for (const std::string& kind : RunAll(files)) EXPECT_TRUE(kind.starts_with("v3_")) << kind;
}

}  // namespace
}  // namespace shardwise
