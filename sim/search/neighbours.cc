#include "sim/search/neighbours.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "kernels/base/check.h"
#include "sim/config/topologies.h"
#include "sim/cost/kernel_cost.h"

namespace shardwise {
namespace {

class Lister {
 public:
  Lister(const Scenario& scenario, const Chip& chip) : scenario_(scenario), chip_(chip) {}

  std::vector<Neighbour> Run(bool needs_memory) {
    ListImplementation();
    ListAttention();
    ListExperts();
    ListFlags();
    ListRemat();
    ListOffload();
    ListAccumulation();
    ListVocabulary();
    ListBatch();
    if (needs_memory) ListMemory();
    ListMesh();
    return std::move(list_);
  }

 private:
  const ModelConfig& model() const { return scenario_.model; }
  bool IsV4() const { return model().decoder_block == "deepseek4"; }
  bool HasExperts() const { return IsV4() && model().v4.num_experts > 1; }

  // Resolved value of a key, as text.
  const std::string& Value(std::string_view key) const {
    const auto at = std::lower_bound(
        scenario_.keys.begin(), scenario_.keys.end(), key,
        [](const ResolvedKey& known, std::string_view name) { return known.name < name; });
    SW_CHECK(at != scenario_.keys.end() && at->name == key, "no key {}", key);
    return at->value;
  }

  void Add(ChangeKind kind, std::vector<Override> change) {
    list_.push_back({kind, std::move(change)});
  }

  void ListImplementation() {
    if (model().as_maxtext) Add(ChangeKind::kImplementation, {{"sim.v4.as_maxtext", "false"}});
  }

  void ListAttention() {
    if (model().attention == AttentionKernel::kDotProduct) {
      return Add(ChangeKind::kAttention, {{"attention", "flash"}});
    }
    if (!model().attention_blocks.fused_backward) {
      Add(ChangeKind::kAttention, {{"sa_use_fused_bwd_kernel", "true"}});
    }
    // Tiles of the public recipes for long sequences.
    const int64_t tile = std::min<int64_t>(2048, model().max_target_length);
    std::vector<Override> tiles;
    for (const char* key :
         {"sa_block_kv", "sa_block_kv_compute", "sa_block_kv_dkv", "sa_block_kv_dkv_compute",
          "sa_block_kv_dq", "sa_block_q", "sa_block_q_dkv", "sa_block_q_dq"}) {
      if (Value(key) != fmt::to_string(tile)) tiles.emplace_back(key, fmt::to_string(tile));
    }
    if (!tiles.empty()) Add(ChangeKind::kAttention, tiles);
  }

  void ListExperts() {
    if (!HasExperts()) return;
    if (scenario_.mesh.SizeOf({"expert"}) > 1) {
      const bool gathers = model().v4.dispatch == ExpertDispatch::kAllGather;
      if (Value("sim.moe.dispatch") == "null") {
        Add(ChangeKind::kExperts, {{"use_ring_of_experts", gathers ? "false" : "true"}});
      } else {
        Add(ChangeKind::kExperts,
            {{"sim.moe.dispatch", gathers ? "ragged_all_to_all" : "all_gather"}});
      }
    } else if (!model().v4.shard_exp_on_fsdp) {
      Add(ChangeKind::kExperts, {{"shard_exp_on_fsdp", "true"}});
    }
  }

  // Adds flags to those of compile_xla_flags, in whose place the key's new value comes.
  void AddFlags(const std::vector<std::string>& flags) {
    std::string text = Value("compile_xla_flags");
    if (text == "null" || text == "''" || text == "\"\"") text.clear();
    for (const std::string& flag : flags) {
      const std::string_view name = std::string_view(flag).substr(0, flag.find('=') + 1);
      if (text.find(name) != std::string::npos) return;  // set there, on purpose
      text += fmt::format("{}{}", text.empty() ? "" : " ", flag);
    }
    Add(ChangeKind::kXlaFlags, {{"compile_xla_flags", text}});
  }

  void ListFlags() {
    const int64_t large = chip_.matmul.large_vmem_limit_kib;
    if (ScopedVmemLimitKib(scenario_.xla_flags) < large) {
      AddFlags({fmt::format("--xla_tpu_scoped_vmem_limit_kib={}", large)});
    }
    // Every flag that moves a kind of collective to the SparseCores.
    std::vector<std::string> offload;
    for (int k = 0; k < kCollectiveKindCount; ++k) {
      const CollectiveIssue& issue = chip_.collectives[k];
      // Large enough for any lower limit.
      const CollectiveEngine now =
          EngineFor(chip_, static_cast<CollectiveKind>(k), 1e18, scenario_.xla_flags);
      if (now == CollectiveEngine::kSparseCore) continue;
      for (const CollectiveIssue::Rule& rule : issue.rules) {
        if (rule.engine == CollectiveEngine::kSparseCore) offload.push_back(rule.flag);
      }
    }
    if (!offload.empty()) AddFlags(offload);
  }

  void ListRemat() {
    for (const char* policy : {"full", "save_qkv_proj", "save_out_proj", "save_dot_except_mlp",
                               "minimal", "minimal_offloaded"}) {
      if (Value("remat_policy") != policy) Add(ChangeKind::kRemat, {{"remat_policy", policy}});
    }
    if (Value("remat_policy") != "custom") return;
    // One tensor more or less than the user's own choice.
    for (const char* name : {"mlpwi_0", "mlpwi_1", "mlpwo", "out_proj"}) {
      Add(ChangeKind::kRemat, {{name, Value(name) == "remat" ? "device" : "remat"}});
    }
  }

  void ListOffload() {
    if (model().remat.carry == SavedIn::kOffload) {
      return Add(ChangeKind::kOffload, {{"decoder_layer_input", "device"}});
    }
    std::vector<Override> change = {{"decoder_layer_input", "offload"}};
    if (Value("remat_policy") != "custom")
      change.insert(change.begin(), {"remat_policy", "custom"});
    Add(ChangeKind::kOffload, std::move(change));
  }

  void AddBatch(ChangeKind kind, double batch, int64_t steps) {
    std::vector<Override> change = {{"per_device_batch_size", fmt::to_string(batch)}};
    if (kind == ChangeKind::kAccumulation) {
      change.emplace_back("gradient_accumulation_steps", fmt::to_string(steps));
    }
    Add(kind, std::move(change));
  }

  void ListAccumulation() {
    const double batch = scenario_.per_device_batch_size;
    const int64_t steps = model().gradient_accumulation_steps;
    AddBatch(ChangeKind::kAccumulation, batch / 2, steps * 2);
    if (steps % 2 == 0) AddBatch(ChangeKind::kAccumulation, batch * 2, steps / 2);
  }

  void ListVocabulary() {
    Add(ChangeKind::kVocabulary, {{"num_vocab_tiling", model().num_vocab_tiling > 1 ? "1" : "8"}});
  }

  void ListBatch() {
    AddBatch(ChangeKind::kBatch, scenario_.per_device_batch_size * 2, 0);
    AddBatch(ChangeKind::kBatch, scenario_.per_device_batch_size / 2, 0);
  }

  void ListMemory() {
    if (model().mu_dtype == DType::kF32) {
      Add(ChangeKind::kOptimizerState, {{"mu_dtype", "bfloat16"}});
    }
    const TopologySize* now = FindTopology(scenario_.topology.name);
    if (now == nullptr) return;
    for (const TopologySize& larger : AllTopologies()) {
      if (larger.family != now->family || larger.devices != 2 * now->devices) continue;
      return Add(ChangeKind::kSlice,
                 {{"compile_topology", std::string(larger.name)},
                  {"ici_fsdp_parallelism", fmt::to_string(2 * IciSize("fsdp"))},
                  {"per_device_batch_size", fmt::to_string(scenario_.per_device_batch_size / 2)}});
    }
  }

  int64_t IciSize(std::string_view axis) const {
    for (const MeshAxis& known : scenario_.mesh.axes) {
      if (known.name == axis) return known.size / known.dcn;
    }
    return 1;
  }

  // A factor of one axis goes to another.
  void ListMesh() {
    constexpr std::array<std::string_view, 5> kAxes = {"fsdp", "tensor", "context", "data",
                                                       "expert"};
    const auto usable = [&](std::string_view axis) { return axis != "expert" || HasExperts(); };
    for (const int64_t factor : {2, 4, 8}) {
      for (const std::string_view from : kAxes) {
        const int64_t size = IciSize(from);
        if (size < factor || size % factor != 0) continue;
        for (const std::string_view to : kAxes) {
          if (to == from || !usable(to)) continue;
          Add(ChangeKind::kMesh,
              {{fmt::format("ici_{}_parallelism", from), fmt::to_string(size / factor)},
               {fmt::format("ici_{}_parallelism", to), fmt::to_string(IciSize(to) * factor)}});
        }
      }
    }
  }

  const Scenario& scenario_;
  const Chip& chip_;
  std::vector<Neighbour> list_;
};

}  // namespace

std::string_view Name(ChangeKind kind) {
  constexpr std::string_view kNames[] = {
      "implementation", "attention kernel",  "experts", "XLA flags", "rematerialisation", "offload",
      "microbatches",   "vocabulary tiling", "mesh",    "batch",     "optimizer state",   "slice"};
  return kNames[static_cast<size_t>(kind)];
}

std::string Neighbour::ToText() const {
  std::string text;
  for (const auto& [key, value] : change) {
    const bool plain = value.find_first_of(" \t'\"$&;|<>*?()[]{}~#!\\") == std::string::npos;
    text += fmt::format("{}{}={}{}{}", text.empty() ? "" : " ", key, plain ? "" : "'", value,
                        plain ? "" : "'");
  }
  return text;
}

std::vector<Neighbour> NeighboursOf(const Scenario& scenario, const Chip& chip, bool needs_memory) {
  return Lister(scenario, chip).Run(needs_memory);
}

}  // namespace shardwise
