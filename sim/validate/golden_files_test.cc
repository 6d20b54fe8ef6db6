// The golden files of tests/golden, and of the folder that SHARDWISE_GOLDEN names, through our
// graphs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
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
    const StatusOr<CaseReport> report = RunGoldenCase(*golden);
    EXPECT_TRUE(report.ok()) << Message(report.status());
    if (!report.ok()) continue;
    EXPECT_TRUE(report->passed()) << report->ToText();
  }
  return without;
}

// The list of kinds without an adapter shrinks as adapters are written; it must say the truth.
TEST(GoldenFiles, OfTheRepository) {
  const std::vector<std::string> files = FilesOf(kFolder);
  EXPECT_EQ(files.size(), 25u);
  EXPECT_EQ(RunAll(files),
            (std::set<std::string>{
                "attention.csa",  "attention.hca",      "attention.swa",   "csa_compressor.csa",
                "experts.loop",   "hca_compressor.hca", "hyper_head.head", "indexer.topk",
                "layer.csa_topk", "layer.hca_hash",     "layer.swa_hash",  "mhc.maps",
                "mhc.wrap",       "model.lm",           "model.lm_aux",    "moe.hash",
                "moe.topk",       "rope.compress",      "rope.main",       "router.hash",
                "router.topk",    "shared_mlp.clamped"}));
}

TEST(GoldenFiles, EveryAdapterHasACase) {
  std::set<std::string> kinds;
  for (const std::string& file : FilesOf(kFolder)) {
    const StatusOr<GoldenCase> golden = ReadGoldenCase(file);
    ASSERT_TRUE(golden.ok()) << Message(golden.status());
    kinds.insert(golden->kind);
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
  RunAll(files);
}

}  // namespace
}  // namespace shardwise
