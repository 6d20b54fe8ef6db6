// What tests of reports and of the command line share.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sim/analysis/evaluate.h"

namespace shardwise {

// A step small enough for any test: 4 chips, sharded over all of them.
inline std::vector<std::string> MiniArguments(const std::vector<std::string>& more = {}) {
  std::vector<std::string> all = {"model_name=llama-mini", "compile_topology=v5p-8",
                                  "ici_fsdp_parallelism=4", "per_device_batch_size=1",
                                  "max_target_length=256"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

inline std::unique_ptr<Evaluation> EvaluateOrFail(const std::vector<std::string>& arguments) {
  StatusOr<Scenario> scenario = LoadScenario(arguments);
  EXPECT_TRUE(scenario.ok()) << Message(scenario.status());
  if (!scenario.ok()) return nullptr;
  StatusOr<std::unique_ptr<Evaluation>> evaluation = Evaluate(*std::move(scenario));
  EXPECT_TRUE(evaluation.ok()) << Message(evaluation.status());
  return evaluation.ok() ? *std::move(evaluation) : nullptr;
}

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// The stretch in which two texts differ, with three lines around it, as a unified diff has it.
inline std::string Difference(const std::string& expected, const std::string& actual) {
  const std::vector<std::string> a = LinesOf(expected), b = LinesOf(actual);
  const size_t shorter = std::min(a.size(), b.size());
  size_t first = 0, last = 0;
  while (first < shorter && a[first] == b[first]) ++first;
  while (last < shorter - first && a[a.size() - 1 - last] == b[b.size() - 1 - last]) ++last;
  const size_t begin = first < 3 ? 0 : first - 3;
  const size_t after = std::min(last, size_t{3});
  std::string out = fmt::format("@@ line {} @@\n", begin + 1);
  for (size_t i = begin; i < first; ++i) out += " " + a[i] + "\n";
  for (size_t i = first; i < a.size() - last; ++i) out += "-" + a[i] + "\n";
  for (size_t i = first; i < b.size() - last; ++i) out += "+" + b[i] + "\n";
  for (size_t i = a.size() - last; i < a.size() - last + after; ++i) out += " " + a[i] + "\n";
  return out;
}

// Compares with a file of the source tree; SHARDWISE_UPDATE_GOLDEN=1 writes the file instead.
inline void ExpectGolden(const std::string& name, const std::string& actual) {
  const std::string path = fmt::format("{}/{}", SHARDWISE_SOURCE_DIR, name);
  if (std::getenv("SHARDWISE_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << actual;
    return;
  }
  const std::string expected = ReadWhole(path);
  EXPECT_TRUE(expected == actual) << name
                                  << " differs (SHARDWISE_UPDATE_GOLDEN=1 accepts the new text):\n"
                                  << Difference(expected, actual);
}

}  // namespace shardwise
