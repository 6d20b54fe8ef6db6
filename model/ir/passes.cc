#include "model/ir/passes.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "kernels/base/check.h"
#include "model/ir/builder.h"
#include "model/ir/structural_attrs.h"
#include "model/ir/verify.h"

namespace shardwise {
namespace {

// Nodes that must stay apart or in place even when they look alike or unused.
bool IsPinned(const Node& node) {
  return node.is(OpKind::kCall) || node.is(OpKind::kManual) || node.is(OpKind::kCollective) ||
         node.is(OpKind::kBarrier) || node.is(OpKind::kBoundary);
}

void MergeEqualNodes(Block& block) {
  std::vector<Node> nodes = std::move(block.nodes);
  block.nodes.clear();
  block.nodes.reserve(nodes.size());
  std::vector<ValueId> map(block.types.size());
  for (size_t v = 0; v < map.size(); ++v) map[v] = {static_cast<int32_t>(v)};
  // Hash -> index in block.nodes; order never leaks.
  std::unordered_multimap<size_t, size_t> seen;
  seen.reserve(nodes.size());
  for (Node& node : nodes) {
    for (ValueId& v : node.in) v = map[v.v];
    if (!IsPinned(node)) {
      size_t hash = std::hash<const void*>()(node.op) * 31 + node.attrs.Hash();
      for (ValueId v : node.in) hash = hash * 1000003 + static_cast<size_t>(v.v);
      const auto [first, last] = seen.equal_range(hash);
      const auto same = std::find_if(first, last, [&](const auto& entry) {
        const Node& other = block.nodes[entry.second];
        return other.op == node.op && other.in == node.in && other.region == node.region &&
               other.attrs == node.attrs;
      });
      if (same != last) {
        for (size_t i = 0; i < node.out.size(); ++i) {
          map[node.out[i].v] = block.nodes[same->second].out[i];
        }
        continue;
      }
      seen.emplace(hash, block.nodes.size());
    }
    block.nodes.push_back(std::move(node));
  }
  for (BlockOutput& output : block.outputs) output.value = map[output.value.v];
}

// Renumbers values so that only those of kept inputs and nodes remain.
void Compact(Block& block) {
  std::vector<ValueId> map(block.types.size());
  std::vector<TensorType> types;
  auto define = [&](ValueId& v) {
    map[v.v] = {static_cast<int32_t>(types.size())};
    types.push_back(std::move(block.types[v.v]));
    v = map[v.v];
  };
  types.reserve(block.types.size());
  for (BlockInput& input : block.inputs) define(input.value);
  for (Node& node : block.nodes) {
    for (ValueId& v : node.in) v = map[v.v];
    for (ValueId& v : node.out) define(v);
  }
  for (BlockOutput& output : block.outputs) output.value = map[output.value.v];
  block.types = std::move(types);
}

Program Merged(Program program) {
  for (Block& block : program.blocks) {
    MergeEqualNodes(block);
    Compact(block);
  }
  return program;
}

// Which inputs and outputs of a block its callers keep.
struct Interface {
  std::vector<bool> inputs, outputs;
};

class DeadCode {
 public:
  explicit DeadCode(Program program) : program_(std::move(program)) {
    for (const Block& block : program_.blocks) {
      number_.emplace(block.name, number_.size());
      kept_.push_back({std::vector<bool>(block.inputs.size(), false),
                       std::vector<bool>(block.outputs.size(), false)});
    }
  }

  LiveCode Run() {
    Interface& entry = kept_.back();
    entry.inputs.assign(entry.inputs.size(), true);
    entry.outputs.assign(entry.outputs.size(), true);
    live_nodes_.resize(program_.blocks.size());
    for (size_t b = program_.blocks.size(); b-- > 0;) MarkBlock(b);
    LiveCode result;
    for (size_t b = 0; b < program_.blocks.size(); ++b) {
      const bool called = b + 1 == program_.blocks.size() || reached_.count(b) > 0;
      if (!called) continue;
      result.program.blocks.push_back(Rebuild(b));
      result.blocks.push_back(static_cast<int>(b));
      result.nodes.emplace_back();
      for (size_t n = 0; n < live_nodes_[b].size(); ++n) {
        if (live_nodes_[b][n]) result.nodes.back().push_back(static_cast<int>(n));
      }
    }
    return result;
  }

 private:
  // Liveness inside a block; a live carry input keeps the carry output that feeds it.
  void MarkBlock(size_t b) {
    const Block& block = program_.blocks[b];
    Interface& kept = kept_[b];
    std::vector<int> carry_in, carry_out;
    for (size_t i = 0; i < block.inputs.size(); ++i) {
      if (block.inputs[i].binding == Binding::kCarry) carry_in.push_back(static_cast<int>(i));
    }
    for (size_t o = 0; o < block.outputs.size(); ++o) {
      if (block.outputs[o].binding == Binding::kCarry) carry_out.push_back(static_cast<int>(o));
    }
    const bool is_entry = b + 1 == program_.blocks.size();
    std::vector<bool> live;
    for (bool changed = true; changed;) {
      changed = false;
      live = LiveValues(b);
      if (is_entry) break;
      for (size_t k = 0; k < carry_in.size(); ++k) {
        const bool used = live[block.inputs[carry_in[k]].value.v];
        if (used && !kept.outputs[carry_out[k]]) changed = kept.outputs[carry_out[k]] = true;
      }
    }
    for (size_t i = 0; i < block.inputs.size(); ++i) {
      if (live[block.inputs[i].value.v]) kept.inputs[i] = true;
    }
    for (size_t k = 0; k < carry_in.size() && !is_entry; ++k) {
      if (kept.outputs[carry_out[k]]) kept.inputs[carry_in[k]] = true;
    }
    MarkCallees(b);
  }

  std::vector<bool> LiveValues(size_t b) {
    const Block& block = program_.blocks[b];
    std::vector<bool> live(block.types.size(), false);
    for (size_t o = 0; o < block.outputs.size(); ++o) {
      if (kept_[b].outputs[o]) live[block.outputs[o].value.v] = true;
    }
    std::vector<bool>& nodes = live_nodes_[b];
    nodes.assign(block.nodes.size(), false);
    for (size_t n = block.nodes.size(); n-- > 0;) {
      const Node& node = block.nodes[n];
      nodes[n] = node.is(OpKind::kBoundary) || std::any_of(node.out.begin(), node.out.end(),
                                                           [&](ValueId v) { return live[v.v]; });
      if (!nodes[n]) continue;
      for (ValueId v : node.in) live[v.v] = true;
    }
    return live;
  }

  void MarkCallees(size_t b) {
    const Block& block = program_.blocks[b];
    std::vector<bool> used(block.types.size(), false);
    for (size_t o = 0; o < block.outputs.size(); ++o) {
      if (kept_[b].outputs[o]) used[block.outputs[o].value.v] = true;
    }
    for (size_t n = 0; n < block.nodes.size(); ++n) {
      if (!live_nodes_[b][n]) continue;
      for (ValueId v : block.nodes[n].in) used[v.v] = true;
    }
    for (size_t n = 0; n < block.nodes.size(); ++n) {
      const Node& node = block.nodes[n];
      if (live_nodes_[b][n] && node.is(OpKind::kManual)) {
        const size_t region = number_.at(node.attrs.As<ManualAttrs>().block);
        reached_.insert(region);
        kept_[region].inputs.assign(kept_[region].inputs.size(), true);
        kept_[region].outputs.assign(kept_[region].outputs.size(), true);
      }
      if (!live_nodes_[b][n] || !node.is(OpKind::kCall)) continue;
      const size_t callee = number_.at(node.attrs.As<CallAttrs>().block);
      reached_.insert(callee);
      for (size_t o = 0; o < node.out.size(); ++o) {
        if (used[node.out[o].v]) kept_[callee].outputs[o] = true;
      }
    }
  }

  Block Rebuild(size_t b) {
    Block block = std::move(program_.blocks[b]);
    std::vector<Node> nodes;
    nodes.reserve(block.nodes.size());
    for (size_t n = 0; n < block.nodes.size(); ++n) {
      if (!live_nodes_[b][n]) continue;
      Node& node = block.nodes[n];
      if (node.is(OpKind::kCall)) {
        const Interface& callee = kept_[number_.at(node.attrs.As<CallAttrs>().block)];
        Filter(node.in, callee.inputs);
        Filter(node.out, callee.outputs);
      }
      nodes.push_back(std::move(node));
    }
    block.nodes = std::move(nodes);
    if (b + 1 < program_.blocks.size()) {
      Filter(block.inputs, kept_[b].inputs);
      Filter(block.outputs, kept_[b].outputs);
    }
    Compact(block);
    return block;
  }

  template <class T>
  static void Filter(std::vector<T>& items, const std::vector<bool>& keep) {
    std::vector<T> kept;
    for (size_t i = 0; i < items.size(); ++i) {
      if (keep[i]) kept.push_back(std::move(items[i]));
    }
    items = std::move(kept);
  }

  Program program_;
  std::map<std::string, size_t> number_;  // of a block, by name
  std::vector<Interface> kept_;
  std::vector<std::vector<bool>> live_nodes_;
  std::set<size_t> reached_;
};

}  // namespace

Program EliminateCommonSubexpressions(Program program) {
  Program result = Merged(std::move(program));
  CheckVerified(result, "common subexpression elimination");
  return result;
}

Program Simplify(Program program, Checked checked) {
  return TraceLiveCode(Merged(std::move(program)), checked).program;
}

LiveCode TraceLiveCode(Program program, Checked checked) {
  LiveCode live = DeadCode(std::move(program)).Run();
  if (checked == Checked::kYes) CheckVerified(live.program, "dead code elimination");
  return live;
}

Program EliminateDeadCode(Program program) { return TraceLiveCode(std::move(program)).program; }

Program Decompose(const Program& program, bool (*select)(const Node&)) {
  Program result;
  for (const Block& block : program.blocks) {
    BlockBuilder builder(block.name);
    std::vector<ValueId> map(block.types.size());
    for (const BlockInput& input : block.inputs) {
      map[input.value.v] = builder.Input(input, block.type(input.value));
    }
    for (const Node& node : block.nodes) {
      Node mapped = node;
      for (ValueId& v : mapped.in) v = map[v.v];
      builder.SetPhase(node.phase);
      builder.SetRegion(node.region);
      std::vector<ValueId> out;
      if (node.op->decompose != nullptr && select(node)) {
        builder.SetScope(block.scope(node));
        out = node.op->decompose(builder, mapped);
      } else {
        out = builder.Clone(node, block.TypesOf(node.out), mapped.in, block.scope(node));
      }
      for (size_t i = 0; i < out.size(); ++i) map[node.out[i].v] = out[i];
    }
    std::vector<BlockOutput> outputs = block.outputs;
    for (BlockOutput& output : outputs) output.value = map[output.value.v];
    Block rebuilt = std::move(builder).Finish(std::move(outputs));
    rebuilt.donated = block.donated;
    result.blocks.push_back(std::move(rebuilt));
  }
  CheckVerified(result, "decomposition");
  return result;
}

}  // namespace shardwise
