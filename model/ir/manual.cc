#include "model/ir/manual.h"

#include <algorithm>
#include <set>

#include "kernels/base/check.h"
#include "model/ir/cotangents.h"

namespace shardwise {
namespace {

using AxisSet = std::set<std::string>;

int64_t SizeOf(const ManualAttrs& attrs, const std::string& axis) {
  const auto it = std::find(attrs.axes.begin(), attrs.axes.end(), axis);
  SW_CHECK(it != attrs.axes.end(), "manual region without axis '{}'", axis);
  return attrs.sizes[it - attrs.axes.begin()];
}

AxisSet Mentioned(const ManualSpec& spec) {
  AxisSet axes;
  for (const auto& dim : spec) axes.insert(dim.begin(), dim.end());
  return axes;
}

// Axes of the region larger than 1 that are not in `used`, in mesh order.
std::vector<std::string> Unmentioned(const ManualAttrs& attrs, const AxisSet& used) {
  std::vector<std::string> axes;
  for (const std::string& axis : attrs.axes) {
    if (used.count(axis) == 0 && SizeOf(attrs, axis) > 1) axes.push_back(axis);
  }
  return axes;
}

// Axes an all_reduce makes its result equal over, or another op makes its result vary over.
AxisSet AxesOf(const Node& node) {
  auto set = [](const std::vector<std::string>& axes) { return AxisSet(axes.begin(), axes.end()); };
  if (node.op->name == "all_reduce") return set(node.attrs.As<AllReduceAttrs>().axes);
  if (node.op->name == "shard_slice") return set(node.attrs.As<ShardSliceAttrs>().axes);
  if (node.op->name == "pvary") return set(node.attrs.As<PvaryAttrs>().axes);
  if (node.op->name == "ragged_all_to_all") return set(node.attrs.As<RaggedAllToAllAttrs>().axes);
  return {};
}

// The axes each value of a region varies over.
std::vector<AxisSet> Varying(const Block& region, const std::vector<ManualSpec>& in_specs) {
  std::vector<AxisSet> varying(region.types.size());
  for (size_t i = 0; i < region.inputs.size(); ++i) {
    varying[region.inputs[i].value.v] = Mentioned(in_specs[i]);
  }
  for (const Node& node : region.nodes) {
    AxisSet axes;
    for (ValueId v : node.in) axes.insert(varying[v.v].begin(), varying[v.v].end());
    const AxisSet own = AxesOf(node);
    if (node.op->name == "all_reduce") {
      for (const std::string& axis : own) axes.erase(axis);
    } else {
      axes.insert(own.begin(), own.end());
    }
    for (ValueId v : node.out) varying[v.v] = axes;
  }
  return varying;
}

class RegionBackward {
 public:
  RegionBackward(const Block& region, const ManualAttrs& attrs, std::vector<Block>& blocks,
                 std::string name)
      : region_(region),
        attrs_(attrs),
        typed_(attrs.transpose == "typed"),
        b_(std::move(name)),
        cotangents_(b_, blocks),
        map_(region.types.size()) {
    for (size_t i = 0; i < region.inputs.size(); ++i) {
      in_specs_.push_back(
          ParseManualSpec(attrs.in_specs[i], region.type(region.inputs[i].value).rank()));
    }
    varying_ = Varying(region, in_specs_);
  }

  Block Build() {
    for (const BlockInput& input : region_.inputs) {
      map_[input.value.v] = b_.Input(input, region_.type(input.value));
    }
    b_.SetPhase(Phase::kRecompute);
    b_.SetRegion(1);
    for (const Node& node : region_.nodes) {
      const auto out =
          b_.Clone(node, region_.TypesOf(node.out), Mapped(node.in), region_.scope(node));
      for (size_t i = 0; i < out.size(); ++i) map_[node.out[i].v] = out[i];
    }
    std::vector<std::pair<size_t, ValueId>> seeds;
    for (size_t o = 0; o < region_.outputs.size(); ++o) {
      const TensorType& type = region_.type(region_.outputs[o].value);
      if (!IsFloat(type.dtype)) continue;
      seeds.emplace_back(o, b_.Input("d_" + region_.outputs[o].name, type));
    }
    b_.SetPhase(Phase::kBackward);
    b_.SetRegion(0);
    for (auto [output, seed] : seeds) Seed(output, seed);
    for (size_t n = region_.nodes.size(); n-- > 0;) Pull(region_.nodes[n]);
    return Finish();
  }

 private:
  std::vector<ValueId> Mapped(const std::vector<ValueId>& values) const {
    std::vector<ValueId> mapped;
    for (ValueId v : values) mapped.push_back(map_[v.v]);
    return mapped;
  }

  ValueId Scaled(ValueId v, double factor) {
    const Attrs attrs = *FindOp("scale")->parse_attrs("factor=" + std::to_string(factor));
    return factor == 1 ? v : b_.Add1("scale", attrs, {v});
  }

  ValueId SumOver(ValueId v, const std::vector<std::string>& axes) {
    if (axes.empty()) return v;
    int64_t group = 1;
    for (const std::string& axis : axes) group *= SizeOf(attrs_, axis);
    return b_.Add1("all_reduce", AllReduceAttrs{axes, group, "sum"}, {v});
  }

  void Seed(size_t o, ValueId cotangent) {
    const ValueId value = region_.outputs[o].value;
    const ManualSpec spec = ParseManualSpec(attrs_.out_specs[o], region_.type(value).rank());
    double copies = 1;
    for (const std::string& axis : Unmentioned(attrs_, Mentioned(spec))) {
      copies *= static_cast<double>(SizeOf(attrs_, axis));
    }
    cotangents_.Accumulate(map_[value.v], typed_ ? cotangent : Scaled(cotangent, 1 / copies));
  }

  void Pull(const Node& original) {
    if (original.in.empty()) return;  // a constant
    Node node = original;
    node.in = Mapped(original.in);
    node.out = Mapped(original.out);
    std::vector<ValueId> grads;
    for (ValueId v : node.out) grads.push_back(cotangents_.Get(v));
    if (std::none_of(grads.begin(), grads.end(), [](ValueId g) { return g.valid(); })) return;
    b_.SetScope(region_.scope(original));
    const bool psum = node.op->name == "all_reduce";
    SW_CHECK(node.op->vjp != nullptr, "{} in a manual region is not differentiable", node.op->name);
    const std::vector<ValueId> pulled =
        psum && typed_ ? std::vector<ValueId>{grads[0]} : node.op->vjp(b_, node, grads);
    for (size_t i = 0; i < pulled.size(); ++i) {
      if (!pulled[i].valid()) continue;
      ValueId cotangent = pulled[i];
      if (node.is(OpKind::kShardLocal)) {
        // The vjp of shard_slice gathers the whole cotangent on every rank; untyped inputs are
        // summed once more. That of pvary, in typed regions alone, has summed what meets here.
        if (!typed_) {
          const double group = static_cast<double>(original.attrs.As<ShardSliceAttrs>().group);
          cotangent = Scaled(cotangent, 1 / group);
        }
      } else if (typed_ && !psum) {
        cotangent = SumOver(cotangent, MetHere(original, i));
      }
      cotangents_.Accumulate(node.in[i], cotangent);
    }
  }

  // Axes over which the node's results vary and its operand i does not.
  std::vector<std::string> MetHere(const Node& node, size_t i) const {
    std::vector<std::string> axes;
    for (const std::string& axis : attrs_.axes) {
      const bool result = varying_[node.out[0].v].count(axis) > 0;
      if (result && varying_[node.in[i].v].count(axis) == 0) axes.push_back(axis);
    }
    return axes;
  }

  Block Finish() {
    std::vector<BlockOutput> outputs;
    for (size_t i = 0; i < region_.inputs.size(); ++i) {
      const BlockInput& input = region_.inputs[i];
      if (!IsFloat(region_.type(input.value).dtype)) continue;
      BlockOutput output;
      output.name = "d_" + input.name;
      output.value = cotangents_.GetOrZeros(map_[input.value.v]);
      if (!typed_)
        output.value = SumOver(output.value, Unmentioned(attrs_, Mentioned(in_specs_[i])));
      outputs.push_back(std::move(output));
    }
    return std::move(b_).Finish(std::move(outputs));
  }

  const Block& region_;
  const ManualAttrs& attrs_;
  bool typed_;
  BlockBuilder b_;
  Cotangents cotangents_;
  std::vector<ValueId> map_;
  std::vector<ManualSpec> in_specs_;
  std::vector<AxisSet> varying_;
};

// A pvary says something of a value that the typed transpose takes to be equal over its axes.
void CheckPvary(const Block& region, const ManualAttrs& attrs,
                const std::vector<AxisSet>& varying) {
  for (const Node& node : region.nodes) {
    if (node.op->name != "pvary") continue;
    SW_CHECK(attrs.transpose == "typed", "manual region {}: pvary under an untyped transpose",
             region.name);
    int64_t group = 1;
    for (const std::string& axis : AxesOf(node)) {
      group *= SizeOf(attrs, axis);
      SW_CHECK(varying[node.in[0].v].count(axis) == 0 || SizeOf(attrs, axis) == 1,
               "manual region {}: pvary of a value that varies over {}", region.name, axis);
    }
    SW_CHECK(node.attrs.As<PvaryAttrs>().group == group, "manual region {}: pvary over {} devices",
             region.name, group);
  }
}

const Block& FindBlock(const std::vector<Block>& blocks, const std::string& name) {
  const auto it =
      std::find_if(blocks.begin(), blocks.end(), [&](const Block& b) { return b.name == name; });
  SW_CHECK(it != blocks.end(), "no manual region '{}'", name);
  return *it;
}

std::vector<ValueId> AddRegion(BlockBuilder& builder, const Block& region, ManualAttrs attrs,
                               std::span<const ValueId> operands) {
  std::vector<TensorType> results;
  SW_CHECK(operands.size() == region.inputs.size() && attrs.in_specs.size() == operands.size() &&
           attrs.out_specs.size() == region.outputs.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    const TensorType& local = region.type(region.inputs[i].value);
    const TensorType whole =
        GlobalType(local, ParseManualSpec(attrs.in_specs[i], local.rank()), attrs);
    SW_CHECK(builder.type(operands[i]) == whole, "manual region {}: operand {} is {}, not {}",
             region.name, i, builder.type(operands[i]).ToText(), whole.ToText());
  }
  for (size_t o = 0; o < region.outputs.size(); ++o) {
    const TensorType& local = region.type(region.outputs[o].value);
    results.push_back(GlobalType(local, ParseManualSpec(attrs.out_specs[o], local.rank()), attrs));
  }
  Node node;
  node.op = FindOp("manual");
  node.attrs = Attrs(std::move(attrs));
  return builder.Clone(node, results, operands, builder.scope());
}

}  // namespace

ManualSpec ParseManualSpec(std::string_view text, int rank) {
  ManualSpec spec(rank);
  size_t start = 0;
  for (int d = 0; d < rank; ++d) {
    const size_t comma = std::min(text.find(',', start), text.size());
    std::string_view dim = text.substr(start, comma - start);
    while (!dim.empty()) {
      const size_t plus = std::min(dim.find('+'), dim.size());
      spec[d].emplace_back(dim.substr(0, plus));
      dim.remove_prefix(std::min(plus + 1, dim.size()));
    }
    start = std::min(comma + 1, text.size());
  }
  return spec;
}

std::string ToText(const ManualSpec& spec) {
  std::string text;
  for (size_t d = 0; d < spec.size(); ++d) {
    if (d > 0) text += ',';
    for (size_t a = 0; a < spec[d].size(); ++a) text += (a > 0 ? "+" : "") + spec[d][a];
  }
  return text;
}

TensorType GlobalType(const TensorType& local, const ManualSpec& spec, const ManualAttrs& attrs) {
  TensorType whole = local;
  for (size_t d = 0; d < spec.size(); ++d) {
    for (const std::string& axis : spec[d]) whole.dims[d] *= SizeOf(attrs, axis);
  }
  return whole;
}

std::vector<ValueId> AddManual(BlockBuilder& builder, const Block& region, const Mesh& mesh,
                               const std::vector<std::string>& in_specs,
                               const std::vector<std::string>& out_specs, ManualTranspose transpose,
                               std::span<const ValueId> operands, std::vector<std::string> sites) {
  ManualAttrs attrs;
  attrs.block = region.name;
  attrs.in_specs = in_specs;
  attrs.out_specs = out_specs;
  attrs.transpose = transpose == ManualTranspose::kTyped ? "typed" : "jax_untyped";
  attrs.sites = std::move(sites);
  for (const MeshAxis& axis : mesh.axes) {
    attrs.axes.push_back(axis.name);
    attrs.sizes.push_back(axis.size);
  }
  std::vector<ManualSpec> specs;
  for (size_t i = 0; i < in_specs.size(); ++i) {
    specs.push_back(ParseManualSpec(in_specs[i], region.type(region.inputs[i].value).rank()));
  }
  const std::vector<AxisSet> varying = Varying(region, specs);
  CheckPvary(region, attrs, varying);
  if (transpose == ManualTranspose::kTyped) {
    for (size_t o = 0; o < out_specs.size(); ++o) {
      const ValueId v = region.outputs[o].value;
      const AxisSet named = Mentioned(ParseManualSpec(out_specs[o], region.type(v).rank()));
      for (const std::string& axis : varying[v.v]) {
        SW_CHECK(named.count(axis) > 0 || SizeOf(attrs, axis) == 1,
                 "manual region {}: output {} varies over {}", region.name, o, axis);
      }
    }
  }
  return AddRegion(builder, region, std::move(attrs), operands);
}

std::vector<ValueId> PullManual(BlockBuilder& builder, std::vector<Block>& blocks, const Node& node,
                                std::span<const ValueId> grads) {
  const ManualAttrs attrs = node.attrs.As<ManualAttrs>();
  const Block region = FindBlock(blocks, attrs.block);  // a copy: the list grows
  std::string name = region.name + "_vjp";
  while (
      std::any_of(blocks.begin(), blocks.end(), [&](const Block& b) { return b.name == name; })) {
    name += '_';
  }
  Block backward = RegionBackward(region, attrs, blocks, name).Build();
  ManualAttrs pulled = attrs;
  pulled.block = name;
  pulled.out_specs.clear();
  pulled.sites.clear();
  std::vector<ValueId> operands = node.in;
  for (size_t o = 0; o < grads.size(); ++o) {
    if (!IsFloat(builder.type(node.out[o]).dtype)) continue;
    pulled.in_specs.push_back(attrs.out_specs[o]);
    operands.push_back(grads[o].valid() ? grads[o] : ZerosLike(builder, builder.type(node.out[o])));
  }
  for (size_t i = 0; i < region.inputs.size(); ++i) {
    if (IsFloat(region.type(region.inputs[i].value).dtype)) {
      pulled.out_specs.push_back(attrs.in_specs[i]);
    }
  }
  blocks.push_back(std::move(backward));
  const auto results = AddRegion(builder, blocks.back(), std::move(pulled), operands);
  std::vector<ValueId> cotangents(node.in.size(), kNoValue);
  size_t next = 0;
  for (size_t i = 0; i < region.inputs.size(); ++i) {
    if (IsFloat(region.type(region.inputs[i].value).dtype)) cotangents[i] = results[next++];
  }
  return cotangents;
}

}  // namespace shardwise
