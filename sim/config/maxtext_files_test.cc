#include "sim/config/maxtext_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "kernels/base/test_folder.h"
#include "sim/config/scenario.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

// A checkout of MaxText of which each test writes what it needs.
class Checkout : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  // All of our keys at their defaults, but for `replaced`, and `more` behind them.
  std::string WriteBase(const std::map<std::string, std::string>& replaced,
                        const std::string& more = "", const std::string& name = "base.yml") const {
    std::string text;
    for (const KeySpec& key : AllKeys()) {
      if (key.name.starts_with("sim.") || key.name == "base_config" || IsComputed(key.name)) {
        continue;
      }
      const auto found = replaced.find(std::string(key.name));
      const std::string value = found == replaced.end() ? std::string(key.fallback) : found->second;
      if (key.name == "logical_axis_rules" && found == replaced.end()) continue;
      text += fmt::format("{}: {}\n", key.name, value.empty() ? "''" : value);
    }
    return Write(name, text + more);
  }
  static bool IsComputed(std::string_view key) {
    return key == "emb_dim" || key == "mlp_dim" || key == "moe_mlp_dim";
  }

  static Scenario Load(const Arguments& arguments) {
    StatusOr<Scenario> loaded = LoadScenario(arguments);
    EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
    return loaded.ok() ? *std::move(loaded) : Scenario();
  }
  std::string ErrorOf(const Arguments& arguments, absl::StatusCode code) const {
    const StatusOr<Scenario> loaded = LoadScenario(arguments);
    EXPECT_EQ(loaded.status().code(), code) << Message(loaded.status());
    std::string text = loaded.ok() ? "" : Message(loaded.status());
    for (size_t at; (at = text.find(folder_)) != std::string::npos;) text.erase(at, folder_.size());
    return text;
  }
  static const ResolvedKey& Key(const Scenario& scenario, std::string_view name) {
    return *std::find_if(scenario.keys.begin(), scenario.keys.end(),
                         [&](const ResolvedKey& key) { return key.name == name; });
  }

  const TestFolder scratch_;
  const std::string folder_ = scratch_.File("");
  const std::string model_ =
      "base_emb_dim: 64\nbase_mlp_dim: 96\nbase_num_decoder_layers: 2\n"
      "base_num_query_heads: 4\nbase_num_kv_heads: 4\nhead_dim: 16\n"
      "decoder_block: llama2\n";
};

TEST_F(Checkout, UsersBaseYmlIsTheLowestLayer) {
  const std::string base =
      WriteBase({{"base_mlp_dim", "16"}, {"steps", "7"}, {"dtype", "float32"}});
  const Scenario s =
      Load({base, "model_name=llama-mini", "compile_topology=v6e-8", "per_device_batch_size=1"});
  EXPECT_EQ(s.warnings, std::vector<std::string>{});  // not for the model over base.yml
  EXPECT_EQ(s.not_modelled, std::vector<std::string>{});
  EXPECT_EQ(s.model.mlp_dim, 48);  // the model's
  EXPECT_EQ(s.model.dtype, DType::kF32);
  EXPECT_EQ(Key(s, "steps").value, "7");
  EXPECT_TRUE(Key(s, "steps").origin.starts_with(base + ":"));
  EXPECT_FALSE(Key(s, "steps").is_default);
  EXPECT_TRUE(Key(s, "log_period").is_default);
  // The command line may say what base.yml says, and something else, about what the model sets.
  EXPECT_EQ(Load({base, "compile_topology=v6e-8", "base_mlp_dim=32", "per_device_batch_size=1"})
                .model.mlp_dim,
            32);
}

TEST_F(Checkout, NameOfTheBaseYmlDoesNotMatter) {
  const std::string base = WriteBase({{"steps", "7"}}, "", "mine/defaults.yaml");
  const Scenario s = Load({base, "model_name=llama-mini", "compile_topology=v6e-8"});
  EXPECT_EQ(Key(s, "steps").value, "7");
  EXPECT_EQ(s.warnings, std::vector<std::string>{});
}

TEST_F(Checkout, KeysOfANewerMaxTextAreNamedOnceAndListed) {
  std::string more;
  for (int i = 0; i < 30; ++i) more += fmt::format("new_key_{}: {}\n", i, i);
  const std::string base = WriteBase({}, more);
  const Arguments arguments = {base, "model_name=llama-mini", "compile_topology=v6e-8"};
  const Scenario s = Load(arguments);
  ASSERT_EQ(s.warnings.size(), 1u);
  EXPECT_EQ(s.warnings[0],
            base +
                ": 30 of its keys are unknown to MaxText e591f30, which is followed here, and "
                "not modelled: new_key_0, new_key_1, new_key_2, new_key_3, new_key_4, new_key_5 "
                "and 24 more");
  ASSERT_EQ(s.not_modelled.size(), 1u);
  EXPECT_NE(s.not_modelled[0].find("new_key_29"), std::string::npos);

  // What the user's MaxText knows may be set, and is listed with its value.
  Arguments set = arguments;
  set.insert(set.end(), {"new_key_3=[a, b]", "new_key_4=1"});
  EXPECT_EQ(Load(set).not_modelled,
            (std::vector<std::string>{"new_key_3: [a, b]", "new_key_4: 1", s.not_modelled[0]}));
  set.back() = "new_key_40=1";
  EXPECT_EQ(ErrorOf(set, absl::StatusCode::kInvalidArgument),
            "<command line>: argument 5: error: unknown key 'new_key_40'\n"
            "    new_key_40=1\n"
            "    ^~~~~~~~~~");
}

TEST_F(Checkout, AxesThatMaxTextDroppedMustHaveSizeOne) {
  const std::string axes = "[data, fsdp, tensor, tensor_transpose]";
  const Scenario s =
      Load({WriteBase({{"mesh_axes", axes}}, "ici_tensor_transpose_parallelism: 1\n"),
            "model_name=llama-mini", "compile_topology=v6e-8"});
  EXPECT_EQ(s.mesh.axes.size(), 3u);
  EXPECT_TRUE(std::any_of(s.warnings.begin(), s.warnings.end(), [](const std::string& warning) {
    return warning.ends_with("MaxText has no mesh axis tensor_transpose any more; its size is 1");
  }));
  EXPECT_NE(ErrorOf({WriteBase({}, "ici_tensor_transpose_parallelism: 2\n"),
                     "model_name=llama-mini", "compile_topology=v6e-8"},
                    absl::StatusCode::kUnimplemented)
                .find("no mesh axis that ici_tensor_transpose_parallelism sizes"),
            std::string::npos);
}

TEST_F(Checkout, RulesMayNameAxesThatTheMeshLacks) {
  // The last axis takes all devices.
  const auto size_of = [](std::string_view axes) {
    const std::string_view last = axes.substr(axes.find_last_of("[ ") + 1);
    return fmt::format("ici_{}_parallelism=-1", last.substr(0, last.size() - 1));
  };
  for (const char* model : {"llama-mini", "deepseek4-mini"}) {
    for (const char* axes : {"[data]", "[fsdp]", "[data, fsdp, expert]", "[expert]"}) {
      const Scenario s = Load({fmt::format("model_name={}", model), "compile_topology=v5p-16",
                               fmt::format("mesh_axes={}", axes), "per_device_batch_size=1",
                               "ici_fsdp_parallelism=1", size_of(axes), "max_target_length=256"});
      EXPECT_EQ(s.mesh.devices(), 8) << model << " " << axes;
    }
  }
}

TEST_F(Checkout, ModelsOfTheUsersMaxTextComeFirst) {
  const std::string base = WriteBase({});
  Write("models/llama2-7b.yml", model_);
  Write("models/our-own.yml", model_);
  for (const std::string name : {"llama2-7b", "our-own"}) {
    const Scenario s = Load({base, "model_name=" + name, "compile_topology=v6e-8"});
    EXPECT_EQ(s.model.emb_dim, 64);
    EXPECT_EQ(s.model.model_name, name);
    EXPECT_EQ(Key(s, "base_emb_dim").origin, folder_ + "models/" + name + ".yml:1");
  }
  // A yml in a folder beside models/ finds them, too.
  const std::string run = Write("runs/a.yml", "model_name: our-own\nbase_config: base.yml\n");
  EXPECT_EQ(Load({run, "compile_topology=v6e-8"}).model.emb_dim, 64);
  // Others are built in, and -Instruct changes no architecture.
  const Arguments instruct = {base, "model_name=llama3.1-8b-Instruct", "compile_topology=v6e-8"};
  EXPECT_EQ(Load(instruct).model.emb_dim, 4096);
  EXPECT_NE(ErrorOf({base, "model_name=../models/our-own", "compile_topology=v6e-8"},
                    absl::StatusCode::kInvalidArgument)
                .find("is not a value of model_name"),
            std::string::npos);
}

TEST_F(Checkout, ModelFileAsArgumentIsTheModel) {
  const std::string path = Write("models/our-own.yml", model_);
  const Scenario s = Load({path, "compile_topology=v6e-8", "base_config=None"});
  EXPECT_EQ(s.model.emb_dim, 64);
  EXPECT_EQ(s.model.model_name, "our-own");
  EXPECT_EQ(ErrorOf({path, "compile_topology=v6e-8", "base_emb_dim=32"},
                    absl::StatusCode::kInvalidArgument)
                .substr(0, 89),
            "<command line>: argument 3: error: base_emb_dim is set by the model file to another "
            "value");
  EXPECT_EQ(ErrorOf({path, "compile_topology=v6e-8", "model_name=llama2-7b"},
                    absl::StatusCode::kInvalidArgument),
            "<command line>: argument 3: error: model_name is 'llama2-7b', but a file of another "
            "model is given\n"
            "    model_name=llama2-7b\n"
            "               ^~~~~~~~~\n"
            "<command line>: argument 1: note: model 'our-own'");
}

TEST_F(Checkout, WhatIsNotBuiltIsSaidByName) {
  const std::string base = WriteBase({});
  Write("models/new-moe.yml", "decoder_block: brand_new_moe\nnum_experts: 8\n");
  EXPECT_EQ(ErrorOf({base, "model_name=new-moe", "compile_topology=v6e-8"},
                    absl::StatusCode::kUnimplemented),
            "models/new-moe.yml:1:16: error: 'brand_new_moe' is not a value of decoder_block of "
            "MaxText e591f30; it is not built here\n"
            "    1 | decoder_block: brand_new_moe\n"
            "      |                ^~~~~~~~~~~~~");
  Write("models/mixtral-8x7b.yml", "decoder_block: mixtral\nnum_experts: 8\n");
  EXPECT_EQ(ErrorOf({base, "model_name=mixtral-8x7b", "ici_data_parallelism=7"},
                    absl::StatusCode::kUnimplemented),
            "models/mixtral-8x7b.yml:1:16: error: decoder_block: mixtral is not built here\n"
            "    1 | decoder_block: mixtral\n"
            "      |                ^~~~~~~\n"
            "<command line>: argument 2: note: model_name is mixtral-8x7b here\n"
            "help: built here: llama2 and deepseek4");
  const std::string rl = Write("post_train/rl.yml", "rl:\n  num_generations: 2\nbatch_size: 1\n");
  EXPECT_NE(ErrorOf({rl}, absl::StatusCode::kUnimplemented).find("reinforcement learning"),
            std::string::npos);
}

TEST_F(Checkout, BaseConfigIsFoundBesideAndAbove) {
  WriteBase({{"steps", "7"}});
  Write("post_train/sft_base.yml", "base_config: base.yml\nlog_period: 3\n");
  const std::string run = Write("post_train/deep/run.yml",
                                "base_config: post_train/sft_base.yml\nlog_period: 4\n"
                                "model_name: llama-mini\ncompile_topology: v6e-8\n");
  const Scenario s = Load({run});
  EXPECT_EQ(Key(s, "steps").value, "7");
  EXPECT_EQ(Key(s, "log_period").value, "4");
}

TEST_F(Checkout, CircularAndDeepChainsAreLocated) {
  Write("a.yml", "base_config: b.yml\n");
  Write("b.yml", "steps: 1\nbase_config: ./c.yml\n");
  Write("c.yml", "base_config: sub/../a.yml\n");
  std::filesystem::create_directories(folder_ + "sub");
  EXPECT_EQ(ErrorOf({folder_ + "a.yml"}, absl::StatusCode::kInvalidArgument),
            "c.yml:1:14: error: base_config leads back to 'a.yml'\n"
            "    1 | base_config: sub/../a.yml\n"
            "      |              ^~~~~~~~~~~~");
  for (int i = 0; i < 20; ++i) {
    Write(fmt::format("d{}.yml", i), fmt::format("base_config: d{}.yml\n", i + 1));
  }
  EXPECT_EQ(ErrorOf({folder_ + "d0.yml"}, absl::StatusCode::kInvalidArgument).substr(0, 45),
            "d15.yml:1:14: error: more than 16 files deep\n");
}

// In MaxText, too, a list of rules in a yml takes the place of the list below it.
TEST_F(Checkout, RulesOfAYmlReplaceThoseOfBaseYml) {
  WriteBase({{"logical_axis_rules", "[[embed, [fsdp]], [mlp, [tensor]]]"}});
  const Arguments rest = {"model_name=llama-mini", "compile_topology=v6e-8"};
  Arguments arguments = {folder_ + "base.yml"};
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  EXPECT_EQ(Load(arguments).rules, (LogicalAxisRules{{"embed", {"fsdp"}}, {"mlp", {"tensor"}}}));
  arguments[0] =
      Write("run.yml", "base_config: base.yml\nlogical_axis_rules: [[heads, [tensor]]]\n");
  EXPECT_EQ(Load(arguments).rules, (LogicalAxisRules{{"heads", {"tensor"}}}));
}

TEST_F(Checkout, PresetsOfTheUsersComeFirst) {
  const std::string base = WriteBase({});
  const std::string preset =
      Write("custom_mesh_and_rule/pure-fsdp.yml",
            "mesh_axes: [fsdp, tensor]\nlogical_axis_rules: [[embed, [fsdp]], [mlp, tensor]]\n"
            "data_sharding: [[fsdp]]\n");
  const LogicalAxisRules rules = {{"embed", {"fsdp"}}, {"mlp", {"tensor"}}};
  Arguments arguments = {base, "model_name=llama-mini", "compile_topology=v6e-8",
                         "custom_mesh_and_rule=pure-fsdp"};
  EXPECT_EQ(Load(arguments).rules, rules);
  EXPECT_EQ(Load(arguments).mesh.axes.size(), 2u);
  Arguments more = arguments;
  more.insert(more.end(), {"mesh_axes=[fsdp]", "logical_axis_rules=[[embed, []]]"});
  EXPECT_EQ(Load(more).rules, rules);
  EXPECT_EQ(Load(more).mesh.axes.size(), 2u);
  arguments.back() = "custom_mesh_and_rule=" + preset;
  arguments.front() = "base.yml";
  EXPECT_EQ(Load(arguments).rules, rules);
  arguments.back() = "custom_mesh_and_rule=./gone.yml";
  EXPECT_EQ(LoadScenario(arguments).status().code(), absl::StatusCode::kUnavailable);
  arguments.back() = "custom_mesh_and_rule=pure-fsdpp";
  EXPECT_NE(ErrorOf(arguments, absl::StatusCode::kInvalidArgument).find("did you mean 'pure-fsdp'"),
            std::string::npos);
}

TEST_F(Checkout, BaseYmlOfARecipeThatIsNotHereIsSaid) {
  const Scenario s =
      Load({"MaxText/configs/base.yml", "model_name=llama-mini", "compile_topology=v6e-8"});
  EXPECT_EQ(s.notes[0],
            "argument 1: there is no 'MaxText/configs/base.yml'; base.yml is MaxText e591f30's, "
            "built in");
}

}  // namespace
}  // namespace shardwise
