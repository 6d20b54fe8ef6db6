#include "kernels/base/tensor.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "kernels/base/embedded.h"
#include "kernels/base/quantity.h"
#include "kernels/base/random.h"
#include "kernels/base/status.h"

namespace shardwise {
namespace {

Tensor Counted(Dims dims, DType dtype = DType::kF64) {
  Tensor tensor({std::move(dims), dtype});
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.Set(i, static_cast<double>(i % 100));
  return tensor;
}

TEST(TensorTest, BoxesTileATensor) {
  const bool passed = rc::check("cutting and pasting boxes", [] {
    const Dims parts = {*rc::gen::inRange(1, 4), *rc::gen::inRange(1, 4), *rc::gen::inRange(1, 3)};
    const Dims box = {*rc::gen::inRange(1, 4), *rc::gen::inRange(1, 3), *rc::gen::inRange(1, 5)};
    const DType dtype = *rc::gen::elementOf(std::vector<DType>{DType::kF64, DType::kBF16});
    Dims full(3);
    for (int d = 0; d < 3; ++d) full[d] = parts[d] * box[d];
    const Tensor whole = Counted(full, dtype);
    Tensor rebuilt({full, dtype});
    for (int64_t i = 0; i < parts[0]; ++i) {
      for (int64_t j = 0; j < parts[1]; ++j) {
        for (int64_t k = 0; k < parts[2]; ++k) {
          const Dims start = {i * box[0], j * box[1], k * box[2]};
          Tensor part({box, dtype});
          CopyBoxOut(whole, start, part);
          RC_ASSERT(part.Get(0) == whole.Get((start[0] * full[1] + start[1]) * full[2] + start[2]));
          CopyBoxIn(part, start, rebuilt);
        }
      }
    }
    RC_ASSERT(rebuilt == whole);
  });
  EXPECT_TRUE(passed);
}

TEST(TensorTest, ViewsFollowStrides) {
  std::vector<double> data = {0, 1, 2, 3, 4, 5};
  const View<double> rows(data.data(), {2, 3});
  const View<double> columns(data.data(), {3, 2}, {1, 3});
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) EXPECT_EQ(rows(i, j), columns(j, i));
  }
}

TEST(TensorTest, ScalarsHaveOneElement) {
  EXPECT_EQ(Tensor({{}, DType::kF32}).elements(), 1);
  EXPECT_EQ((TensorType{{}, DType::kF32}).ToText(), "f32[]");
  EXPECT_EQ((TensorType{{2, 3}, DType::kBF16}).ToText(), "bf16[2,3]");
}

TEST(QuantityTest, DurationsRoundUp) {
  EXPECT_EQ((Bytes{1} / ByteRate{1e12}).ps, 1);
  EXPECT_EQ((Flops{3} / FlopRate{2e12}).ps, 2);
  EXPECT_DOUBLE_EQ((Duration{5} + Duration{7}).seconds(), 12e-12);
}

// Known answer of Philox4x32-10 (Random123's kat_vectors: zero counter, zero key).
TEST(RandomTest, PhiloxKnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(RandomTest, NormalHasUnitMoments) {
  double sum = 0, squares = 0;
  constexpr int kCount = 20000;
  for (int i = 0; i < kCount; ++i) {
    const double x = RandomNormal(7, 3, i);
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 4 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1, 6 / std::sqrt(kCount));
}

StatusOr<int> Half(int x) {
  if (x % 2 != 0) return InvalidArgument("{} is odd", x);
  return x / 2;
}
Status Quarter(int x, int& out) {
  SW_ASSIGN_OR_RETURN(const int half, Half(x));
  SW_ASSIGN_OR_RETURN(out, Half(half));
  return absl::OkStatus();
}

TEST(StatusTest, ErrorsPassThrough) {
  int out = 0;
  EXPECT_TRUE(Quarter(8, out).ok());
  EXPECT_EQ(out, 2);
  EXPECT_EQ(Message(Quarter(6, out)), "3 is odd");
}

TEST(EmbeddedTest, FindsWhatIsListed) {
  const auto files = ListEmbedded("configs/");
  ASSERT_FALSE(files.empty());
  for (const EmbeddedFile& file : files) EXPECT_EQ(FindEmbedded(file.path), file.text);
  EXPECT_FALSE(FindEmbedded("configs/none").has_value());
}

}  // namespace
}  // namespace shardwise
