// What every op promises, checked for all of them on random samples.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

constexpr uint64_t kSeeds = 3;
constexpr double kStep = 1e-30;

struct Case {
  const OpDef* op;
  OpSample sample;
  std::vector<TensorType> out;
  std::vector<Tensor> operands;

  std::string ToText() const {
    std::string text = std::string(op->name) + "{" + sample.attrs.ToText() + "}";
    for (const TensorType& type : sample.in) text += " " + type.ToText();
    return text;
  }
};

std::vector<OpSample> SamplesOf(const OpDef& op, uint64_t seed) {
  std::vector<OpSample> samples;
  if (op.samples != nullptr) op.samples(seed, samples);
  return samples;
}

// All samples of all ops that infer their types; `only_kernels`: that also run.
std::vector<Case> Cases(bool only_kernels = true) {
  std::vector<Case> cases;
  for (const OpDef& op : AllOps()) {
    if (op.infer == nullptr || (only_kernels && op.kind != OpKind::kCompute)) continue;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      for (OpSample& sample : SamplesOf(op, seed)) {
        auto out = op.infer(sample.attrs, sample.in);
        EXPECT_TRUE(out.ok()) << op.name << ": " << Message(out.status());
        if (!out.ok()) continue;
        std::vector<Tensor> operands = DrawOperands(sample, seed);
        cases.push_back({&op, std::move(sample), *std::move(out), std::move(operands)});
      }
    }
  }
  return cases;
}

bool HasFloat(Types types) {
  return std::ranges::any_of(types, [](const TensorType& t) { return IsFloat(t.dtype); });
}

TEST(RegistryTest, IsSortedAndDocumented) {
  std::string_view previous;
  for (const OpDef& op : AllOps()) {
    EXPECT_LT(previous, op.name);
    previous = op.name;
    EXPECT_EQ(TryFindOp(op.name), &op);
    EXPECT_FALSE(op.doc.empty()) << op.name;
    EXPECT_GE(SamplesOf(op, 0).size(), 1u) << op.name;
  }
}

TEST(RegistryTest, AttributesRoundTrip) {
  for (const OpDef& op : AllOps()) {
    ASSERT_NE(op.parse_attrs, nullptr) << op.name;
    EXPECT_FALSE(op.parse_attrs("no_such_attribute=1").ok()) << op.name;
    for (const OpSample& sample : SamplesOf(op, 0)) {
      const auto parsed = op.parse_attrs(sample.attrs.ToText());
      ASSERT_TRUE(parsed.ok()) << op.name << ": " << Message(parsed.status());
      EXPECT_EQ(*parsed, sample.attrs) << op.name;
    }
  }
}

TEST(RegistryTest, KernelsWriteTheInferredResults) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.ToText());
    for (const auto& out :
         RunKernel<double>(*c.op, c.sample.attrs, BuffersOf<double>(c.operands), c.out)) {
      EXPECT_TRUE(out.IsExactlyWritten());
    }
    if (!c.sample.in.empty()) {
      EXPECT_FALSE(c.op->infer(c.sample.attrs, {}).ok());
    }
  }
}

TEST(RegistryTest, RulesGiveTheTypes) {
  for (const Case& c : Cases(/*only_kernels=*/false)) {
    SCOPED_TRACE(c.ToText());
    if (c.op->rule == nullptr) {
      EXPECT_NE(c.op->kind, OpKind::kCompute);
      continue;
    }
    IndexRule rule = c.op->rule(c.sample.attrs, c.sample.in);
    ASSERT_EQ(rule.results.size(), c.out.size());
    ASSERT_EQ(rule.operands.size(), c.sample.in.size());
    for (size_t r = 0; r < c.out.size(); ++r) {
      EXPECT_EQ(rule.ResultDims(static_cast<int>(r)), c.out[r].dims);
    }
    std::swap(rule.results, rule.operands);
    for (size_t k = 0; k < c.sample.in.size(); ++k) {
      EXPECT_EQ(rule.ResultDims(static_cast<int>(k)), c.sample.in[k].dims);
    }
  }
}

TEST(RegistryTest, CostsAreCounts) {
  std::map<std::string_view, std::set<std::string>> shapes;
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.ToText());
    OpCounts declared;
    if (c.op->cost != nullptr) declared = c.op->cost(c.sample.attrs, c.sample.in, c.out);
    const OpCounts counted = CountOps(*c.op, c.sample.attrs, c.operands, c.out);
    EXPECT_EQ(declared.mul_add, counted.mul_add);
    EXPECT_EQ(declared.compare, counted.compare);
    EXPECT_EQ(declared.divide_root, counted.divide_root);
    EXPECT_EQ(declared.transcendental, counted.transcendental);
    shapes[c.op->name].insert(c.ToText());
  }
  for (const auto& [name, texts] : shapes) EXPECT_GE(texts.size(), 3u) << name;
}

// Inner products of the cotangents with the derivative by each element of operand k.
std::vector<double> ComplexStepGradient(const Case& c, const std::vector<Tensor>& cotangents,
                                        size_t k) {
  auto in = BuffersOf<Complex>(c.operands);
  std::vector<double> gradient;
  for (int64_t i = 0; i < c.operands[k].elements(); ++i) {
    const Complex saved = in[k].floats()[i];
    in[k].floats()[i] = saved + Complex(0, kStep);
    const auto out = RunKernel<Complex>(*c.op, c.sample.attrs, in, c.out);
    in[k].floats()[i] = saved;
    double sum = 0;
    for (size_t r = 0; r < out.size(); ++r) {
      if (!IsFloat(c.out[r].dtype)) continue;
      for (int64_t j = 0; j < c.out[r].elements(); ++j) {
        sum += cotangents[r].Get(j) * out[r].floats()[j].imag() / kStep;
      }
    }
    gradient.push_back(sum);
  }
  return gradient;
}

// Runs the op's vjp as a graph: per operand its cotangent, or an empty tensor if it has none.
std::vector<Tensor> RunVjp(const Case& c, const std::vector<Tensor>& cotangents) {
  std::vector<bool> has_cotangent;
  std::vector<Tensor> inputs = c.operands;
  const Block block =
      BlockAround(*c.op, c.sample.attrs, c.sample.in, [&](BlockBuilder& b, const Node& node) {
        std::vector<ValueId> grads(c.out.size(), kNoValue), results;
        for (size_t r = 0; r < c.out.size(); ++r) {
          if (!IsFloat(c.out[r].dtype)) continue;
          grads[r] = b.Input("cotangent", c.out[r]);
          inputs.push_back(cotangents[r]);
        }
        const std::vector<ValueId> operand_grads = c.op->vjp(b, node, grads);
        SW_CHECK(operand_grads.size() == node.in.size(), "{} cotangents", operand_grads.size());
        for (ValueId grad : operand_grads) {
          has_cotangent.push_back(grad.valid());
          if (grad.valid()) results.push_back(grad);
        }
        return results;
      });
  std::vector<Tensor> run = RunBlock(block, inputs), results;
  size_t next = 0;
  for (bool has : has_cotangent) results.push_back(has ? std::move(run[next++]) : Tensor());
  return results;
}

void CheckVjp(const Case& c) {
  std::vector<Tensor> cotangents;
  for (size_t r = 0; r < c.out.size(); ++r) cotangents.push_back(RandomTensor(c.out[r], 77, r));
  const std::vector<Tensor> gradients = RunVjp(c, cotangents);
  for (size_t k = 0; k < c.operands.size(); ++k) {
    const bool has_cotangent = gradients[k].type() != Tensor().type();
    if (!IsFloat(c.sample.in[k].dtype)) {
      EXPECT_FALSE(has_cotangent) << "operand " << k;
      continue;
    }
    if (has_cotangent) {
      EXPECT_EQ(gradients[k].type().ToText(), c.sample.in[k].ToText()) << "operand " << k;
    }
    if (c.op->quantises) continue;
    const std::vector<double> expected = ComplexStepGradient(c, cotangents, k);
    const std::vector<double> actual =
        has_cotangent ? gradients[k].ToDoubles() : std::vector<double>(expected.size(), 0);
    EXPECT_LE(RelativeError(actual, expected), 1e-10) << "operand " << k;
  }
}

TEST(RegistryTest, VjpsAreDerivatives) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.ToText());
    if (!HasFloat(c.out)) continue;
    if (c.op->vjp != nullptr) {
      CheckVjp(c);
    } else {
      EXPECT_TRUE(!HasFloat(c.sample.in) || !c.op->no_vjp_reason.empty());
    }
  }
}

TEST(RegistryTest, StructuralVjpsHaveTheTypesOfOperands) {
  for (const Case& c : Cases(/*only_kernels=*/false)) {
    if (c.op->kind == OpKind::kCompute || c.out.empty()) continue;
    SCOPED_TRACE(c.ToText());
    ASSERT_NE(c.op->vjp, nullptr);
    BlockAround(*c.op, c.sample.attrs, c.sample.in, [&](BlockBuilder& b, const Node& node) {
      std::vector<ValueId> grads;
      for (const TensorType& type : c.out) grads.push_back(b.Input("cotangent", type));
      const std::vector<ValueId> operand_grads = c.op->vjp(b, node, grads);
      std::vector<ValueId> results;
      for (size_t k = 0; k < node.in.size(); ++k) {
        const bool is_float = IsFloat(c.sample.in[k].dtype);
        EXPECT_EQ(operand_grads[k].valid(), is_float) << "operand " << k;
        if (!is_float) continue;
        EXPECT_EQ(b.type(operand_grads[k]), c.sample.in[k]);
        results.push_back(operand_grads[k]);
      }
      return results;
    });
  }
}

// Adds what a shard computed to the whole: its part or, for a result that lacks the factor, a term
// of the sum or a candidate maximum.
void Combine(const FactoredTensor& layout, FactorRole role, const Tensor& piece, int64_t part,
             int64_t parts, Tensor& whole) {
  if (layout.has_factor()) return layout.Put(piece, part, parts, whole);
  if (part == 0) {
    whole = piece;
    return;
  }
  for (int64_t i = 0; i < whole.elements(); ++i) {
    const double a = whole.Get(i), b = piece.Get(i);
    whole.Set(i, role == FactorRole::kMax ? std::max(a, b) : a + b);
  }
}

// Shards do at least the work of the whole; a maximum over shards leaves one comparison per result
// to whoever joins them.
void CheckLocalCost(const Case& c, int64_t parts, const Attrs& attrs, Types in, Types out,
                    FactorRole role) {
  if (c.op->cost == nullptr) return;
  const int64_t joins = role == FactorRole::kMax ? c.out[0].elements() : 0;
  EXPECT_GE(parts * c.op->cost(attrs, in, out).total() + joins,
            c.op->cost(c.sample.attrs, c.sample.in, c.out).total());
}

void CheckSharded(const Case& c, const IndexRule& rule, int factor,
                  const std::vector<Tensor>& whole) {
  constexpr int64_t kParts = 2;
  std::vector<Tensor> combined;
  for (const TensorType& type : c.out) combined.emplace_back(type);
  for (int64_t part = 0; part < kParts; ++part) {
    std::vector<Tensor> in;
    std::vector<TensorType> in_types, out_types;
    for (size_t k = 0; k < c.operands.size(); ++k) {
      in.push_back(
          FactoredTensor(rule, rule.operands[k], factor).Take(c.operands[k], part, kParts));
      in_types.push_back(in.back().type());
    }
    for (size_t r = 0; r < c.out.size(); ++r) {
      const FactoredTensor layout(rule, rule.results[r], factor);
      out_types.push_back(layout.Take(Tensor(c.out[r]), part, kParts).type());
    }
    const Attrs attrs = LocalAttrs(*c.op, c.sample.attrs, in_types, out_types);
    const auto inferred = c.op->infer(attrs, in_types);
    ASSERT_TRUE(inferred.ok()) << Message(inferred.status());
    EXPECT_EQ(*inferred, out_types);
    const std::vector<Tensor> out = RunOnTensors(*c.op, attrs, in, out_types);
    for (size_t r = 0; r < out.size(); ++r) {
      Combine(FactoredTensor(rule, rule.results[r], factor), rule.factors[factor].role, out[r],
              part, kParts, combined[r]);
    }
    CheckLocalCost(c, kParts, attrs, in_types, out_types, rule.factors[factor].role);
  }
  for (size_t r = 0; r < whole.size(); ++r) {
    EXPECT_LE(RelativeError(combined[r], whole[r]), 1e-12) << "result " << r;
  }
}

TEST(RegistryTest, ShardsComputeTheWhole) {
  int checked = 0;
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.ToText());
    const IndexRule rule = c.op->rule(c.sample.attrs, c.sample.in);
    const std::vector<Tensor> whole = RunOnTensors(*c.op, c.sample.attrs, c.operands, c.out);
    for (size_t f = 0; f < rule.factors.size(); ++f) {
      if (rule.factors[f].role == FactorRole::kReplicate || rule.factors[f].size % 2 != 0) continue;
      SCOPED_TRACE(std::string("factor ") + rule.factors[f].name + " of " + rule.ToText());
      CheckSharded(c, rule, static_cast<int>(f), whole);
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(RegistryTest, DecompositionsEqualTheKernel) {
  int checked = 0;
  for (const Case& c : Cases()) {
    if (c.op->decompose == nullptr) continue;
    SCOPED_TRACE(c.ToText());
    const Block block =
        BlockAround(*c.op, c.sample.attrs, c.sample.in,
                    [&](BlockBuilder& b, const Node& node) { return c.op->decompose(b, node); });
    const std::vector<Tensor> fused = RunOnTensors(*c.op, c.sample.attrs, c.operands, c.out);
    const std::vector<Tensor> decomposed = RunBlock(block, c.operands);
    ASSERT_EQ(decomposed.size(), fused.size());
    for (size_t r = 0; r < fused.size(); ++r) {
      EXPECT_EQ(decomposed[r].type().ToText(), fused[r].type().ToText());
      EXPECT_LE(RelativeError(decomposed[r], fused[r]), 1e-10) << "result " << r;
    }
    ++checked;
  }
  EXPECT_GT(checked, 0);
}

TEST(RegistryTest, NarrowRunsRoundOncePerResult) {
  auto retyped = [](const std::vector<Tensor>& tensors, DType dtype) {
    std::vector<Tensor> out;
    for (const Tensor& tensor : tensors) {
      TensorType type = tensor.type();
      if (IsFloat(type.dtype)) type.dtype = dtype;
      out.push_back(Tensor::FromValues(type, tensor.ToDoubles()));
    }
    return out;
  };
  auto types = [](const std::vector<Tensor>& tensors) {
    std::vector<TensorType> out;
    for (const Tensor& tensor : tensors) out.push_back(tensor.type());
    return out;
  };
  int checked = 0;
  for (const Case& c : Cases()) {
    if (c.op->quantises) continue;  // rounds in the dtype of its operands, as Qwix does
    SCOPED_TRACE(c.ToText());
    const std::vector<Tensor> narrow = retyped(c.operands, DType::kBF16);
    const std::vector<Tensor> wide = retyped(narrow, DType::kF32);
    const auto narrow_out = c.op->infer(c.sample.attrs, types(narrow));
    const auto wide_out = c.op->infer(c.sample.attrs, types(wide));
    if (!narrow_out.ok() || !wide_out.ok()) continue;
    const auto actual = RunOnTensors(*c.op, c.sample.attrs, narrow, *narrow_out);
    const auto unrounded = RunOnTensors(*c.op, c.sample.attrs, wide, *wide_out);
    for (size_t r = 0; r < actual.size(); ++r) {
      EXPECT_EQ(actual[r], Tensor::FromValues(actual[r].type(), unrounded[r].ToDoubles()))
          << "result " << r;
    }
    ++checked;
  }
  EXPECT_GT(checked, 100);
}

}  // namespace
}  // namespace shardwise::test
