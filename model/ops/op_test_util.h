// For tests of ops: operands of samples, kernels run with any scalar, shards by index rule, blocks
// run node by node.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include "kernels/base/random.h"
#include "kernels/base/tensor.h"
#include "model/ir/block.h"
#include "model/ir/builder.h"
#include "model/ops/run_op.h"

namespace shardwise::test {

// Buffer of one operand or result in a run with scalar S. Fresh results are poisoned and end in
// guard elements, so that a test sees what a kernel did not write, and what it should not have.
template <class S>
class OpBuffer {
 public:
  explicit OpBuffer(TensorType type) : type_(std::move(type)) {
    const size_t n = static_cast<size_t>(type_.elements()) + kGuards;
    if (IsFloat(type_.dtype)) floats_.assign(n, S(kPoison));
    if (type_.dtype == DType::kI32) ints_.assign(n, kPoisonInt);
    if (type_.dtype == DType::kBool) bools_.assign(n, kPoisonBool);
  }
  explicit OpBuffer(const Tensor& tensor) : OpBuffer(tensor.type()) {
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      const double value = tensor.Get(i);
      if (!floats_.empty()) floats_[i] = S(value);
      if (!ints_.empty()) ints_[i] = static_cast<int32_t>(value);
      if (!bools_.empty()) bools_[i] = value != 0;
    }
  }

  const TensorType& type() const { return type_; }
  std::vector<S>& floats() { return floats_; }
  const std::vector<S>& floats() const { return floats_; }
  void* data() {
    if (!floats_.empty()) return floats_.data();
    return ints_.empty() ? static_cast<void*>(bools_.data()) : ints_.data();
  }
  const void* data() const { return const_cast<OpBuffer*>(this)->data(); }

  // Every element written, no guard touched.
  bool IsExactlyWritten() const {
    for (int64_t i = 0; i < type_.elements() + kGuards; ++i) {
      if (IsPoison(i) != (i >= type_.elements())) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGuards = 4;
  static constexpr double kPoison = 1.2345e300;
  static constexpr int32_t kPoisonInt = 0x7fabcdef;
  static constexpr uint8_t kPoisonBool = 0xee;

  bool IsPoison(int64_t i) const {
    if (!floats_.empty()) return RealPart(floats_[i]) == kPoison;
    return ints_.empty() ? bools_[i] == kPoisonBool : ints_[i] == kPoisonInt;
  }

  TensorType type_;
  std::vector<S> floats_;
  std::vector<int32_t> ints_;
  std::vector<uint8_t> bools_;
};

template <class S>
Kernel<S> KernelOf(const OpDef& op) {
  if constexpr (std::is_same_v<S, float>) return op.kernels.f32;
  if constexpr (std::is_same_v<S, double>) return op.kernels.f64;
  if constexpr (std::is_same_v<S, Complex>) return op.kernels.complex;
  if constexpr (std::is_same_v<S, Counting>) return op.kernels.counting;
}

// Runs the kernel as it is: no rounding, whatever the dtypes say.
template <class S>
std::vector<OpBuffer<S>> RunKernel(const OpDef& op, const Attrs& attrs,
                                   const std::vector<OpBuffer<S>>& in, Types out_types) {
  std::vector<TensorType> in_types;
  std::vector<const void*> in_data;
  for (const auto& buffer : in) {
    in_types.push_back(buffer.type());
    in_data.push_back(buffer.data());
  }
  std::vector<OpBuffer<S>> out;
  std::vector<void*> out_data;
  for (const TensorType& type : out_types) out.emplace_back(type);
  for (auto& buffer : out) out_data.push_back(buffer.data());
  SW_CHECK(KernelOf<S>(op) != nullptr, "{} has no kernel", op.name);
  KernelOf<S>(op)(attrs, KernelContext<S>{in_types, out_types, in_data, out_data});
  return out;
}

template <class S>
std::vector<OpBuffer<S>> BuffersOf(const std::vector<Tensor>& tensors) {
  return {tensors.begin(), tensors.end()};
}

inline OpCounts CountOps(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                         Types out_types) {
  const auto buffers = BuffersOf<Counting>(in);
  Counting::counts = {};
  RunKernel<Counting>(op, attrs, buffers, out_types);
  return Counting::counts;
}

inline std::vector<Tensor> RunOnTensors(const OpDef& op, const Attrs& attrs,
                                        const std::vector<Tensor>& in, Types out_types) {
  std::vector<const Tensor*> operands;
  for (const Tensor& tensor : in) operands.push_back(&tensor);
  std::vector<Tensor> out;
  for (const TensorType& type : out_types) out.emplace_back(type);
  RunOp(op, attrs, operands, out);
  return out;
}

// Results of the op's own inference; attributes as text.
inline std::vector<Tensor> RunByName(std::string_view name, std::string_view attrs,
                                     const std::vector<Tensor>& in) {
  const OpDef& op = *FindOp(name);
  const auto parsed = op.parse_attrs(attrs);
  SW_CHECK(parsed.ok(), "{}", Message(parsed.status()));
  std::vector<TensorType> in_types;
  for (const Tensor& tensor : in) in_types.push_back(tensor.type());
  const auto out_types = op.infer(*parsed, in_types);
  SW_CHECK(out_types.ok(), "{}", Message(out_types.status()));
  return RunOnTensors(op, *parsed, in, *out_types);
}

// Whether inference refuses these operands, and says why.
inline bool Refuses(std::string_view name, std::string_view attrs, Types in) {
  const OpDef& op = *FindOp(name);
  const auto parsed = op.parse_attrs(attrs);
  SW_CHECK(parsed.ok(), "{}", Message(parsed.status()));
  const auto out = op.infer(*parsed, in);
  return !out.ok() && !Message(out.status()).empty();
}

// Floats standard normal, s32 uniform in [0, bound), pred fair.
inline Tensor RandomTensor(const TensorType& type, uint64_t seed, uint64_t stream,
                           int64_t bound = 1) {
  Tensor tensor(type);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    if (IsFloat(type.dtype)) {
      tensor.Set(i, RandomNormal(seed, stream, i));
    } else {
      const int64_t values = type.dtype == DType::kBool ? 2 : std::max<int64_t>(bound, 1);
      tensor.Set(i, std::floor(RandomUniform(seed, stream, i) * static_cast<double>(values)));
    }
  }
  return tensor;
}

inline std::vector<Tensor> DrawOperands(const OpSample& sample, uint64_t seed) {
  std::vector<Tensor> operands;
  for (size_t k = 0; k < sample.in.size(); ++k) {
    if (k < sample.values.size() && !sample.values[k].empty()) {
      operands.push_back(Tensor::FromValues(sample.in[k], sample.values[k]));
    } else {
      const int64_t bound = k < sample.index_bounds.size() ? sample.index_bounds[k] : 1;
      operands.push_back(RandomTensor(sample.in[k], seed, k, bound));
    }
  }
  return operands;
}

// Largest difference relative to the largest expected magnitude (absolute where all are zero).
inline double RelativeError(const std::vector<double>& actual,
                            const std::vector<double>& expected) {
  SW_CHECK(actual.size() == expected.size(), "{} values, {} expected", actual.size(),
           expected.size());
  double error = 0, largest = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] == expected[i]) {
      // Also infinities. Their magnitude must not hide other errors.
      if (std::isfinite(expected[i])) largest = std::max(largest, std::abs(expected[i]));
      continue;
    }
    if (!std::isfinite(actual[i]) || !std::isfinite(expected[i])) return HUGE_VAL;
    error = std::max(error, std::abs(actual[i] - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
  }
  return largest > 0 ? error / largest : error;
}
inline double RelativeError(const Tensor& actual, const Tensor& expected) {
  SW_CHECK(actual.type().dims == expected.type().dims, "{} and {}", actual.type().ToText(),
           expected.type().ToText());
  return RelativeError(actual.ToDoubles(), expected.ToDoubles());
}

// Runs a block without calls; one tensor per input, returns one per output.
inline std::vector<Tensor> RunBlock(const Block& block, const std::vector<Tensor>& inputs) {
  SW_CHECK(inputs.size() == block.inputs.size(), "{} tensors for {} inputs", inputs.size(),
           block.inputs.size());
  std::vector<Tensor> values(block.types.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    SW_CHECK(inputs[i].type() == block.type(block.inputs[i].value), "input {} is {}", i,
             inputs[i].type().ToText());
    values[block.inputs[i].value.v] = inputs[i];
  }
  for (const Node& node : block.nodes) {
    if (node.is(OpKind::kBoundary)) continue;
    std::vector<Tensor> in;
    for (ValueId v : node.in) in.push_back(values[v.v]);
    std::vector<Tensor> out = RunOnTensors(*node.op, node.attrs, in, block.TypesOf(node.out));
    for (size_t r = 0; r < out.size(); ++r) values[node.out[r].v] = std::move(out[r]);
  }
  std::vector<Tensor> outputs;
  for (const BlockOutput& output : block.outputs) outputs.push_back(values[output.value.v]);
  return outputs;
}

// One node, its operands as inputs, and whatever `finish` adds after it as outputs.
template <class Finish>
Block BlockAround(const OpDef& op, const Attrs& attrs, Types in, Finish finish) {
  BlockBuilder builder("test");
  std::vector<ValueId> operands;
  for (const TensorType& type : in) operands.push_back(builder.Input("operand", type));
  builder.Add(&op, attrs, operands);
  const Node node = builder.block().nodes.back();  // a copy: the builder's nodes move
  std::vector<BlockOutput> outputs;
  for (ValueId value : finish(builder, node)) {
    outputs.emplace_back();
    outputs.back().value = value;
  }
  return std::move(builder).Finish(std::move(outputs));
}

// Part `part` of `parts` of a tensor along one factor of its rule; the tensor itself if it lacks
// the factor.
class FactoredTensor {
 public:
  FactoredTensor(const IndexRule& rule, const FactorTensor& dims, int factor) {
    for (const FactorDim& dim : dims) {
      for (int f : dim) {
        if (f == factor) position_ = static_cast<int>(extents_.size());
        extents_.push_back(rule.factors[f].size);
        dim_of_.push_back(static_cast<int>(&dim - dims.data()));
      }
    }
  }

  bool has_factor() const { return position_ >= 0; }

  Tensor Take(const Tensor& whole, int64_t part, int64_t parts) const {
    if (!has_factor()) return whole;
    Dims box = extents_;
    box[position_] /= parts;
    Tensor factored({box, whole.type().dtype});
    CopyBoxOut(Reshaped(whole, extents_), Start(part, parts), factored);
    Dims dims = whole.type().dims;
    dims[dim_of_[position_]] /= parts;
    return Reshaped(factored, dims);
  }

  void Put(const Tensor& piece, int64_t part, int64_t parts, Tensor& whole) const {
    Dims box = extents_;
    box[position_] /= parts;
    Tensor factored = Reshaped(whole, extents_);
    CopyBoxIn(Reshaped(piece, box), Start(part, parts), factored);
    whole = Reshaped(factored, whole.type().dims);
  }

 private:
  Dims Start(int64_t part, int64_t parts) const {
    Dims start(extents_.size(), 0);
    start[position_] = part * extents_[position_] / parts;
    return start;
  }
  static Tensor Reshaped(const Tensor& tensor, const Dims& dims) {
    Tensor result({dims, tensor.type().dtype});
    SW_CHECK(result.elements() == tensor.elements());
    std::copy_n(tensor.data(), tensor.type().bytes(), result.data());
    return result;
  }

  Dims extents_;  // one dimension per factor
  std::vector<int> dim_of_;
  int position_ = -1;
};

}  // namespace shardwise::test
