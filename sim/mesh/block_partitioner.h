// Internal to sim/mesh: the state of partitioning one program, and of one block in it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/ir/builder.h"
#include "sim/mesh/factors.h"
#include "sim/mesh/partition.h"

namespace shardwise {

// The sharding of a stacked value from that of a slice, and back.
Sharding StackedSharding(Sharding slice, int64_t axis);
Sharding UnstackedSharding(Sharding stacked, int64_t axis);

struct Wanted {
  Sharding sharding;
  bool constraint = false;  // asked for by a sharding_constraint or a carry, not by a gradient
};

// State shared by the blocks of one program.
class Partitioner {
 public:
  Partitioner(const Program& global, const Mesh& mesh, const LogicalAxisRules& rules)
      : global_(global), mesh_(mesh), rules_(rules) {}

  SpmdProgram Run(Checked checked);
  void DropDeadCode(Checked checked);
  int PartitionBlock(const Block& block, const std::vector<Sharding>& inputs, bool is_entry);

  // Spec of a value by logical names; axes that divide nothing are dropped with a warning.
  Sharding Resolve(const std::vector<std::string>& names, const TensorType& type,
                   std::string_view what);
  void Warn(std::string text);
  // One warning per axis and logical name: no axis divides 1, and JAX refuses to create an array
  // whose axes do not divide it.
  void WarnOfSizeOne();

  const Program& global() const { return global_; }
  const Mesh& mesh() const { return mesh_; }
  // Local blocks and what is known of them, by index in result_.program.blocks.
  const Block& local_block(int index) const { return result_.program.blocks[index]; }
  const std::vector<Sharding>& outputs_of(int index) const { return outputs_.at(index); }

 private:
  const Program& global_;
  const Mesh& mesh_;
  const LogicalAxisRules& rules_;
  SpmdProgram result_;
  std::map<std::string, int> done_;  // block and input shardings -> local block
  std::map<int, std::vector<Sharding>> outputs_;
  std::map<std::pair<std::vector<std::string>, int>, Sharding> resolved_;  // by names and rank
  // (mesh axis, logical name) -> tensors whose dimension of that name has size 1.
  std::map<std::pair<int, std::string>, std::vector<std::string>> size_one_;
};

class BlockPartitioner {
 public:
  BlockPartitioner(Partitioner& shared, const Block& block, const std::string& name,
                   const std::vector<Sharding>& inputs);
  void Run();
  // The local block, with every output brought to its target.
  Block Finish(const std::vector<Sharding>& targets) &&;

  const Sharding& sharding(ValueId v) const { return shardings_[v.v]; }
  // Devices that repeat each node; nodes past the end (reshardings) repeat nothing.
  const std::vector<int64_t>& replication() const { return replication_; }

 private:
  void Bind(ValueId global, ValueId local, Sharding sharding) {
    values_[global.v] = local;
    shardings_[global.v] = std::move(sharding);
  }

  // The local value of `v` under `target`; a resharding is done once per value and target.
  ValueId At(ValueId v, const Sharding& target);
  void Want(ValueId v, Sharding sharding, bool constraint);
  void FindWanted(const std::vector<Sharding>& inputs);
  void WantOperands(const Node& node);
  void WantThroughRule(const Node& node);
  void Visit(const Node& node, const std::string& scope);
  void VisitCall(const Node& node);
  void VisitManual(const Node& node, const std::string& scope);
  std::vector<ValueId> Recomputed(const Node& node, const std::vector<TensorType>& types,
                                  const std::vector<ValueId>& in, const std::string& scope);
  void VisitCompute(const Node& node, const std::string& scope);
  void EmitCompute(const Node& node, const IndexRule& rule, const FactorAxes& axes,
                   const std::string& scope);
  bool Defer(const Node& node, const IndexRule& rule);
  ValueId EmitDeferred(const Node& node, const Sharding& target);
  void Inline(const Node& node, const std::string& scope);
  std::vector<ShardingClaim> ClaimsOf(const Node& node, const IndexRule& rule) const;

  Partitioner& shared_;
  const Block& block_;
  const Mesh& mesh_;
  BlockBuilder local_;
  // By global value; decompositions append values of their own.
  std::vector<TensorType> types_;
  std::vector<ValueId> values_;
  std::vector<Sharding> shardings_;
  std::vector<bool> parameter_;
  std::vector<std::optional<Wanted>> wanted_;
  std::unordered_map<int32_t, std::vector<std::pair<Sharding, ValueId>>> resharded_;
  // Broadcasts and constants, by result: made where and as they are needed, never whole.
  std::map<int32_t, Node> deferred_;
  // Hash -> local node, of recomputed parts of manual regions; order never leaks.
  std::unordered_multimap<size_t, size_t> recomputed_;
  std::vector<int64_t> replication_;  // by local node
};

}  // namespace shardwise
