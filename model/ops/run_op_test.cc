#include "model/ops/run_op.h"

#include <gtest/gtest.h>

#include "model/ops/builders.h"
#include "model/ops/op_test_util.h"

namespace shardwise::test {
namespace {

Attrs Parsed(std::string_view op, std::string_view text) {
  auto attrs = FindOp(op)->parse_attrs(text);
  SW_CHECK(attrs.ok(), "{}", Message(attrs.status()));
  return *attrs;
}

Tensor RunNamed(std::string_view op, std::string_view attrs, const std::vector<Tensor>& in,
                TensorType out) {
  return RunOnTensors(*FindOp(op), Parsed(op, attrs), in, std::vector<TensorType>{std::move(out)})
      .at(0);
}

TEST(RunOpTest, SumsOfBF16AccumulateInF32) {
  // 256 ones and then 256 more: a bf16 accumulator would stop at 256, where 1 is half an ulp.
  const Tensor ones = Tensor::FromValues({{512}, DType::kBF16}, std::vector<double>(512, 1.0));
  EXPECT_EQ(RunNamed("reduce_sum", "axes=[0]", {ones}, {{}, DType::kBF16}).Get(0), 512);
  EXPECT_EQ(RunNamed("einsum", R"(equation="k,k->")", {ones, ones}, {{}, DType::kBF16}).Get(0),
            512);
}

TEST(RunOpTest, AWideResultOfNarrowOperandsIsNotRounded) {
  const Tensor x = Tensor::FromValues({{2}, DType::kBF16}, {1, 0x1p-7});
  EXPECT_EQ(RunNamed("einsum", R"(equation="k,k->")", {x, x}, {{}, DType::kBF16}).Get(0), 1);
  EXPECT_EQ(RunNamed("einsum", R"(equation="k,k->" out="f32")", {x, x}, {{}, DType::kF32}).Get(0),
            1 + 0x1p-14);
}

TEST(RunOpTest, ConvertRoundsOnceFromF64) {
  // Rounding to f32 first would give a tie, and then 1.
  const double just_above_tie = 1 + 0x1p-8 + 0x1p-40;
  const Tensor x = Tensor::FromValues({{1}, DType::kF64}, {just_above_tie});
  EXPECT_EQ(RunNamed("convert", "dtype=bf16", {x}, {{1}, DType::kBF16}).Get(0), 1 + 0x1p-7);
}

TEST(RunOpTest, IntegersAndPredicatesPass) {
  const Tensor ids = Tensor::FromValues({{3}, DType::kI32}, {2, 0, 16777217});
  const Tensor zero = Tensor::FromValues({{3}, DType::kI32}, {0, 0, 16777216});
  const Tensor greater = RunNamed("compare", R"(direction="GT")", {ids, zero}, {{3}, DType::kBool});
  EXPECT_EQ(greater.ToDoubles(), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(RunNamed("select", "", {greater, ids, zero}, {{3}, DType::kI32}).ToDoubles(),
            (std::vector<double>{2, 0, 16777217}));
}

TEST(RunOpTest, IdentityKindsCopy) {
  const Tensor x = RandomTensor({{3, 2}, DType::kBF16}, 1, 0);
  EXPECT_EQ(RunNamed("checkpoint_name", R"(name="mlpwi")", {x}, x.type()), x);
  EXPECT_EQ(RunNamed("to_host", "", {x}, x.type()), x);
}

}  // namespace
}  // namespace shardwise::test
