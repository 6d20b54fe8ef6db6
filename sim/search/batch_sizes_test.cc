#include "sim/search/batch_sizes.h"

#include <gtest/gtest.h>

#include "model/ops/builders.h"

namespace shardwise {
namespace {

Attrs Parsed(const char* op, const char* text) { return *FindOp(op)->parse_attrs(text); }

TEST(SizeTableTest, SizesAreStraightLines) {
  SizeTable table(2, 10);
  const int local = table.Add(1, 5), affine = table.Add(130, 138), falling = table.Add(9, 1);
  EXPECT_EQ(table.Add(1, 5), local);
  std::vector<int64_t> sizes;
  ASSERT_TRUE(table.At(4, sizes));
  EXPECT_EQ(sizes[local], 2);
  EXPECT_EQ(sizes[affine], 132);
  EXPECT_EQ(sizes[falling], 7);
  EXPECT_FALSE(table.At(5, sizes));   // 2.5
  EXPECT_FALSE(table.At(12, sizes));  // outside
  EXPECT_FALSE(table.At(0, sizes));
}

TEST(AttrsPatternTest, PutsSizesIntoText) {
  SizeTable table(1, 4);
  const Attrs low = Parsed("full", "shape=[8,4096] dtype=f32 value=-1e-05");
  const Attrs high = Parsed("full", "shape=[32,4096] dtype=f32 value=-1e-05");
  const auto pattern = AttrsPattern::Between(FindOp("full"), low, high, table);
  ASSERT_TRUE(pattern.has_value());
  std::vector<int64_t> sizes;
  ASSERT_TRUE(table.At(2, sizes));
  EXPECT_EQ(pattern->At(sizes), Parsed("full", "shape=[16,4096] dtype=f32 value=-1e-05"));
}

TEST(AttrsPatternTest, RefusesOtherDifferences) {
  SizeTable table(1, 4);
  const auto between = [&](const char* op, const char* low, const char* high) {
    return AttrsPattern::Between(FindOp(op), Parsed(op, low), Parsed(op, high), table).has_value();
  };
  EXPECT_FALSE(between("scale", "factor=0.5", "factor=0.25"));
  EXPECT_FALSE(between("full", "shape=[8] dtype=f32 value=1", "shape=[8] dtype=bf16 value=1"));
  EXPECT_FALSE(between("full", "shape=[8] dtype=f32 value=1", "shape=[8,8] dtype=f32 value=1"));
  EXPECT_TRUE(between("full", "shape=[8] dtype=f32 value=1", "shape=[9] dtype=f32 value=3"));
}

TEST(CompareSizesTest, KeepsConstantsOfPointwiseArithmetic) {
  const auto program = [](int64_t batch) {
    BlockBuilder b("step");
    const ValueId x = b.Input("x", {{batch, 16}, DType::kF32});
    BlockOutput output;
    output.value = Scale(b, x, 1.0 / static_cast<double>(batch));
    return Program{{std::move(b).Finish({output})}};
  };
  const Program low = program(2), high = program(6);
  SizeTable table(2, 6);
  const auto sizes = CompareSizes(low, high, table);
  ASSERT_TRUE(sizes.has_value());
  EXPECT_EQ(sizes->extents.size(), 2u);
  ASSERT_EQ(sizes->constants.size(), 1u);
  std::vector<int64_t> values;
  ASSERT_TRUE(table.At(4, values));
  Program made = low;
  sizes->Apply(values, sizes->AttrsAt(values), made);
  EXPECT_EQ(made.entry().types, program(4).entry().types);
}

}  // namespace
}  // namespace shardwise
