#include "sim/validate/layout.h"

#include <gtest/gtest.h>

#include <map>

namespace shardwise {
namespace {

using Values = std::vector<double>;

const std::map<std::string, Array>& Tensors() {
  static const std::map<std::string, Array> tensors = {
      {"m", {{2, 3}, {1, 2, 3, 4, 5, 6}}},
      {"n", {{2, 3}, {7, 8, 9, 10, 11, 12}}},
      {"row", {{1, 2}, {5, 6}}},
      {"cube", {{2, 2, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}},
      {"index", {{2, 3}, {3, 0, 1, 2, -1, 0}}},
      {"twice", {{2, 3}, {3, 0, 3, 2, -1, 0}}},
      {"mask", {{2}, {0, -INFINITY}}},
      {"empty", {{0, 3}, {}}},
      {"scalar", {{}, {4}}},
  };
  return tensors;
}

StatusOr<Array> Evaluated(const Source& source) {
  const Lookup lookup = [](const std::string& name) -> StatusOr<Array> {
    const auto found = Tensors().find(name);
    if (found == Tensors().end()) return InvalidArgument("no tensor '{}'", name);
    return found->second;
  };
  return Evaluate(source, lookup, lookup);
}

Source One(std::string tensor, std::vector<LayoutStep> steps) {
  return {.parts = {{std::move(tensor), std::move(steps)}}};
}

void ExpectArray(const Source& source, const Dims& dims, const Values& values) {
  const StatusOr<Array> array = Evaluated(source);
  ASSERT_TRUE(array.ok()) << Message(array.status());
  EXPECT_EQ(array->dims, dims);
  EXPECT_EQ(array->values, values);
}

void ExpectError(const Source& source, const std::string& text) {
  const StatusOr<Array> array = Evaluated(source);
  ASSERT_FALSE(array.ok());
  EXPECT_NE(Message(array.status()).find(text), std::string::npos) << Message(array.status());
}

TEST(Layout, Steps) {
  ExpectArray(One("m", {}), {2, 3}, {1, 2, 3, 4, 5, 6});
  ExpectArray(One("m", {TransposeMatrix()}), {3, 2}, {1, 4, 2, 5, 3, 6});
  // Element [i,j,k] is 6 i + 3 j + k; of the result [k,i,j].
  ExpectArray(One("cube", {PermuteDims{{2, 0, 1}}}), {3, 2, 2},
              {0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11});
  ExpectArray(One("m", {ReshapeTo{{3, 1, 2}}}), {3, 1, 2}, {1, 2, 3, 4, 5, 6});
  ExpectArray(One("m", {TakeRange{1, 1, 3}}), {2, 2}, {2, 3, 5, 6});
  ExpectArray(One("cube", {TakeRange{1, 1, 2}}), {2, 1, 3}, {3, 4, 5, 9, 10, 11});
  ExpectArray(One("m", {TakeRange{0, 2, 2}}), {0, 3}, {});
  ExpectArray(One("row", {RepeatDim{0, 3}}), {3, 2}, {5, 6, 5, 6, 5, 6});
  ExpectArray(One("mask", {EqualTo{0}}), {2}, {1, 0});
  ExpectArray(One("empty", {TransposeMatrix()}), {3, 0}, {});
  ExpectArray(One("scalar", {PermuteDims{{}}, ReshapeTo{{1}}}), {1}, {4});
  ExpectArray(One("m", {TransposeMatrix(), TakeRange{0, 1, 2}, ReshapeTo{{2}}}), {2}, {2, 5});
}

TEST(Layout, Indices) {
  ExpectArray(One("index", {MarkIndices{4}}), {2, 4}, {1, 1, 0, 1, 1, 0, 1, 0});
  ExpectArray(One("twice", {MarkIndices{4}}), {2, 4}, {1, 0, 0, 1, 1, 0, 1, 0});
  ExpectArray(One("m", {PlaceByIndex{"index", 4}}), {2, 4}, {2, 3, 0, 1, 6, 0, 4, 0});
  ExpectError(One("m", {PlaceByIndex{"index", 3}}), "index 3 among 3 places");
  ExpectError(One("m", {PlaceByIndex{"twice", 4}}), "index 3 twice in a row");
  ExpectError(One("m", {PlaceByIndex{"mask", 4}}), "4 places by indices of f64[2,3]");
  ExpectError(One("m", {PlaceByIndex{"none", 4}}), "no tensor 'none'");
}

TEST(Layout, Joins) {
  const std::vector<Part> parts = {{"m", {TransposeMatrix()}}, {"n", {TransposeMatrix()}}};
  ExpectArray({parts, Source::Join::kStack, 1}, {3, 2, 2}, {1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12});
  ExpectArray({parts, Source::Join::kStack, 2}, {3, 2, 2}, {1, 7, 4, 10, 2, 8, 5, 11, 3, 9, 6, 12});
  ExpectArray({parts, Source::Join::kConcatenate, 0}, {6, 2},
              {1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12});
  ExpectArray({{{"m"}, {"row", {ReshapeTo{{2, 1}}}}}, Source::Join::kConcatenate, 1}, {2, 4},
              {1, 2, 3, 5, 4, 5, 6, 6});
  ExpectArray({{{"m"}}, Source::Join::kStack, 0}, {1, 2, 3}, {1, 2, 3, 4, 5, 6});
  ExpectError({{{"m"}, {"row"}}, Source::Join::kConcatenate, 0}, "a join with other extents");
  ExpectError({{{"m"}, {"row"}}, Source::Join::kStack, 0}, "a join with other extents");
  ExpectError({{{"m"}}, Source::Join::kStack, 3}, "no place 3");
  ExpectError({{{"m"}}, Source::Join::kConcatenate, 2}, "dimension 2");
  ExpectError({{{"m"}, {"n"}}}, "2 parts without a join");
  ExpectError({}, "0 parts");
  EXPECT_EQ((Source{parts, Source::Join::kStack, 0}.Name()), "m and 1 more");
}

TEST(Layout, StepsThatDoNotFit) {
  ExpectError(One("m", {PermuteDims{{0, 0}}}), "m: a permutation that is none of f64[2,3]");
  ExpectError(One("m", {PermuteDims{{0}}}), "a permutation that is none");
  ExpectError(One("m", {ReshapeTo{{5}}}), "a reshape to 5 elements");
  ExpectError(One("m", {TakeRange{2, 0, 1}}), "dimension 2");
  ExpectError(One("m", {TakeRange{1, 2, 4}}), "range [2, 4)");
  ExpectError(One("m", {TakeRange{1, -1, 2}}), "range [-1, 2)");
  ExpectError(One("m", {RepeatDim{0, 3}}), "3 times dimension 0");
  ExpectError(One("none", {}), "no tensor 'none'");
}

TEST(Layout, WhatKeepsValues) {
  const Source moved = One("m", {TransposeMatrix(), ReshapeTo{{6}}, TakeRange{0, 0, 2}});
  EXPECT_TRUE(IsRelayout(moved) && KeepsValues(moved) && !MakesPredicate(moved));
  const Source placed = One("m", {PlaceByIndex{"index", 4}});
  EXPECT_TRUE(!IsRelayout(placed) && KeepsValues(placed) && !MakesPredicate(placed));
  EXPECT_FALSE(KeepsValues(One("row", {RepeatDim{0, 3}})));
  EXPECT_TRUE(MakesPredicate(One("mask", {EqualTo{0}})));
  EXPECT_TRUE(MakesPredicate(One("index", {MarkIndices{4}})));
  EXPECT_FALSE(KeepsValues(One("index", {MarkIndices{4}})));
}

}  // namespace
}  // namespace shardwise
