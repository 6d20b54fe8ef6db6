// Builds one block. Operand errors here are errors of the code that builds (configurations are
// validated before), so they CHECK with the op, its operand types and the scope.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/ir/block.h"

namespace shardwise {

class BlockBuilder {
 public:
  explicit BlockBuilder(std::string name);

  ValueId Input(std::string name, TensorType type, Binding binding = Binding::kInvariant,
                int64_t stack_axis = 0);
  ValueId Input(BlockInput input, TensorType type);  // input.value is filled in

  std::vector<ValueId> Add(const OpDef* op, Attrs attrs, std::span<const ValueId> in);
  std::vector<ValueId> Add(std::string_view op, Attrs attrs, std::initializer_list<ValueId> in);
  // For ops with one result.
  ValueId Add1(std::string_view op, Attrs attrs, std::initializer_list<ValueId> in);
  template <class A>
  requires requires(A a, AttrPrinter p) { a.VisitFields(p); }
  ValueId Add1(std::string_view op, A attrs, std::initializer_list<ValueId> in) {
    return Add1(op, Attrs(std::move(attrs)), in);
  }
  // Copies a node of another block (or this one) with other operands and the given result types.
  std::vector<ValueId> Clone(const Node& node, std::span<const TensorType> out_types,
                             std::span<const ValueId> in, std::string_view scope) {
    return Clone(node, node.attrs, out_types, in, scope);
  }
  std::vector<ValueId> Clone(const Node& node, Attrs attrs, std::span<const TensorType> out_types,
                             std::span<const ValueId> in, std::string_view scope);
  // Runs `callee` trips times; operands as its inputs, results as its outputs.
  std::vector<ValueId> Call(const Block& callee, int64_t trips, bool reverse,
                            std::span<const ValueId> in);

  // Makes call node `node` run `twin`, which has the inputs of its block and at least its outputs;
  // returns the values of the added outputs.
  std::vector<ValueId> RetargetCall(size_t node, const Block& twin);

  const TensorType& type(ValueId v) const { return block_.types[v.v]; }
  const Block& block() const { return block_; }

  void SetPhase(Phase phase) { phase_ = phase; }
  Phase phase() const { return phase_; }
  void SetRegion(int32_t region) { region_ = region; }
  void SetScope(std::string_view scope);
  const std::string& scope() const { return block_.scopes[scope_]; }

  Block Finish(std::vector<BlockOutput> outputs) &&;

 private:
  ValueId NewValue(TensorType type);
  int32_t Intern(std::string_view scope);
  Block block_;
  Phase phase_ = Phase::kForward;
  int32_t region_ = 0;
  int32_t scope_ = 0;
};

// Appends "/name" to the builder's scope for a C++ scope.
class ScopedName {
 public:
  ScopedName(BlockBuilder& builder, std::string_view name);
  ~ScopedName() { builder_.SetScope(saved_); }
  ScopedName(const ScopedName&) = delete;
  ScopedName& operator=(const ScopedName&) = delete;

 private:
  BlockBuilder& builder_;
  std::string saved_;
};

}  // namespace shardwise
