#include "model/ir/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "kernels/base/check.h"
#include "model/ir/manual.h"

namespace shardwise {
namespace {

constexpr int64_t kMostDevices = 1'000'000;  // on one axis

class BlockVerifier {
 public:
  BlockVerifier(const Program& program, int index)
      : program_(program), index_(index), block_(program.blocks[index]) {
    defined_.assign(block_.types.size(), false);
  }

  Status Run() {
    for (const BlockInput& input : block_.inputs) {
      SW_RETURN_IF_ERROR(Define(input.value, "an input"));
      SW_RETURN_IF_ERROR(CheckStackAxis(input));
      if (!input.logical_axes.empty() &&
          input.logical_axes.size() < block_.type(input.value).dims.size()) {
        return Error(fmt::format("input '{}' has {} logical axes for {}", input.name,
                                 input.logical_axes.size(), block_.type(input.value).ToText()));
      }
    }
    for (size_t n = 0; n < block_.nodes.size(); ++n) {
      SW_RETURN_IF_ERROR(CheckNode(block_.nodes[n], n));
    }
    for (const BlockOutput& output : block_.outputs) {
      SW_RETURN_IF_ERROR(CheckUse(output.value, "an output"));
      SW_RETURN_IF_ERROR(CheckStackAxis(output));
    }
    for (const auto& [input, output] : block_.donated) {
      if (!IsIndex(input, block_.inputs.size()) || !IsIndex(output, block_.outputs.size())) {
        return Error(fmt::format("there is no {}->{} to donate", input, output));
      }
    }
    return absl::OkStatus();
  }

 private:
  static bool IsIndex(int64_t index, size_t size) {
    return index >= 0 && index < static_cast<int64_t>(size);
  }
  // Slices of a stacked tensor: the axis is one of the stack, which has one more than the slice.
  template <class InputOrOutput>
  Status CheckStackAxis(const InputOrOutput& io) const {
    const size_t rank = block_.type(io.value).dims.size();
    if (io.binding != Binding::kSlice || IsIndex(io.stack_axis, rank + 1)) return absl::OkStatus();
    return Error(
        fmt::format("'{}' of rank {} is no slice of axis {}", io.name, rank, io.stack_axis));
  }
  Status Error(std::string text) const {
    return InvalidArgument("block @{}: {}", block_.name, text);
  }
  bool Known(ValueId v) const {
    return v.v >= 0 && v.v < static_cast<int32_t>(block_.types.size());
  }
  Status Define(ValueId v, std::string_view where) {
    if (!Known(v)) return Error(fmt::format("{} has no type", where));
    if (defined_[v.v]) return Error(fmt::format("%{} is defined twice", v.v));
    defined_[v.v] = true;
    return absl::OkStatus();
  }
  Status CheckUse(ValueId v, std::string_view where) const {
    if (!Known(v) || !defined_[v.v]) {
      return Error(fmt::format("%{} is used before its definition in {}", v.v, where));
    }
    return absl::OkStatus();
  }

  Status CheckNode(const Node& node, size_t position) {
    const std::string where = fmt::format("node {} ({})", position, node.op->name);
    for (ValueId v : node.in) SW_RETURN_IF_ERROR(CheckUse(v, where));
    for (ValueId v : node.out) SW_RETURN_IF_ERROR(Define(v, where));
    if (node.is(OpKind::kCall)) return CheckCall(node, where);
    if (node.is(OpKind::kManual)) return CheckManual(node, where);
    if (node.op->infer == nullptr) return absl::OkStatus();
    const auto in_types = block_.TypesOf(node.in);
    StatusOr<std::vector<TensorType>> inferred = node.op->infer(node.attrs, in_types);
    if (!inferred.ok()) return Error(where + ": " + Message(inferred.status()));
    if (*inferred != block_.TypesOf(node.out)) {
      std::string texts;
      for (const TensorType& type : *inferred) texts += " " + type.ToText();
      return Error(fmt::format("{}: results are not the inferred{}", where, texts));
    }
    return absl::OkStatus();
  }

  Status CheckCall(const Node& node, const std::string& where) {
    const CallAttrs& attrs = node.attrs.As<CallAttrs>();
    const int callee_index = program_.Find(attrs.block);
    if (callee_index < 0 || callee_index >= index_) {
      return Error(
          fmt::format("{}: block @{} does not stand before its caller", where, attrs.block));
    }
    const Block& callee = program_.blocks[callee_index];
    if (node.in.size() != callee.inputs.size() || node.out.size() != callee.outputs.size()) {
      return Error(fmt::format("{}: {} operands and {} results for @{} with {} and {}", where,
                               node.in.size(), node.out.size(), callee.name, callee.inputs.size(),
                               callee.outputs.size()));
    }
    SW_RETURN_IF_ERROR(CheckCarries(where, callee));
    for (size_t i = 0; i < node.in.size(); ++i) {
      SW_RETURN_IF_ERROR(CheckBinding(where, callee, callee.inputs[i], node.in[i], attrs.trips));
    }
    for (size_t i = 0; i < node.out.size(); ++i) {
      SW_RETURN_IF_ERROR(CheckBinding(where, callee, callee.outputs[i], node.out[i], attrs.trips));
    }
    return absl::OkStatus();
  }

  // Whether the spec names axes of the region, none twice, and the whole tensor can be counted.
  static bool IsSpec(const ManualAttrs& attrs, const ManualSpec& spec, const TensorType& local) {
    std::set<std::string_view> used;
    double elements = 1;
    for (size_t d = 0; d < spec.size(); ++d) {
      elements *= std::max(1.0, static_cast<double>(local.dims[d]));
      for (const std::string& axis : spec[d]) {
        const auto found = std::find(attrs.axes.begin(), attrs.axes.end(), axis);
        if (found == attrs.axes.end() || !used.insert(axis).second) return false;
        elements *= static_cast<double>(attrs.sizes[found - attrs.axes.begin()]);
      }
    }
    return elements < 0x1p62;
  }

  Status CheckManual(const Node& node, const std::string& where) {
    const ManualAttrs& attrs = node.attrs.As<ManualAttrs>();
    const int index = program_.Find(attrs.block);
    if (index < 0 || index >= index_) {
      return Error(
          fmt::format("{}: region @{} does not stand before its user", where, attrs.block));
    }
    const Block& region = program_.blocks[index];
    if (attrs.sizes.size() != attrs.axes.size() ||
        std::any_of(attrs.sizes.begin(), attrs.sizes.end(),
                    [](int64_t size) { return size < 1 || size > kMostDevices; })) {
      return Error(fmt::format("{}: axes without a size of 1 to {}", where, kMostDevices));
    }
    auto matches = [&](const std::vector<ValueId>& values, const auto& list,
                       const std::vector<std::string>& specs) {
      if (values.size() != list.size() || values.size() != specs.size()) return false;
      for (size_t i = 0; i < values.size(); ++i) {
        const TensorType& local = region.type(list[i].value);
        const ManualSpec spec = ParseManualSpec(specs[i], local.rank());
        if (!IsSpec(attrs, spec, local)) return false;
        if (block_.type(values[i]) != GlobalType(local, spec, attrs)) return false;
      }
      return true;
    };
    if (matches(node.in, region.inputs, attrs.in_specs) &&
        matches(node.out, region.outputs, attrs.out_specs)) {
      return absl::OkStatus();
    }
    return Error(fmt::format("{}: values do not fit region @{}", where, attrs.block));
  }

  template <class InputOrOutput>
  Status CheckBinding(const std::string& where, const Block& callee, const InputOrOutput& io,
                      ValueId value, int64_t trips) {
    TensorType expected = callee.type(io.value);
    if (io.binding == Binding::kSlice) expected = StackedType(expected, io.stack_axis, trips);
    if (block_.type(value) == expected) return absl::OkStatus();
    return Error(fmt::format("{}: '{}' is {}, not {}", where, io.name, block_.type(value).ToText(),
                             expected.ToText()));
  }

  Status CheckCarries(const std::string& where, const Block& callee) const {
    std::vector<TensorType> in, out;
    for (const BlockInput& input : callee.inputs) {
      if (input.binding == Binding::kCarry) in.push_back(callee.type(input.value));
    }
    for (const BlockOutput& output : callee.outputs) {
      if (output.binding == Binding::kCarry) out.push_back(callee.type(output.value));
    }
    if (in == out) return absl::OkStatus();
    return Error(fmt::format("{}: carries of @{} do not keep their types", where, callee.name));
  }

  const Program& program_;
  int index_;
  const Block& block_;
  std::vector<bool> defined_;
};

}  // namespace

Status Verify(const Program& program) {
  for (size_t b = 0; b < program.blocks.size(); ++b) {
    SW_RETURN_IF_ERROR(BlockVerifier(program, static_cast<int>(b)).Run());
  }
  return absl::OkStatus();
}

void CheckVerified(const Program& program, std::string_view after_pass) {
  const Status status = Verify(program);
  SW_CHECK(status.ok(), "after {}: {}", after_pass, Message(status));
}

}  // namespace shardwise
