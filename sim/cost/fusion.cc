#include "sim/cost/fusion.h"

#include <algorithm>

#include "kernels/base/check.h"
#include "sim/cost/node_traits.h"

namespace shardwise {
namespace {

bool IsProduct(const Node& node) {
  return node.op->op_class == OpClass::kMatmul && !node.op->standalone;
}

class Fuser {
 public:
  explicit Fuser(const Block& block) : block_(block), producers_(Producers(block)) {}

  Fusion Run() {
    FindTraits();
    FindReaders();
    FindWritten();
    for (size_t n = 0; n < block_.nodes.size(); ++n) Place(static_cast<int>(n));
    members_.resize(drafts_.size());
    for (size_t n = 0; n < home_.size(); ++n) {
      if (home_[n] >= 0) members_[home_[n]].push_back(static_cast<int>(n));
    }
    for (int k = static_cast<int>(drafts_.size()) - 1; k >= 0; --k) MoveIntoReader(k);
    Collect();
    return std::move(fusion_);
  }

 private:
  // A kernel while it is being put together. Drafts are numbered in program order of their first
  // nodes; a draft only reads what inputs and drafts before it write.
  struct Draft {
    int anchor = 0;
    bool is_loop = false;
    bool merged = false;
    int segment = 0;
  };

  NodeTrait trait(int n) const { return traits_[n]; }
  ValueId Root(ValueId v) const { return root_[v.v]; }
  // Names of one root count once.
  void AddOnce(std::vector<ValueId>& list, ValueId v) const {
    if (std::none_of(list.begin(), list.end(), [&](ValueId o) { return Root(o) == Root(v); })) {
      list.push_back(v);
    }
  }
  int ProducerOf(ValueId root) const { return producers_[root.v]; }

  // Traits, segments, and by value the value it is another name of.
  void FindTraits() {
    root_.resize(block_.types.size());
    for (size_t v = 0; v < root_.size(); ++v) root_[v] = {static_cast<int32_t>(v)};
    int segment = 0;
    for (const Node& node : block_.nodes) {
      NodeTrait t = TraitOf(block_, node);
      if (IsMadeOfConstants(node, t, segment)) t = NodeTrait::kBroadcast;
      traits_.push_back(t);
      const bool separates = t == NodeTrait::kSeparator || t == NodeTrait::kCall;
      if (separates) ++segment;
      segment_.push_back(segment);
      if (separates) ++segment;
      if (t == NodeTrait::kAlias || t == NodeTrait::kSeparator) {
        for (size_t i = 0; i < node.out.size(); ++i) root_[node.out[i].v] = Root(node.in[i]);
      }
    }
  }

  // Elementwise work on constants and broadcasts, and a device's part of it: a mask against an iota
  // is computed where it is read, as the broadcasts themselves are.
  bool IsMadeOfConstants(const Node& node, NodeTrait t, int segment) const {
    const bool may_be = t == NodeTrait::kElementwise || t == NodeTrait::kCheap ||
                        (t == NodeTrait::kPart && node.is(OpKind::kShardLocal));
    return may_be && std::all_of(node.in.begin(), node.in.end(), [&](ValueId v) {
             const int producer = ProducerOf(Root(v));
             return producer >= 0 && segment_[producer] == segment &&
                    (trait(producer) == NodeTrait::kConstant ||
                     trait(producer) == NodeTrait::kBroadcast);
           });
  }

  bool IsPlaced(int n) const {
    return trait(n) != NodeTrait::kAlias && trait(n) != NodeTrait::kSeparator &&
           trait(n) != NodeTrait::kPart && trait(n) != NodeTrait::kJoin;
  }

  // Nodes that read a root and do something with it, each once.
  void FindReaders() {
    readers_.resize(block_.types.size());
    for (size_t n = 0; n < block_.nodes.size(); ++n) {
      if (!IsPlaced(static_cast<int>(n))) continue;
      for (ValueId v : block_.nodes[n].in) {
        std::vector<int>& list = readers_[Root(v).v];
        if (list.empty() || list.back() != static_cast<int>(n)) list.push_back(static_cast<int>(n));
      }
    }
  }

  // Roots that are stored whoever reads them.
  void FindWritten() {
    written_.assign(block_.types.size(), false);
    for (size_t n = 0; n < block_.nodes.size(); ++n) {
      const Node& node = block_.nodes[n];
      const bool reads_memory = !IsPlaced(static_cast<int>(n)) || trait(n) == NodeTrait::kCall ||
                                trait(n) == NodeTrait::kOpaque || node.op->standalone;
      for (ValueId v : node.in) {
        const ValueId root = Root(v);
        const int producer = ProducerOf(root);
        const bool crosses = producer >= 0 && segment_[producer] != segment_[n];
        if (crosses || (reads_memory && trait(n) != NodeTrait::kAlias)) written_[root.v] = true;
      }
      for (ValueId v : node.out) {
        if (Root(v) == v && readers_[v.v].empty()) written_[v.v] = true;
      }
    }
    for (const BlockOutput& output : block_.outputs) written_[Root(output.value).v] = true;
  }

  void Place(int n) {
    home_.push_back(-1);
    inlined_.push_back(false);
    if (!IsPlaced(n)) return;
    const Node& node = block_.nodes[n];
    const bool written = written_[node.out.empty() ? 0 : node.out[0].v];
    switch (trait(n)) {
      case NodeTrait::kConstant:
      case NodeTrait::kBroadcast:
        if (written) return Begin(n, true);
        inlined_[n] = true;
        return;
      case NodeTrait::kTranspose:
        inlined_[n] = !written && OnlyProductsRead(node.out[0]);
        if (!inlined_[n]) Begin(n, false);
        return;
      case NodeTrait::kCheap:
        inlined_[n] = !written && Widens(node);
        if (inlined_[n] || JoinEpilogue(n)) return;
        if (written) return Begin(n, true);
        inlined_[n] = true;
        return;
      case NodeTrait::kElementwise:
        if (!JoinEpilogue(n)) Begin(n, true);
        return;
      default:
        // The scaling of a norm read only by products happens in them.
        inlined_[n] = node.op->op_class == OpClass::kNorm && node.out.size() == 1 && !written &&
                      OnlyProductsRead(node.out[0]);
        Begin(n, false);
    }
  }

  bool Widens(const Node& node) const {
    return block_.type(node.out[0]).bytes() > block_.type(node.in[0]).bytes();
  }

  bool OnlyProductsRead(ValueId v) const {
    return std::all_of(readers_[v.v].begin(), readers_[v.v].end(),
                       [&](int reader) { return IsProduct(block_.nodes[reader]); });
  }

  void Begin(int n, bool is_loop) {
    home_[n] = static_cast<int>(drafts_.size());
    drafts_.push_back({n, is_loop, false, segment_[n]});
  }

  // The latest draft that made an operand of elementwise node `n` and may compute n as well.
  bool JoinEpilogue(int n) {
    const Node& node = block_.nodes[n];
    int best = -1;
    for (ValueId v : node.in) {
      const ValueId root = Root(v);
      const int producer = ProducerOf(root);
      if (producer < 0 || home_[producer] < 0 || inlined_[producer]) continue;
      const int draft = home_[producer];
      if (draft <= best || !Accepts(drafts_[draft], root, n)) continue;
      const bool all_there = std::all_of(node.in.begin(), node.in.end(), [&](ValueId operand) {
        return IsThere(Root(operand), draft);
      });
      if (all_there) best = draft;
    }
    if (best < 0) return false;
    home_[n] = best;
    return true;
  }

  bool Accepts(const Draft& draft, ValueId root, int reader) const {
    const Node& anchor = block_.nodes[draft.anchor];
    if (draft.segment != segment_[reader] || written_[root.v]) return false;
    if (trait(draft.anchor) == NodeTrait::kOpaque || trait(draft.anchor) == NodeTrait::kCall) {
      return false;
    }
    if (draft.is_loop) return true;
    return !anchor.op->standalone && readers_[root.v].size() == 1;
  }

  // Whether draft `draft` can read `root`: it is there before the draft starts, or made in it.
  bool IsThere(ValueId root, int draft) const {
    const int producer = StorageProducer(root);
    if (producer < 0 || segment_[producer] < drafts_[draft].segment) return true;
    if (home_[producer] > draft) return false;
    if (!inlined_[producer]) return true;
    const Node& node = block_.nodes[producer];
    return std::all_of(node.in.begin(), node.in.end(),
                       [&](ValueId v) { return IsThere(Root(v), draft); });
  }

  // The node that makes a root, through parts; -1: inputs and stacks.
  int StorageProducer(ValueId root) const {
    int producer = ProducerOf(root);
    while (producer >= 0 && trait(producer) == NodeTrait::kPart) {
      producer = ProducerOf(Root(block_.nodes[producer].in[0]));
    }
    return producer >= 0 && trait(producer) == NodeTrait::kJoin ? -1 : producer;
  }

  // Computes a loop kernel inside its only reader.
  void MoveIntoReader(int k) {
    if (!drafts_[k].is_loop) return;
    int reader = -1;
    for (int n : members_[k]) {
      const ValueId v = block_.nodes[n].out[0];
      if (written_[v.v] || !FindOnlyReader(v, k, reader)) return;
    }
    if (reader < 0) return;
    const Node& anchor = block_.nodes[drafts_[reader].anchor];
    if (anchor.op->op_class == OpClass::kIndexing) return;  // rows are read out of order
    for (int n : members_[k]) home_[n] = reader;
    members_[reader].insert(members_[reader].end(), members_[k].begin(), members_[k].end());
    drafts_[k].merged = true;
  }

  // False if drafts other than `k` and one `reader` read v, or v is repeated as it is read.
  bool FindOnlyReader(ValueId v, int k, int& reader) const {
    for (int n : readers_[v.v]) {
      if (home_[n] == k) continue;
      if (inlined_[n] && (trait(n) == NodeTrait::kBroadcast || home_[n] >= 0)) return false;
      if (inlined_[n]) {
        if (!FindOnlyReader(block_.nodes[n].out[0], k, reader)) return false;
        continue;
      }
      if (reader >= 0 && reader != home_[n]) return false;
      reader = home_[n];
    }
    return true;
  }

  // -- the drafts as kernels --

  void Collect() {
    number_.assign(drafts_.size(), -1);
    for (size_t d = 0; d < drafts_.size(); ++d) {
      if (drafts_[d].merged) continue;
      number_[d] = static_cast<int>(fusion_.kernels.size());
      FusedKernel kernel;
      kernel.anchor = drafts_[d].anchor;
      kernel.kind = KindOf(drafts_[d]);
      kernel.statistics_only = inlined_[kernel.anchor];
      fusion_.kernels.push_back(std::move(kernel));
    }
    for (size_t n = 0; n < home_.size(); ++n) {
      fusion_.kernel_of.push_back(home_[n] < 0 ? -1 : number_[home_[n]]);
      if (home_[n] >= 0) fusion_.kernels[number_[home_[n]]].nodes.push_back(static_cast<int>(n));
    }
    for (size_t d = 0; d < drafts_.size(); ++d) {
      if (number_[d] >= 0) CollectKernel(static_cast<int>(d), fusion_.kernels[number_[d]]);
    }
    CollectSegments();
    CollectStorage();
  }

  KernelKind KindOf(const Draft& draft) const {
    const Node& anchor = block_.nodes[draft.anchor];
    if (anchor.is(OpKind::kCall)) return KernelKind::kCall;
    if (anchor.is(OpKind::kCollective)) return KernelKind::kCollective;
    return anchor.is(OpKind::kTransfer) ? KernelKind::kTransfer : KernelKind::kCompute;
  }

  void CollectKernel(int draft, FusedKernel& kernel) {
    const std::vector<int> own = kernel.nodes;
    std::vector<int> in_operands;  // nodes computed as operands are read
    if (!drafts_[draft].is_loop) {
      for (ValueId v : block_.nodes[kernel.anchor].in) {
        kernel.operand_reads.emplace_back();
        Read(v, draft, kernel.anchor, kernel, kernel.operand_reads.back(), in_operands);
      }
    }
    for (int n : own) {
      const bool is_operand =
          std::find(in_operands.begin(), in_operands.end(), n) != in_operands.end();
      if (is_operand || (n == kernel.anchor && !drafts_[draft].is_loop)) continue;
      for (ValueId v : block_.nodes[n].in) {
        if (IsOwn(Root(v), draft)) continue;
        std::vector<int> seen;
        Read(v, draft, kernel.anchor, kernel, kernel.epilogue_reads, seen);
      }
    }
    for (const auto& list : kernel.operand_reads) {
      for (ValueId v : list) AddOnce(kernel.reads, v);
    }
    for (ValueId v : kernel.epilogue_reads) AddOnce(kernel.reads, v);
    for (int n : own) {
      for (ValueId v : block_.nodes[n].out) {
        if (!inlined_[n] && IsReadOutside(v, draft)) kernel.writes.push_back(v);
      }
    }
    auto sort_unique = [](std::vector<int>& list) {
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    };
    sort_unique(kernel.nodes);
    sort_unique(kernel.after);
  }

  bool IsOwn(ValueId root, int draft) const {
    const int producer = ProducerOf(root);
    return producer >= 0 && home_[producer] == draft && !inlined_[producer];
  }

  // Adds what `draft` reads from memory to have `value`.
  void Read(ValueId value, int draft, int anchor, FusedKernel& kernel, std::vector<ValueId>& reads,
            std::vector<int>& seen) {
    const ValueId root = Root(value);
    const int maker = StorageProducer(root);
    const int producer = ProducerOf(root);
    const bool same_segment = maker >= 0 && segment_[maker] == drafts_[draft].segment;
    const bool inside =
        producer >= 0 && producer != anchor && (inlined_[producer] || home_[producer] == draft);
    if (same_segment && home_[maker] >= 0 && home_[maker] != draft) {
      kernel.after.push_back(number_[home_[maker]]);
    }
    if (!inside) return AddOnce(reads, value);
    if (std::find(seen.begin(), seen.end(), producer) != seen.end()) return;
    seen.push_back(producer);
    kernel.nodes.push_back(producer);
    for (ValueId v : block_.nodes[producer].in) {
      Read(v, draft, anchor, kernel, reads, seen);
    }
  }

  bool IsReadOutside(ValueId v, int draft) const {
    if (written_[v.v]) return true;
    return std::any_of(readers_[v.v].begin(), readers_[v.v].end(), [&](int n) {
      if (!inlined_[n]) return home_[n] != draft;
      return (home_[n] >= 0 && home_[n] != draft) || IsReadOutside(block_.nodes[n].out[0], draft);
    });
  }

  void CollectSegments() {
    int last = -1;
    for (size_t d = 0; d < drafts_.size(); ++d) {
      if (number_[d] < 0) continue;
      if (drafts_[d].segment != last) {
        fusion_.segments.push_back(
            {number_[d], number_[d], trait(drafts_[d].anchor) == NodeTrait::kCall});
        last = drafts_[d].segment;
      }
      fusion_.kernels[number_[d]].segment = static_cast<int>(fusion_.segments.size()) - 1;
      fusion_.segments.back().end = number_[d] + 1;
    }
  }

  void CollectStorage() {
    fusion_.storage.assign(block_.types.size(), kNoValue);
    fusion_.owned.assign(block_.types.size(), false);
    for (const BlockInput& input : block_.inputs) fusion_.storage[input.value.v] = input.value;
    for (const FusedKernel& kernel : fusion_.kernels) {
      for (ValueId v : kernel.writes) {
        fusion_.storage[v.v] = v;
        fusion_.owned[v.v] = true;
      }
    }
    for (size_t n = 0; n < block_.nodes.size(); ++n) {
      const Node& node = block_.nodes[n];
      for (size_t i = 0; i < node.out.size(); ++i) {
        ValueId& storage = fusion_.storage[node.out[i].v];
        if (trait(n) == NodeTrait::kJoin) {
          storage = node.out[i];
          fusion_.owned[storage.v] = true;
        } else if (!IsPlaced(n)) {
          storage = fusion_.storage[node.in[i].v];
        }
      }
    }
  }

  const Block& block_;
  std::vector<int> producers_;
  std::vector<NodeTrait> traits_;  // by node, as segment_, home_, inlined_
  std::vector<int> segment_;
  std::vector<ValueId> root_;              // by value
  std::vector<std::vector<int>> readers_;  // by root
  std::vector<bool> written_;              // by root
  std::vector<int> home_;                  // draft; -1: free, or computed in its readers only
  std::vector<std::vector<int>> members_;  // by draft: the nodes at home in it
  std::vector<bool> inlined_;              // computed in its readers
  std::vector<Draft> drafts_;
  std::vector<int> number_;  // by draft: its kernel, -1 if merged
  Fusion fusion_;
};

}  // namespace

Fusion Fuse(const Block& block) { return Fuser(block).Run(); }

}  // namespace shardwise
