// MaxText's own ymls, unmodified. They are not part of this project: scripts/check_maxtext_configs
// fetches releases and runs these tests on them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/analysis/evaluate.h"

namespace shardwise {
namespace {

namespace fs = std::filesystem;

// configs/ of a MaxText release or checkout.
class MaxTextConfigs : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("SHARDWISE_MAXTEXT_CONFIGS");
    if (folder == nullptr) {
      GTEST_SKIP() << "SHARDWISE_MAXTEXT_CONFIGS names no folder with MaxText's configs";
    }
    folder_ = folder;
    ASSERT_TRUE(fs::exists(folder_ / "base.yml")) << folder_ << " holds no base.yml";
  }

  std::vector<fs::path> Ymls(const std::string& subfolder) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / subfolder)) {
      if (entry.path().extension() == ".yml") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    EXPECT_FALSE(files.empty()) << subfolder;
    return files;
  }

  // A step of it is priced, or what is not built is said by name; never a mistake of the user's.
  void Check(std::vector<std::string> arguments) {
    arguments.emplace_back("compile_topology=v5p-256");
    StatusOr<Scenario> scenario = LoadScenario(arguments);
    if (!scenario.ok()) {
      ++refused_;
      const std::string text = Message(scenario.status());
      EXPECT_EQ(scenario.status().code(), absl::StatusCode::kUnimplemented) << text;
      EXPECT_NE(text.find("not built here"), std::string::npos) << text;
      return;
    }
    ++loaded_;
    // Warnings say what has no effect; base.yml's defaults over a model's file are not that.
    for (const std::string& warning : scenario->warnings) {
      EXPECT_EQ(warning.find("overridden"), std::string::npos) << warning;
    }
    EXPECT_LE(scenario->warnings.size(), 4u);
    const auto evaluation = Evaluate(*std::move(scenario));
    EXPECT_TRUE(evaluation.ok()) << Message(evaluation.status());
  }

  std::string Base() const { return (folder_ / "base.yml").string(); }
  void PrintCounts() const { fmt::print("{} priced, {} not built here\n", loaded_, refused_); }

  fs::path folder_;
  int loaded_ = 0, refused_ = 0;
};

TEST_F(MaxTextConfigs, EveryModel) {
  for (const fs::path& file : Ymls("models")) {
    SCOPED_TRACE(file.string());
    Check({Base(), "model_name=" + file.stem().string()});
    Check({Base(), file.string()});
    Check({file.string()});
  }
  PrintCounts();
  EXPECT_GT(loaded_, 20);
}

TEST_F(MaxTextConfigs, EveryPreset) {
  const std::string llama = "model_name=llama2-7b";
  for (const fs::path& file : Ymls("custom_mesh_and_rule")) {
    SCOPED_TRACE(file.string());
    Check({Base(), llama, "custom_mesh_and_rule=" + file.stem().string()});
    Check({llama, "custom_mesh_and_rule=" + file.string()});
  }
  PrintCounts();
  EXPECT_GT(loaded_, 8);
}

TEST_F(MaxTextConfigs, EveryWholeRun) {
  for (const fs::path& file : Ymls("")) {
    const std::string folder = file.parent_path().filename().string();
    const bool is_part = folder == "custom_mesh_and_rule" ||
                         file.parent_path() == folder_ / "models" ||
                         file.filename() == "lora_module_path.yml";  // a table for LoRA
    if (is_part) continue;
    SCOPED_TRACE(file.string());
    Check({file.string()});
  }
  PrintCounts();
  EXPECT_GT(loaded_, 5);
}

}  // namespace
}  // namespace shardwise
