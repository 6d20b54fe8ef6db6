#include "sim/config/scenario.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include "kernels/base/test_folder.h"
#include "sim/config/axis_rules.h"
#include "sim/config/keys.h"
#include "sim/config/topologies.h"

namespace shardwise {
namespace {

using Arguments = std::vector<std::string>;

Scenario Load(const Arguments& arguments) {
  StatusOr<Scenario> loaded = LoadScenario(arguments);
  EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
  return loaded.ok() ? *std::move(loaded) : Scenario();
}

const ResolvedKey& Key(const Scenario& scenario, std::string_view name) {
  const auto found = std::find_if(scenario.keys.begin(), scenario.keys.end(),
                                  [&](const ResolvedKey& key) { return key.name == name; });
  EXPECT_NE(found, scenario.keys.end()) << name;
  return *found;
}

std::string WriteFile(const std::string& name, const std::string& text) {
  static const TestFolder folder;
  const std::string path = folder.File(name);
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

const std::vector<std::string>* AxesOf(const Scenario& scenario, std::string_view rule) {
  for (const auto& [name, axes] : scenario.rules) {
    if (name == rule) return &axes;
  }
  return nullptr;
}

// The smallest complete command line.
Arguments Mini(Arguments more = {}) {
  Arguments all = {"model_name=llama-mini", "compile_topology=v6e-8", "per_device_batch_size=1",
                   "max_target_length=256"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Scenarios, AllBuiltInOnesLoadAndAllOfLlamaAreMeasured) {
  const std::vector<std::string> ids = BuiltInScenarios();
  EXPECT_EQ(ids.size(), 23u);
  for (const std::string& id : ids) {
    const Scenario scenario = Load({id});
    EXPECT_EQ(scenario.id, id);
    EXPECT_EQ(scenario.measured_step_time_s > 0, id != "V4-Flash") << id;
    const TopologySize* topology = FindTopology(scenario.topology.name);
    ASSERT_NE(topology, nullptr) << id;
    EXPECT_EQ(scenario.mesh.devices(), topology->devices * scenario.topology.num_slices) << id;
    EXPECT_EQ(scenario.mesh.slices(), scenario.topology.num_slices) << id;
    for (const std::string& flag : scenario.xla_flags) EXPECT_TRUE(flag.starts_with("--")) << id;
    for (const ResolvedKey& key : scenario.keys) EXPECT_GE(FindKey(key.name), 0) << key.name;
    EXPECT_EQ(scenario.keys.size(), AllKeys().size()) << id;
  }
}

// Batch, length, topology and devices agree with the published token rate, an independent figure.
TEST(Scenarios, TokensPerChipMatchThePublishedRate) {
  for (const std::string& id : BuiltInScenarios()) {
    const Scenario scenario = Load({id});
    const bool two_devices_per_chip = scenario.topology.name.starts_with("tpu7x");
    const double chips =
        static_cast<double>(scenario.mesh.devices()) / (two_devices_per_chip ? 2.0 : 1.0);
    const double tokens = static_cast<double>(scenario.model.global_batch_size) *
                          static_cast<double>(scenario.model.max_target_length);
    const double rate = tokens / chips / scenario.measured_step_time_s;
    if (scenario.measured_tokens_per_s_per_chip == 0) continue;
    EXPECT_NEAR(rate / scenario.measured_tokens_per_s_per_chip, 1.0, 0.005) << id;
  }
}

TEST(Scenarios, NameIdAndPathMeanTheSame) {
  const Scenario by_id = Load({"IW-07"});
  for (const char* name : {"configs/scenarios/IW-07.yml", "IW-07.yml"}) {
    const Scenario other = Load({name});
    ASSERT_EQ(other.keys.size(), by_id.keys.size());
    for (size_t i = 0; i < other.keys.size(); ++i) {
      EXPECT_EQ(other.keys[i].value, by_id.keys[i].value);
    }
  }
}

TEST(Scenarios, RowIw07) {
  const Scenario s = Load({"IW-07"});
  EXPECT_EQ(s.model.model_name, "llama3.1-70b");
  EXPECT_EQ(s.model.emb_dim, 8192);
  EXPECT_EQ(s.model.num_query_heads, 64);
  EXPECT_EQ(s.model.num_kv_heads, 8);
  EXPECT_EQ(s.model.mlp_dim, 28672);
  EXPECT_EQ(s.model.num_decoder_layers, 80);
  EXPECT_EQ(s.model.vocab_size, 128256);
  EXPECT_EQ(s.model.rope_max_timescale, 500000);
  EXPECT_EQ(s.model.global_batch_size, 256);
  EXPECT_EQ(s.model.weight_dtype, DType::kF32);
  EXPECT_EQ(s.model.mu_dtype, DType::kBF16);
  EXPECT_EQ(s.model.attention, AttentionKernel::kFlash);
  EXPECT_TRUE(s.model.attention_blocks.fused_backward);
  const std::map<std::string, SavedIn> kept = {{"context", SavedIn::kDevice},
                                               {"key_proj", SavedIn::kDevice},
                                               {"query_proj", SavedIn::kDevice},
                                               {"value_proj", SavedIn::kDevice}};
  EXPECT_EQ(s.model.remat.names, kept);
  EXPECT_EQ(s.mesh.ToText(), "fsdp: 128");
  EXPECT_EQ(s.sim.dvfs_p_state, 3);
  EXPECT_EQ(s.XlaFlag("xla_tpu_scoped_vmem_limit_kib", "?"), "61440");
  EXPECT_EQ(s.XlaFlag("xla_tpu_scoped_vmem_limit", "?"), "?");
  EXPECT_EQ(s.warnings,
            std::vector<std::string>{"configs/scenarios/IW-07.yml:27: qkv_proj: device has no "
                                     "effect: llama2 has no tensor of that name"});
  EXPECT_EQ(s.not_modelled,
            (std::vector<std::string>{"sa_k_layout: SEQ_MINOR", "sa_q_layout: SEQ_MINOR",
                                      "use_tokamax_splash: true",
                                      "XLA flags: --xla_tpu_bf16_emission_mode=NATIVE_EMISSION "
                                      "--xla_tpu_use_single_sparse_core_for_all_gather_offload="
                                      "true"}));
  EXPECT_EQ(s.xla_flag_origins.front(), "configs/scenarios/IW-07.yml:41");
}

TEST(Scenarios, Fp8RowCalibrates) {
  const Scenario s = Load({"IW-08"});
  EXPECT_EQ(s.model.quantization, Quantization::kFp8Full);
  EXPECT_EQ(s.model.weight_calibration, 224);
  EXPECT_EQ(s.model.act_calibration, 224);
  EXPECT_EQ(s.model.bwd_calibration, 0);
}

TEST(Layers, EveryValueSaysWhereItIsFrom) {
  const std::string path = WriteFile("origin.yml", "steps: 7\nmodel_name: llama-mini\n");
  const Scenario s = Load({path, "compile_topology=v6e-8", "ici_tensor_parallelism=2"});
  EXPECT_EQ(Key(s, "steps").origin, path + ":1");
  EXPECT_EQ(Key(s, "base_emb_dim").origin, "configs/models/llama-mini.yml:2");
  EXPECT_EQ(Key(s, "compile_topology").origin, "argument 2");
  EXPECT_EQ(Key(s, "ici_tensor_parallelism").origin, "argument 3");
  EXPECT_EQ(Key(s, "ici_fsdp_parallelism").origin, "base.yml, -1 filled from compile_topology");
  EXPECT_EQ(Key(s, "ici_fsdp_parallelism").value, "4");
  EXPECT_EQ(Key(s, "log_period").origin, "base.yml");
  EXPECT_TRUE(Key(s, "log_period").is_default);
  EXPECT_EQ(Key(s, "emb_dim").origin, "computed");
  EXPECT_EQ(Key(s, "emb_dim").value, "32");
  EXPECT_EQ(Key(s, "global_batch_size_to_train_on").value, "96");
}

TEST(Layers, ModelFileLiesBetweenFileAndCommandLine) {
  const std::string base = WriteFile("lower.yml", "base_mlp_dim: 16\nsteps: 1\nlog_period: 3\n");
  const std::string path =
      WriteFile("upper.yml", "base_config: lower.yml\nmodel_name: llama-mini\nsteps: 2\n");
  const Scenario s = Load({path, "compile_topology=v6e-8"});
  EXPECT_EQ(s.model.mlp_dim, 48);
  EXPECT_EQ(Key(s, "steps").value, "2");
  EXPECT_EQ(Key(s, "log_period").value, "3");
  ASSERT_EQ(s.warnings.size(), 1u);
  EXPECT_EQ(s.warnings[0], base +
                               ":1: base_mlp_dim: 16 is overridden by "
                               "configs/models/llama-mini.yml:5: 48");
  EXPECT_EQ(Load({path, "compile_topology=v6e-8", "base_mlp_dim=48"}).model.mlp_dim, 48);
  const Scenario overridden =
      Load({path, "compile_topology=v6e-8", "base_mlp_dim=64", "override_model_config=true"});
  EXPECT_EQ(overridden.model.mlp_dim, 64);
}

TEST(Layers, LaterArgumentsWin) {
  EXPECT_EQ(
      Load({"IW-07", "per_device_batch_size=3", "per_device_batch_size=4"}).model.global_batch_size,
      512);
  EXPECT_EQ(Load({"IW-07", "sim.policy=ideal"}).sim.policy, "ideal");
  EXPECT_EQ(Load({"IW-07", "compile_xla_flags=--xla_tpu_scoped_vmem_limit_kib=1 --b=2"})
                .XlaFlag("xla_tpu_scoped_vmem_limit_kib", ""),
            "1");
}

TEST(Layers, RecipesMayNameBaseYml) {
  const Scenario s =
      Load({"MaxText/configs/base.yml", "model_name=llama-mini", "compile_topology=v6e-8"});
  EXPECT_EQ(s.model.emb_dim, 32);
}

TEST(Layers, RulesMergeByName) {
  const Scenario plain = Load(Mini());
  ASSERT_NE(AxesOf(plain, "norm"), nullptr);
  EXPECT_EQ(*AxesOf(plain, "norm"), std::vector<std::string>{"tensor"});
  const Scenario llama2 = Load({"model_name=llama2-7b", "compile_topology=v6e-8"});
  EXPECT_EQ(*AxesOf(llama2, "norm"), std::vector<std::string>{"fsdp"});
  EXPECT_EQ(llama2.rules.size(), plain.rules.size());

  const Scenario merged = Load(Mini({"logical_axis_rules=[[embed, tensor]]"}));
  EXPECT_EQ(*AxesOf(merged, "embed"), std::vector<std::string>{"tensor"});
  EXPECT_EQ(merged.rules.size(), plain.rules.size() - 1);  // base.yml has embed twice

  const Scenario replaced =
      Load(Mini({"logical_axis_rules=[[embed, tensor]]", "override_logical_axis_rules=true"}));
  EXPECT_EQ(replaced.rules, (LogicalAxisRules{{"embed", {"tensor"}}}));
}

TEST(Layers, PresetsReplaceMeshAndRules) {
  const Scenario s = Load(Mini({"custom_mesh_and_rule=pure-fsdp"}));
  ASSERT_EQ(s.mesh.axes.size(), 1u);
  EXPECT_EQ(s.mesh.axes[0], (MeshAxis{"fsdp", 8, 1}));
  for (const auto& [name, axes] : s.rules) {
    for (const std::string& axis : axes) EXPECT_EQ(axis, "fsdp") << name;
  }
}

// Source: MaxText 0.2.3 to 0.2.5, configs/types.py (set_derived_and_validate_values).
TEST(Layers, PresetsReplaceWhatTheCommandLineSays) {
  const Scenario preset = Load(Mini({"custom_mesh_and_rule=pure-fsdp"}));
  const Scenario both =
      Load(Mini({"logical_axis_rules=[[embed, tensor]]", "mesh_axes=[data, fsdp, tensor]",
                 "override_logical_axis_rules=true", "custom_mesh_and_rule=pure-fsdp"}));
  EXPECT_EQ(both.rules, preset.rules);
  EXPECT_EQ(both.mesh.ToText(), preset.mesh.ToText());
  std::vector<std::string> more = both.warnings;
  for (const std::string& warning : preset.warnings) std::erase(more, warning);
  EXPECT_EQ(more, (std::vector<std::string>{
                      "argument 6: custom_mesh_and_rule=pure-fsdp takes the place of mesh_axes, as "
                      "MaxText reads presets last",
                      "argument 5: custom_mesh_and_rule=pure-fsdp takes the place of "
                      "logical_axis_rules, as MaxText reads presets last"}));
  // A preset's own rules lose nothing.
  const Scenario again = Load(
      Mini({"logical_axis_rules=" + RulesToFlow(preset.rules), "override_logical_axis_rules=true",
            "mesh_axes=[fsdp]", "custom_mesh_and_rule=pure-fsdp"}));
  EXPECT_EQ(again.warnings, preset.warnings);
}

TEST(Layers, StrictRefusesWhatWouldBeSaidInPassing) {
  EXPECT_EQ(LoadScenario({"IW-07", "sim.strict=true"}).status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(LoadScenario(Mini({"sim.strict=true"})).ok());
}

TEST(Model, DTypesAndAttentionDefaults) {
  const Scenario s = Load(Mini({"weight_dtype=bfloat16"}));
  EXPECT_EQ(s.model.mu_dtype, DType::kBF16);  // mu_dtype follows the weights
  EXPECT_EQ(s.model.attention, AttentionKernel::kFlash);
  EXPECT_EQ(Load(Mini({"max_target_length=64"})).model.attention, AttentionKernel::kDotProduct);
  EXPECT_EQ(Load(Mini({"attention=dot_product"})).model.attention, AttentionKernel::kDotProduct);
  EXPECT_EQ(Load(Mini({"sliding_window_size=64"})).model.sliding_window_size, 0);
  EXPECT_EQ(Load(Mini({"sliding_window_size=64", "attention_type=local_sliding"}))
                .model.sliding_window_size,
            64);
}

TEST(Model, RematPolicies) {
  const auto saved = [](const std::string& policy) {
    return Load(Mini({"remat_policy=" + policy})).model.remat;
  };
  EXPECT_TRUE(saved("full").names.empty());
  EXPECT_FALSE(saved("full").save_everything);
  EXPECT_TRUE(saved("none").save_everything);
  EXPECT_EQ(saved("minimal").names.size(), 7u);
  EXPECT_EQ(saved("minimal").names.count("context"), 0u);
  EXPECT_EQ(saved("minimal_flash").names, saved("minimal_with_context").names);
  EXPECT_EQ(saved("minimal_flash").names.count("context"), 1u);
  EXPECT_EQ(saved("save_qkv_proj").names.size(), 3u);
  for (const auto& [name, saved_in] : saved("qkv_proj_offloaded").names) {
    EXPECT_EQ(saved_in, SavedIn::kOffload) << name;
  }
  const RematPolicy custom = Load(Mini({"remat_policy=custom", "context=offload", "mlpwo=device",
                                        "decoder_layer_input=offload"}))
                                 .model.remat;
  EXPECT_EQ(custom.carry, SavedIn::kOffload);
  EXPECT_EQ(custom.names, (std::map<std::string, SavedIn>{{"context", SavedIn::kOffload},
                                                          {"mlpwo", SavedIn::kDevice}}));
}

TEST(Model, ParameterScaleSpreadsOverTheShape) {
  const Scenario s = Load(Mini({"global_parameter_scale=32"}));  // 2^5 = 8 * 4
  EXPECT_EQ(s.model.num_query_heads, 4 * 4);
  EXPECT_EQ(s.model.mlp_dim, 48 * 4);
  EXPECT_EQ(s.model.emb_dim, 32 * 4);
  EXPECT_EQ(s.model.num_decoder_layers, 3 * 2);
}

// Any factorisation of the devices is a mesh, with or without one factor left open.
TEST(Mesh, AnyFactorisationResolves) {
  EXPECT_TRUE(rc::check([] {
    const auto& topologies = AllTopologies();
    const TopologySize& topology = topologies[*rc::gen::inRange<size_t>(0, topologies.size())];
    const int64_t slices = *rc::gen::inRange<int64_t>(1, 5);
    const std::vector<std::string> axes = {"data", "fsdp", "fsdp_transpose", "tensor"};
    std::vector<int64_t> sizes(axes.size(), 1);
    int64_t rest = topology.devices;
    for (int64_t prime = 2; rest > 1; ++prime) {
      for (; rest % prime == 0; rest /= prime) {
        sizes[*rc::gen::inRange<size_t>(0, axes.size())] *= prime;
      }
    }
    const auto open = *rc::gen::inRange<size_t>(0, 2 * axes.size());
    Arguments arguments = {"model_name=llama-mini", "per_device_batch_size=1",
                           fmt::format("compile_topology={}", topology.name),
                           fmt::format("compile_topology_num_slices={}", slices)};
    for (size_t i = 0; i < axes.size(); ++i) {
      arguments.push_back(fmt::format("ici_{}_parallelism={}", axes[i], i == open ? -1 : sizes[i]));
    }
    const StatusOr<Scenario> s = LoadScenario(arguments);
    RC_ASSERT(s.ok());
    RC_ASSERT(s->mesh.devices() == topology.devices * slices);
    RC_ASSERT(s->mesh.slices() == slices);
    for (size_t i = 0; i < axes.size(); ++i) {
      const int64_t dcn = axes[i] == "data" ? slices : 1;
      RC_ASSERT(s->mesh.axes[s->mesh.Find(axes[i])] == (MeshAxis{axes[i], sizes[i] * dcn, dcn}));
    }
  }));
}

// A product other than the devices is always an error.
TEST(Mesh, WrongProductsAreErrors) {
  EXPECT_TRUE(rc::check([] {
    const int64_t data = *rc::gen::inRange<int64_t>(1, 20),
                  fsdp = *rc::gen::inRange<int64_t>(1, 20),
                  tensor = *rc::gen::inRange<int64_t>(1, 4);
    const StatusOr<Scenario> s = LoadScenario(
        {"model_name=llama-mini", "compile_topology=v6e-16", "per_device_batch_size=1",
         fmt::format("ici_data_parallelism={}", data), fmt::format("ici_fsdp_parallelism={}", fsdp),
         fmt::format("ici_tensor_parallelism={}", tensor)});
    RC_ASSERT(s.ok() == (data * fsdp * tensor == 16));
  }));
}

TEST(Mesh, BatchIsWholeAndDivides) {
  EXPECT_TRUE(rc::check([] {
    const int64_t eighths = *rc::gen::inRange<int64_t>(1, 64);
    const int64_t fsdp = *rc::gen::element<int64_t>(1, 2, 4, 8);
    const int64_t steps = *rc::gen::inRange<int64_t>(1, 4);
    const StatusOr<Scenario> s =
        LoadScenario({"model_name=llama-mini", "compile_topology=v6e-8",
                      fmt::format("per_device_batch_size={}", static_cast<double>(eighths) / 8),
                      fmt::format("ici_fsdp_parallelism={}", fsdp), "ici_tensor_parallelism=-1",
                      fmt::format("gradient_accumulation_steps={}", steps)});
    RC_ASSERT(s.ok() == (eighths % fsdp == 0));
    if (s.ok()) RC_ASSERT(s->model.global_batch_size == eighths * steps);
  }));
}

TEST(Scenarios, LoadingIsDeterministic) {
  const Scenario a = Load({"IW-11"}), b = Load({"IW-11"});
  ASSERT_EQ(a.keys.size(), b.keys.size());
  EXPECT_TRUE(std::is_sorted(a.keys.begin(), a.keys.end(),
                             [](const auto& x, const auto& y) { return x.name < y.name; }));
  for (size_t i = 0; i < a.keys.size(); ++i) {
    EXPECT_EQ(a.keys[i].value, b.keys[i].value);
    EXPECT_EQ(a.keys[i].origin, b.keys[i].origin);
  }
}

}  // namespace
}  // namespace shardwise
