#include "sim/config/resolve_mesh.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sim/config/topologies.h"

namespace shardwise {
namespace {

constexpr int64_t kMaxParallelism = 1'000'000;
constexpr int64_t kMaxSlices = 100'000;

// Axes whose meaning (pipeline schedule, DiLoCo, decoding, Ulysses) nothing here builds.
constexpr std::array<std::string_view, 5> kUnbuiltAxes = {
    "diloco", "stage", "context_usp_ulysses", "context_autoregressive", "autoregressive"};

// What the axes of one network must multiply to.
struct Network {
  std::string_view prefix;  // "ici" or "dcn"
  int64_t total;
  std::string total_text;  // "the 128 devices of a tpu7x-128 slice"
};

struct AxisSize {
  std::string key;
  int64_t size;
};

// Product that stops growing far above any legal total.
int64_t Product(const std::vector<AxisSize>& sizes) {
  constexpr int64_t kStop = kMaxParallelism * kMaxSlices;
  int64_t product = 1;
  for (const AxisSize& axis : sizes) {
    if (axis.size > 0) product = std::min(kStop, product) * axis.size;
    product = std::min(kStop, product);
  }
  return product;
}

// "ici axes multiply to 192 (ici_fsdp_parallelism 96 x ici_tensor_parallelism 2)"
std::string Factors(const Network& network, const std::vector<AxisSize>& sizes) {
  std::string factors;
  for (const AxisSize& axis : sizes) {
    if (axis.size == 1 || axis.size == -1) continue;
    factors += fmt::format("{}{} {}", factors.empty() ? "" : " x ", axis.key, axis.size);
  }
  if (factors.empty()) return fmt::format("{} axes multiply to 1", network.prefix);
  return fmt::format("{} axes multiply to {} ({})", network.prefix, Product(sizes), factors);
}

// The key to blame: the last explicitly set size that is not 1, else what sets the total.
std::string BlamedKey(const Settings& settings, const Network& network,
                      const std::vector<AxisSize>& sizes) {
  const bool aot = settings.Int("compile_topology_num_slices") != -1;
  std::string blamed = network.prefix == "ici" ? "compile_topology"
                       : aot                   ? "compile_topology_num_slices"
                                               : "num_slices";
  int best = -1;
  for (const AxisSize& axis : sizes) {
    const Setting* setting = settings.Find(axis.key);
    if (!settings.IsSet(axis.key) || axis.size == 1) continue;
    const int argument = setting->value_at.source->argument;
    if (argument >= best) {
      best = argument;
      blamed = axis.key;
    }
  }
  return blamed;
}

bool IsFsdpOrData(std::string_view key) {
  return key.substr(4) == "fsdp_parallelism" || key.substr(4) == "data_parallelism";
}

// Single changes that make the product right.
std::string ProductHelp(const std::vector<AxisSize>& sizes, int64_t total) {
  const bool all_one = Product(sizes) == 1;
  std::string text;
  for (size_t i = 0; i < sizes.size(); ++i) {
    std::vector<AxisSize> others = sizes;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const int64_t rest = Product(others);
    if (all_one ? !IsFsdpOrData(sizes[i].key) : sizes[i].size == 1) continue;
    if (total % rest != 0) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " or ", sizes[i].key, total / rest);
  }
  return text.empty() ? text : fmt::format("{} would fit", text);
}

std::vector<AxisSize> ReadSizes(const Settings& settings, const AxisRules& axes,
                                const Network& network, Diagnostics& diagnostics, bool& ok) {
  std::vector<AxisSize> sizes;
  for (const std::string& axis : axes.mesh_axes) {
    const std::string key = ParallelismKey(network.prefix, axis);
    const int64_t size = settings.Int(key);
    if (size != -1 && (size < 1 || size > kMaxParallelism)) {
      diagnostics.Error(settings.ValueAt(key),
                        fmt::format("{} must be -1 or 1 to {}", key, kMaxParallelism));
      ok = false;
    }
    sizes.push_back({key, size});
  }
  return sizes;
}

bool CheckOneFree(const Settings& settings, const std::vector<AxisSize>& sizes,
                  Diagnostics& diagnostics) {
  std::vector<std::string> free;
  for (const AxisSize& axis : sizes) {
    if (axis.size == -1) free.push_back(axis.key);
  }
  if (free.size() < 2) return true;
  // Blame a key that was set, not a default.
  std::stable_partition(free.begin(), free.end(),
                        [&](const std::string& key) { return !settings.IsSet(key); });
  Diagnostic& error = diagnostics.Error(
      settings.ValueAt(free.back()),
      fmt::format("{} is -1, but only one axis can take what is left", free.back()));
  for (size_t i = 0; i + 1 < free.size(); ++i) {
    error.notes.push_back({settings.ValueAt(free[i]), fmt::format("{} is -1 too", free[i])});
  }
  return false;
}

// Replaces -1 and checks the product.
bool Fill(const Settings& settings, const Network& network, std::vector<AxisSize>& sizes,
          Diagnostics& diagnostics, std::map<std::string, int64_t>& filled) {
  if (!CheckOneFree(settings, sizes, diagnostics)) return false;
  const int64_t product = Product(sizes);
  const auto free = std::find_if(sizes.begin(), sizes.end(),
                                 [](const AxisSize& axis) { return axis.size == -1; });
  if (free != sizes.end() && network.total % product == 0) {
    free->size = network.total / product;
    filled[free->key] = free->size;
    return true;
  }
  if (free == sizes.end() && product == network.total) return true;
  const std::string blamed = BlamedKey(settings, network, sizes);
  const std::string text =
      free == sizes.end()
          ? fmt::format("the {}, not to {}", Factors(network, sizes), network.total_text)
          : fmt::format("the other {}, which does not divide {}", Factors(network, sizes),
                        network.total_text);
  Diagnostic& error = diagnostics.Error(settings.ValueAt(blamed), text);
  for (const AxisSize& axis : sizes) {
    if (axis.key == blamed || axis.size == 1 || axis.size == -1) continue;
    error.notes.push_back(
        {settings.ValueAt(axis.key), fmt::format("{} is {} here", axis.key, axis.size)});
  }
  if (free == sizes.end()) error.help = ProductHelp(sizes, network.total);
  return false;
}

bool CheckBuiltAxes(const Settings& settings, const Mesh& mesh, Diagnostics& diagnostics) {
  bool ok = true;
  for (const MeshAxis& axis : mesh.axes) {
    if (axis.size == 1 ||
        std::find(kUnbuiltAxes.begin(), kUnbuiltAxes.end(), axis.name) == kUnbuiltAxes.end()) {
      continue;
    }
    const std::string key = ParallelismKey(axis.dcn > 1 ? "dcn" : "ici", axis.name);
    diagnostics.Unsupported(settings.ValueAt(key),
                            fmt::format("mesh axis {} of size {} is not built here; it must be 1",
                                        axis.name, axis.size));
    ok = false;
  }
  return ok;
}

// A size for an axis that mesh_axes does not list would be ignored.
bool CheckForeignSizes(const Settings& settings, const AxisRules& axes, Diagnostics& diagnostics) {
  bool ok = true;
  for (std::string_view key : AllKeyNames()) {
    if (!key.ends_with("_parallelism") || (!key.starts_with("ici_") && !key.starts_with("dcn_")) ||
        settings.IsDefault(key)) {
      continue;
    }
    const bool used = std::any_of(axes.mesh_axes.begin(), axes.mesh_axes.end(), [&](auto& axis) {
      return key == ParallelismKey(key.substr(0, 3), axis);
    });
    if (used || !AllKeys()[FindKey(key)].Allows("int")) continue;
    if (const int64_t size = settings.Int(key); size == 1 || size == -1) continue;
    diagnostics.Error(settings.ValueAt(key),
                      fmt::format("{} sizes an axis that mesh_axes does not list", key));
    ok = false;
  }
  return ok;
}

std::optional<TopologyChoice> ReadTopology(const Settings& settings, Diagnostics& diagnostics) {
  const std::string name = settings.Text("compile_topology");
  if (name.empty()) {
    diagnostics
        .Error(settings.Find("compile_topology") == nullptr ? Location()
                                                            : settings.ValueAt("compile_topology"),
               "compile_topology names no machine")
        .help = "set it to a slice, for example compile_topology=tpu7x-128";
    return std::nullopt;
  }
  std::optional<TopologyChoice> topology = ResolveTopology(name);
  if (!topology.has_value()) {
    diagnostics
        .Error(settings.ValueAt("compile_topology"),
               fmt::format("no topology is called {}", Quote(name)))
        .help = TopologyHelp(name);
  }
  return topology;
}

// compile_topology_num_slices, else num_slices, else 1; 0 after a diagnostic.
int64_t ReadSlices(const Settings& settings, Diagnostics& diagnostics) {
  for (std::string_view key : {"compile_topology_num_slices", "num_slices"}) {
    const int64_t slices = settings.Int(key);
    if (slices == -1) continue;
    if (slices >= 1 && slices <= kMaxSlices) return slices;
    diagnostics.Error(settings.ValueAt(key),
                      fmt::format("{} must be -1 or 1 to {}", key, kMaxSlices));
    return 0;
  }
  return 1;
}

}  // namespace

std::optional<ResolvedMesh> ResolveMesh(const Settings& settings, const AxisRules& axes,
                                        Diagnostics& diagnostics) {
  const std::optional<TopologyChoice> topology = ReadTopology(settings, diagnostics);
  const int64_t slices = ReadSlices(settings, diagnostics);
  bool ok = CheckForeignSizes(settings, axes, diagnostics);
  if (!topology.has_value() || slices == 0) return std::nullopt;

  ResolvedMesh resolved;
  resolved.topology = {
      .name = topology->name,
      .num_slices = slices,
      .allow_split_physical_axes = settings.Flag("allow_split_physical_axes"),
  };
  if (!topology->note.empty()) {
    resolved.notes.push_back(
        fmt::format("{}: {}", settings.ValueAt("compile_topology").ToText(), topology->note));
  }
  const Network ici = {
      "ici", topology->devices,
      fmt::format("the {} devices of a {} slice", topology->devices, topology->name)};
  const Network dcn = {"dcn", slices,
                       slices == 1 ? "1 slice" : fmt::format("the {} slices", slices)};
  std::vector<AxisSize> inside = ReadSizes(settings, axes, ici, diagnostics, ok);
  std::vector<AxisSize> across = ReadSizes(settings, axes, dcn, diagnostics, ok);
  if (!ok) return std::nullopt;
  ok = Fill(settings, ici, inside, diagnostics, resolved.filled);
  ok = Fill(settings, dcn, across, diagnostics, resolved.filled) && ok;
  if (!ok) return std::nullopt;
  for (size_t i = 0; i < axes.mesh_axes.size(); ++i) {
    resolved.mesh.axes.push_back({.name = axes.mesh_axes[i],
                                  .size = across[i].size * inside[i].size,
                                  .dcn = across[i].size});
  }
  if (!CheckBuiltAxes(settings, resolved.mesh, diagnostics)) return std::nullopt;
  return resolved;
}

}  // namespace shardwise
