#include "sim/search/batch_family.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "model/ir/structural_attrs.h"
#include "model/stacks/train_step.h"
#include "sim/cost/kernel_cost.h"
#include "sim/mesh/partition.h"

namespace shardwise {
namespace {

// What a rule says apart from sizes: roles of the factors, which are larger than 1, and where they
// stand.
std::vector<int> SignatureOf(const IndexRule& rule) {
  std::vector<int> signature;
  for (const Factor& f : rule.factors) {
    signature.push_back(2 * static_cast<int>(f.role) + (f.size > 1 ? 1 : 0));
  }
  for (const auto* tensors : {&rule.operands, &rule.results}) {
    for (const FactorTensor& tensor : *tensors) {
      signature.push_back(-1);
      for (const FactorDim& dim : tensor) {
        signature.push_back(-2);
        signature.insert(signature.end(), dim.begin(), dim.end());
      }
    }
  }
  return signature;
}

bool SameFusion(const Fusion& a, const Fusion& b) {
  const auto same_kernel = [](const FusedKernel& x, const FusedKernel& y) {
    return x.kind == y.kind && x.anchor == y.anchor && x.nodes == y.nodes && x.reads == y.reads &&
           x.writes == y.writes && x.operand_reads == y.operand_reads &&
           x.epilogue_reads == y.epilogue_reads && x.statistics_only == y.statistics_only &&
           x.segment == y.segment && x.after == y.after;
  };
  return a.kernels.size() == b.kernels.size() && a.segments.size() == b.segments.size() &&
         std::equal(a.kernels.begin(), a.kernels.end(), b.kernels.begin(), same_kernel) &&
         a.kernel_of == b.kernel_of && a.storage == b.storage && a.owned == b.owned;
}

bool SameFusions(const std::vector<Fusion>& a, const std::vector<Fusion>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), SameFusion);
}

// Alike but for names; without calls, whose blocks differ.
bool SameBlock(const Block& a, const Block& b) {
  const auto same_node = [](const Node& x, const Node& y) {
    return x.op == y.op && x.in == y.in && x.out == y.out && x.phase == y.phase &&
           x.attrs == y.attrs && !x.is(OpKind::kCall);
  };
  const auto same_end = [](const auto& x, const auto& y) {
    return x.value == y.value && x.binding == y.binding && x.stack_axis == y.stack_axis &&
           x.space == y.space;
  };
  return a.types == b.types && a.donated == b.donated &&
         std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(), same_node) &&
         std::equal(a.inputs.begin(), a.inputs.end(), b.inputs.begin(), b.inputs.end(), same_end) &&
         std::equal(a.outputs.begin(), a.outputs.end(), b.outputs.begin(), b.outputs.end(),
                    same_end);
}

}  // namespace

StatusOr<BatchStep> BuildBatchStep(const Scenario& scenario, int64_t batch) {
  ModelConfig model = scenario.model;
  model.global_batch_size = batch;
  SW_ASSIGN_OR_RETURN(TrainStep step, BuildTrainStep(model, Checked::kNo));
  SW_ASSIGN_OR_RETURN(SpmdProgram spmd, Partition(step.program, scenario.mesh, scenario.rules,
                                                  {.checked = Checked::kNo}));
  BatchStep result;
  result.batch = batch;
  result.parameters = step.parameter_count();
  result.global = std::move(step.program);
  result.local = std::move(spmd.program);
  for (const Block& block : result.local.blocks) result.fusions.push_back(Fuse(block));
  return result;
}

std::unique_ptr<const BatchFamily> BatchFamily::Between(BatchStep& low, const BatchStep& high,
                                                        const Mesh& mesh) {
  std::unique_ptr<BatchFamily> family(new BatchFamily(std::move(low), mesh, high.batch));
  if (!family->Compare(high)) {
    low = std::move(family->low_);
    return nullptr;
  }
  family->low_.global = {};
  return family;
}

bool BatchFamily::Compare(const BatchStep& high) {
  if (low_.parameters != high.parameters || !SameFusions(low_.fusions, high.fusions)) return false;
  auto local = CompareSizes(low_.local, high.local, table_);
  if (!local.has_value()) return false;
  auto global = CompareSizes(low_.global, high.global, table_);
  if (!global.has_value()) return false;
  sizes_ = *std::move(local);
  global_sizes_ = *std::move(global);
  if (!FindChecks(low_.global, high.global, global_sizes_) ||
      !FindChecks(low_.local, high.local, sizes_)) {
    return false;
  }
  FindDivided();
  FindClasses(high);
  FindSameBlocks(high);
  return true;
}

// Extents that the partitioner may divide: of the global program without its manual regions, which
// are written for one device.
void BatchFamily::FindDivided() {
  std::set<int> regions;
  for (const Block& block : low_.global.blocks) {
    for (const Node& node : block.nodes) {
      if (node.is(OpKind::kManual)) {
        regions.insert(low_.global.Find(node.attrs.As<ManualAttrs>().block));
      }
    }
  }
  for (const ProgramSizes::Extent& e : global_sizes_.extents) {
    if (regions.count(e.block) == 0) divided_.push_back(e.size);
  }
  std::sort(divided_.begin(), divided_.end());
  divided_.erase(std::unique(divided_.begin(), divided_.end()), divided_.end());
}

void BatchFamily::FindDivisors(const Mesh& mesh) {
  divisors_ = {1};
  for (const MeshAxis& axis : mesh.axes) {
    if (axis.size == 1) continue;
    const size_t count = divisors_.size();
    for (size_t i = 0; i < count; ++i) divisors_.push_back(divisors_[i] * axis.size);
  }
  std::sort(divisors_.begin(), divisors_.end());
  divisors_.erase(std::unique(divisors_.begin(), divisors_.end()), divisors_.end());
}

bool BatchFamily::FindChecks(const Program& low, const Program& high, const ProgramSizes& sizes) {
  FindLayoutChecks(low, high, sizes);
  return FindLookalikes(low, sizes);
}

void BatchFamily::FindLayoutChecks(const Program& low, const Program& high,
                                   const ProgramSizes& sizes) {
  std::map<std::pair<int, int>, std::vector<std::pair<int, int>>> extents;  // of (block, value)
  for (const ProgramSizes::Extent& e : sizes.extents) {
    extents[{e.block, e.value}].emplace_back(e.dim, e.size);
  }
  std::map<std::pair<int, int>, int> patterns;
  for (const ProgramSizes::NodeAttrs& n : sizes.attrs) patterns[{n.block, n.node}] = n.pattern;
  std::map<std::string, bool> seen;
  for (int b = 0; b < static_cast<int>(low.blocks.size()); ++b) {
    for (int n = 0; n < static_cast<int>(low.blocks[b].nodes.size()); ++n) {
      const Node& node = low.blocks[b].nodes[n];
      if (node.op->op_class != OpClass::kLayout || node.in.size() != 1 ||
          node.op->rule == nullptr) {
        continue;
      }
      const auto changed = extents.find({b, node.in[0].v});
      const auto pattern = patterns.find({b, n});
      if (changed == extents.end() && pattern == patterns.end()) continue;
      const Node& other = high.blocks[b].nodes[n];
      const TensorType &type = low.blocks[b].type(node.in[0]),
                       &other_type = high.blocks[b].type(other.in[0]);
      const std::string key = std::string(node.op->name) + ' ' + node.attrs.ToText() + ' ' +
                              other.attrs.ToText() + ' ' + type.ToText() + ' ' +
                              other_type.ToText();
      if (!seen.emplace(key, true).second) continue;
      LayoutCheck check;
      check.op = node.op;
      check.attrs = node.attrs;
      check.of = &sizes;
      check.type = type;
      if (pattern != patterns.end()) check.pattern = pattern->second;
      if (changed != extents.end()) check.extents = changed->second;
      check.low_signature = SignatureOf(node.op->rule(node.attrs, {&type, 1}));
      check.high_signature = SignatureOf(other.op->rule(other.attrs, {&other_type, 1}));
      layout_checks_.push_back(std::move(check));
    }
  }
}

// Nodes of one operation on the same operands that may be merged when their attributes are equal.
// False if it cannot be said at which batches they would be.
bool BatchFamily::FindLookalikes(const Program& low, const ProgramSizes& sizes) {
  std::map<std::pair<int, int>, int> patterns;
  for (const ProgramSizes::NodeAttrs& n : sizes.attrs) patterns[{n.block, n.node}] = n.pattern;
  std::map<std::pair<int, int>, bool> constants;
  for (auto place : sizes.constants) constants[place] = true;
  // (pattern or -1, text) of the nodes of one place.
  using Known = std::pair<int, std::string>;
  std::map<std::pair<Known, Known>, bool> seen;
  for (int b = 0; b < static_cast<int>(low.blocks.size()); ++b) {
    const std::vector<Node>& nodes = low.blocks[b].nodes;
    const auto varies = [&](int n) {
      return patterns.count({b, n}) > 0 || constants.count({b, n}) > 0;
    };
    std::map<std::pair<const OpDef*, std::vector<ValueId>>, std::vector<int>> alike;
    for (int n = 0; n < static_cast<int>(nodes.size()); ++n) {
      if (varies(n)) alike[{nodes[n].op, nodes[n].in}];
    }
    for (int n = 0; n < static_cast<int>(nodes.size()); ++n) {
      const auto place = alike.find({nodes[n].op, nodes[n].in});
      if (place != alike.end()) place->second.push_back(n);
    }
    for (const auto& [place, members] : alike) {
      if (members.size() < 2) continue;
      const auto known = [&](int n) {
        const auto pattern = patterns.find({b, n});
        return Known{pattern == patterns.end() ? -1 : pattern->second, nodes[n].attrs.ToText()};
      };
      for (size_t i = 0; i < members.size(); ++i) {
        if (constants.count({b, members[i]}) > 0) return false;
        const Known first = known(members[i]);
        for (size_t j = 0; j < i; ++j) {
          const Known second = known(members[j]);
          const bool either = first.first >= 0 || second.first >= 0;
          if (!either || first.first == second.first ||
              !seen.emplace(std::pair(first, second), true).second)
            continue;
          lookalikes_.push_back({&sizes, first.first, second.first, first.second, second.second});
        }
      }
    }
  }
  return true;
}

void BatchFamily::FindClasses(const BatchStep& high) {
  std::unordered_map<std::string, int> number;  // looked up, never walked
  for (size_t b = 0; b < low_.local.blocks.size(); ++b) {
    class_of_.emplace_back();
    for (size_t k = 0; k < low_.fusions[b].kernels.size(); ++k) {
      const FusedKernel& kernel = low_.fusions[b].kernels[k];
      if (kernel.kind == KernelKind::kCall) {
        class_of_.back().push_back(-1);
        continue;
      }
      const std::string at_low = PriceKey(low_.local.blocks[b], kernel);
      const std::string at_high = PriceKey(high.local.blocks[b], high.fusions[b].kernels[k]);
      const auto [entry, is_new] =
          number.try_emplace(std::to_string(at_low.size()) + ' ' + at_low + at_high,
                             static_cast<int>(classes_.size()));
      if (is_new) {
        classes_.push_back({static_cast<int>(b), static_cast<int>(k), at_low != at_high});
      }
      class_of_.back().push_back(entry->second);
    }
  }
}

void BatchFamily::FindSameBlocks(const BatchStep& high) {
  const std::vector<Block>&low_blocks = low_.local.blocks, &high_blocks = high.local.blocks;
  for (size_t b = 0; b < low_blocks.size(); ++b) {
    same_as_.push_back(static_cast<int>(b));
    for (size_t a = 0; a < b; ++a) {
      if (class_of_[a] != class_of_[b] || !SameFusion(low_.fusions[a], low_.fusions[b]) ||
          !SameBlock(low_blocks[a], low_blocks[b]) || !SameBlock(high_blocks[a], high_blocks[b])) {
        continue;
      }
      same_as_.back() = static_cast<int>(a);
      break;
    }
  }
}

bool BatchFamily::ValuesAt(int64_t batch, BatchValues& values) const {
  if (!table_.At(batch, values.sizes) || !DividesAlike(values.sizes)) return false;
  values.attrs = sizes_.AttrsAt(values.sizes);
  for (const LayoutCheck& check : layout_checks_) {
    if (!PairsAlike(check, values)) return false;
  }
  return std::all_of(lookalikes_.begin(), lookalikes_.end(), [&](const Lookalike& pair) {
    const auto text = [&](int pattern, const std::string& fixed) {
      return pattern < 0 ? fixed : pair.of->patterns[pattern].TextAt(values.sizes);
    };
    return text(pair.a, pair.a_text) != text(pair.b, pair.b_text);
  });
}

bool BatchFamily::DividesAlike(const std::vector<int64_t>& values) const {
  for (int s : divided_) {
    bool as_low = true, as_high = true;
    for (int64_t divisor : divisors_) {
      const bool divides = values[s] % divisor == 0;
      as_low = as_low && divides == (table_.low(s) % divisor == 0);
      as_high = as_high && divides == (table_.high(s) % divisor == 0);
    }
    if (!as_low && !as_high) return false;
  }
  return true;
}

bool BatchFamily::PairsAlike(const LayoutCheck& check, const BatchValues& values) const {
  TensorType type = check.type;
  for (auto [dim, size] : check.extents) type.dims[dim] = values.sizes[size];
  const auto attrs = [&] {
    if (check.pattern < 0) return check.attrs;
    return check.of == &sizes_ ? values.attrs[check.pattern]
                               : check.of->patterns[check.pattern].At(values.sizes);
  };
  const std::vector<int> signature = SignatureOf(check.op->rule(attrs(), {&type, 1}));
  return signature == check.low_signature || signature == check.high_signature;
}

}  // namespace shardwise
