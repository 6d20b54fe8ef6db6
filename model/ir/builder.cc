#include "model/ir/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

std::string TypesText(std::span<const TensorType> types) {
  std::vector<std::string> texts;
  for (const TensorType& type : types) texts.push_back(type.ToText());
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

BlockBuilder::BlockBuilder(std::string name) { block_.name = std::move(name); }

ValueId BlockBuilder::NewValue(TensorType type) {
  block_.types.push_back(std::move(type));
  return {static_cast<int32_t>(block_.types.size()) - 1};
}

int32_t BlockBuilder::Intern(std::string_view scope) {
  auto& scopes = block_.scopes;
  // A builder whose block was taken has no scopes.
  if (scope_ < std::ssize(scopes) && scopes[scope_] == scope) return scope_;
  const auto it = std::find(scopes.begin(), scopes.end(), scope);
  if (it != scopes.end()) return static_cast<int32_t>(it - scopes.begin());
  scopes.emplace_back(scope);
  return static_cast<int32_t>(scopes.size()) - 1;
}

void BlockBuilder::SetScope(std::string_view scope) { scope_ = Intern(scope); }

ValueId BlockBuilder::Input(std::string name, TensorType type, Binding binding,
                            int64_t stack_axis) {
  BlockInput input;
  input.name = std::move(name);
  input.binding = binding;
  input.stack_axis = stack_axis;
  return Input(std::move(input), std::move(type));
}

ValueId BlockBuilder::Input(BlockInput input, TensorType type) {
  input.value = NewValue(std::move(type));
  block_.inputs.push_back(std::move(input));
  return block_.inputs.back().value;
}

std::vector<ValueId> BlockBuilder::Add(const OpDef* op, Attrs attrs, std::span<const ValueId> in) {
  const std::vector<TensorType> in_types = block_.TypesOf(in);
  SW_CHECK(op->infer != nullptr, "{} is built by its own function", op->name);
  StatusOr<std::vector<TensorType>> out_types = op->infer(attrs, in_types);
  SW_CHECK(out_types.ok(), "{}{{{}}}({}) in '{}' of {}: {}", op->name, attrs.ToText(),
           TypesText(in_types), scope(), block_.name, Message(out_types.status()));
  Node node;
  node.op = op;
  node.attrs = std::move(attrs);
  node.in.assign(in.begin(), in.end());
  node.phase = phase_;
  node.scope = scope_;
  node.region = region_;
  for (TensorType& type : *out_types) node.out.push_back(NewValue(std::move(type)));
  block_.nodes.push_back(std::move(node));
  return block_.nodes.back().out;
}

std::vector<ValueId> BlockBuilder::Add(std::string_view op, Attrs attrs,
                                       std::initializer_list<ValueId> in) {
  return Add(FindOp(op), std::move(attrs), std::span<const ValueId>(in.begin(), in.size()));
}

ValueId BlockBuilder::Add1(std::string_view op, Attrs attrs, std::initializer_list<ValueId> in) {
  const std::vector<ValueId> out = Add(op, std::move(attrs), in);
  SW_CHECK(out.size() == 1, "{} has {} results", op, out.size());
  return out[0];
}

std::vector<ValueId> BlockBuilder::Clone(const Node& node, Attrs attrs,
                                         std::span<const TensorType> out_types,
                                         std::span<const ValueId> in, std::string_view scope) {
  Node copy;
  copy.op = node.op;
  copy.attrs = std::move(attrs);
  copy.in.assign(in.begin(), in.end());
  copy.out.reserve(out_types.size());
  copy.phase = phase_;
  copy.scope = Intern(scope);
  copy.region = region_;
  for (const TensorType& type : out_types) copy.out.push_back(NewValue(type));
  block_.nodes.push_back(std::move(copy));
  return block_.nodes.back().out;
}

std::vector<ValueId> BlockBuilder::Call(const Block& callee, int64_t trips, bool reverse,
                                        std::span<const ValueId> in) {
  SW_CHECK(in.size() == callee.inputs.size(), "call of {} with {} operands for {} inputs",
           callee.name, in.size(), callee.inputs.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const BlockInput& input = callee.inputs[i];
    TensorType expected = callee.type(input.value);
    if (input.binding == Binding::kSlice) expected = StackedType(expected, input.stack_axis, trips);
    SW_CHECK(type(in[i]) == expected, "call of {}: operand {} '{}' is {}, not {}", callee.name, i,
             input.name, type(in[i]).ToText(), expected.ToText());
  }
  Node node;
  node.op = FindOp("call");
  node.attrs = Attrs(CallAttrs{callee.name, trips, reverse});
  node.in.assign(in.begin(), in.end());
  node.phase = phase_;
  node.scope = scope_;
  node.region = region_;
  for (const BlockOutput& output : callee.outputs) {
    const TensorType& slice = callee.type(output.value);
    node.out.push_back(NewValue(
        output.binding == Binding::kSlice ? StackedType(slice, output.stack_axis, trips) : slice));
  }
  block_.nodes.push_back(std::move(node));
  return block_.nodes.back().out;
}

std::vector<ValueId> BlockBuilder::RetargetCall(size_t index, const Block& twin) {
  CallAttrs attrs = block_.nodes[index].attrs.As<CallAttrs>();
  attrs.block = twin.name;
  const size_t first = block_.nodes[index].out.size();
  std::vector<ValueId> added;
  for (size_t o = first; o < twin.outputs.size(); ++o) {
    const BlockOutput& output = twin.outputs[o];
    SW_CHECK(output.binding == Binding::kSlice, "added output '{}' of {}", output.name, twin.name);
    added.push_back(NewValue(StackedType(twin.type(output.value), output.stack_axis, attrs.trips)));
  }
  Node& node = block_.nodes[index];
  node.attrs = Attrs(attrs);
  node.out.insert(node.out.end(), added.begin(), added.end());
  return added;
}

Block BlockBuilder::Finish(std::vector<BlockOutput> outputs) && {
  block_.outputs = std::move(outputs);
  return std::move(block_);
}

ScopedName::ScopedName(BlockBuilder& builder, std::string_view name)
    : builder_(builder), saved_(builder.scope()) {
  builder_.SetScope(saved_.empty() ? std::string(name) : fmt::format("{}/{}", saved_, name));
}

}  // namespace shardwise
