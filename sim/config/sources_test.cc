#include "sim/config/sources.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "kernels/base/test_folder.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

std::string Write(const std::string& name, const std::string& text) {
  static const TestFolder folder;
  const std::string path = folder.File(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

Arguments Mini(Arguments more = {}) {
  Arguments all = {"model_name=llama-mini", "compile_topology=v6e-8", "per_device_batch_size=1"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::string ErrorOf(const StatusOr<Scenario>& loaded) {
  return loaded.ok() ? "ok" : Message(loaded.status());
}

const ResolvedKey& Key(const Scenario& scenario, std::string_view name) {
  return *std::find_if(scenario.keys.begin(), scenario.keys.end(),
                       [&](const ResolvedKey& key) { return key.name == name; });
}

TEST(Variables, SetKeysAndSayWhereValuesAreFrom) {
  const StatusOr<Scenario> s = LoadScenario(Mini(), {{"M_DTYPE", "float32"},
                                                     {"M_STEPS", "150_001"},
                                                     {"M_scan", "1"},
                                                     {"MM_X", "1"},
                                                     {"M_RUN_NAME", ""}});
  ASSERT_TRUE(s.ok()) << Message(s.status());
  EXPECT_EQ(s->model.dtype, DType::kF32);
  EXPECT_EQ(Key(*s, "dtype").origin, "M_DTYPE");
  EXPECT_EQ(Key(*s, "steps").value, "150_001");
}

TEST(Variables, MistakesAreLocated) {
  const std::vector<std::pair<Environment, std::string>> cases = {
      {{{"M_DTYP", "float32"}},
       "<environment>: M_DTYP: error: unknown key 'dtyp'\n"
       "    M_DTYP=float32\n"
       "    ^~~~~~ did you mean 'dtype'?"},
      {{{"M_DTYPE", "float33"}},
       "<environment>: M_DTYPE: error: 'float33' is not a value of dtype\n"
       "    M_DTYPE=float33\n"
       "            ^~~~~~~ did you mean 'float32'?"},
      {{{"M_PER_DEVICE_BATCH_SIZE", "2"}},
       "<environment>: M_PER_DEVICE_BATCH_SIZE: error: per_device_batch_size is set by the command "
       "line too\n"
       "    M_PER_DEVICE_BATCH_SIZE=2\n"
       "                            ^\n"
       "<command line>: argument 3: note: per_device_batch_size is 1 here\n"
       "help: MaxText takes a key from one of the two"},
      {{{"M_BASE_EMB_DIM", "32"}},  // though it is what the model says
       "<environment>: M_BASE_EMB_DIM: error: base_emb_dim is set by the model file too\n"
       "    M_BASE_EMB_DIM=32\n"
       "                   ^~\n"
       "configs/models/llama-mini.yml:2:15: note: base_emb_dim is 32 here\n"
       "help: override_model_config=true lets this value win"},
      {{{"M_MODEL_NAME", "llama2-7b"}},
       "<environment>: M_MODEL_NAME: error: MaxText reads model_name before it reads the "
       "environment\n"
       "    M_MODEL_NAME=llama2-7b\n"
       "    ^~~~~~~~~~~~\n"
       "help: put model_name=... on the command line"},
      {{{"M_MESH_AXES", "[data, fsdp]"}},
       "<environment>: M_MESH_AXES: error: MaxText reads no list or map from the environment\n"
       "    M_MESH_AXES=[data, fsdp]\n"
       "                ^~~~~~~~~~~~"},
      {{{"M_RUN_NAME", "a\xff"}},
       "<environment>: M_RUN_NAME: error: not a text file: byte 0xff\n"
       "    M_RUN_NAME=a?\n"
       "                ^"},
  };
  for (const auto& [environment, text] : cases) {
    EXPECT_EQ(ErrorOf(LoadScenario(Mini(), environment)), text);
  }
  const StatusOr<Scenario> s =
      LoadScenario(Mini({"override_model_config=true"}), {{"M_BASE_EMB_DIM", "64"}});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->model.emb_dim, 64);
}

TEST(Arguments, EveryOneIsHeldAgainstTheModel) {
  EXPECT_NE(ErrorOf(LoadScenario(Mini({"base_emb_dim=32", "base_emb_dim=64"})))
                .find("base_emb_dim is set by the model file to another value"),
            std::string::npos);
}

TEST(StaleNames, AreReadAsTodaysWithAWarning) {
  const StatusOr<Scenario> s =
      LoadScenario(Mini({"fsdp_shard_on_exp=false", "remat_policy=minimal_flash"}));
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(
      s->warnings,
      (std::vector<std::string>{
          "argument 4: fsdp_shard_on_exp is read as shard_exp_on_fsdp, MaxText's name",
          "argument 5: remat_policy: minimal_flash is read as minimal_with_context, MaxText's "
          "name"}));
  EXPECT_EQ(Key(*s, "remat_policy").value, "minimal_with_context");
}

TEST(SimFile, MapsStandForDots) {
  const std::string path = Write("sim.yml",
                                 "schema: 1\npolicy: ideal\nv4: {yarn: false}\n"
                                 "moe:\n  load: zipf:1.2\n"
                                 "sweep:\n  per_device_batch_size: [1, 2]\n");
  const StatusOr<Scenario> s = LoadScenario(Mini({path}));
  ASSERT_TRUE(s.ok()) << Message(s.status());
  EXPECT_EQ(s->sim.policy, "ideal");
  EXPECT_EQ(Key(*s, "sim.v4.yarn").origin, path + ":3");
  EXPECT_EQ(Key(*s, "sim.moe.load").value, "zipf:1.2");
  Diagnostics diagnostics;
  const SourceContents contents = ReadSources({path}, {}, diagnostics);
  ASSERT_NE(contents.sweep_source, nullptr);
  EXPECT_EQ(contents.sweep.ToFlow(), "{per_device_batch_size: [1, 2]}");
  EXPECT_EQ(contents.sweep.children[0].line, 7);
}

TEST(SimFile, MistakesAreLocated) {
  const auto error = [](const std::string& text) {
    const std::string path = Write("wrong_sim.yml", text);
    std::string message = ErrorOf(LoadScenario(Mini({path})));
    for (size_t at; (at = message.find(path)) != std::string::npos;) message.erase(at, path.size());
    return message;
  };
  EXPECT_EQ(error("schema: 2\n"),
            ":1:9: error: this program reads schema 1 of sim.yml\n"
            "    1 | schema: 2\n"
            "      |         ^");
  EXPECT_EQ(error("schema: 1\nmoe: {lode: 1}\n"),
            ":2:7: error: unknown key 'sim.moe.lode'\n"
            "    2 | moe: {lode: 1}\n"
            "      |       ^~~~ did you mean 'sim.moe.load'?");
  EXPECT_EQ(error("schema: 1\nsteps: 5\n"),
            ":2:1: error: unknown key 'sim.steps'\n"
            "    2 | steps: 5\n"
            "      | ^~~~~");
}

TEST(Notes, NeutralKeysAreNamedOnce) {
  const StatusOr<Scenario> s =
      LoadScenario(Mini({"dataset_type=synthetic", "steps=5", "log_period=100"}));
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->notes[0], "2 keys are set that cannot change a step: dataset_type, steps");
}

TEST(Files, PipesAreRead) {
  const TestFolder folder;
  const std::string path = folder.File("pipe");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(ErrorOf(LoadScenario(Mini({path}))),
            fmt::format("<command line>: argument 4: error: cannot read {}: nobody writes to it\n"
                        "    {}\n"
                        "    ^{}",
                        Quote(path), path, std::string(path.size() - 1, '~')));
  std::thread writer([&] { std::ofstream(path) << "steps: 77\n"; });
  const StatusOr<Scenario> s = LoadScenario(Mini({path}));
  writer.join();
  ASSERT_TRUE(s.ok()) << Message(s.status());
  EXPECT_EQ(Key(*s, "steps").value, "77");
  std::filesystem::remove(path);
}

TEST(Files, DevicesAndFoldersAreRefused) {
  const TestFolder folder;
  for (const std::string& path : {std::string("/dev/zero"), std::string("/dev/null"), folder.path(),
                                  std::string("/proc/self/mem")}) {
    const StatusOr<Scenario> s = LoadScenario(Mini({path}));
    EXPECT_EQ(s.status().code(), absl::StatusCode::kUnavailable) << path;
  }
}

}  // namespace
}  // namespace shardwise
