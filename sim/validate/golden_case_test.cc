#include "sim/validate/golden_case.h"

#include <gtest/gtest.h>

#include <limits>

#include "sim/validate/test_files.h"

namespace shardwise {
namespace {

using testing::SafetensorsWriter;
using testing::WriteFile;

using Values = std::vector<double>;

SafetensorsWriter WithMetadata() {
  SafetensorsWriter writer;
  writer.Meta("case", "scale.by.7.f64").Meta("module", "a product").Meta("source", "here");
  writer.Meta("torch", "none").Meta("seed", "5").Meta("convention", "hf").Meta("notes", "");
  writer.Meta("dtype_mode", "float64").Meta("grad_none", R"(["param.unused"])");
  writer.Meta("topk_margin", "inf").Meta("kink_margin", "1.5e-03").Meta("fd_rel_error", "2e-12");
  writer.Meta("config", R"({"heads":4,"eps":1e-6,"kinds":["a","b"],"act":"silu",)"
                        R"("rope":{"main":{"theta":10000}},"mixed":["a",1]})");
  return writer;
}

SafetensorsWriter Whole() {
  SafetensorsWriter writer = WithMetadata();
  writer.Add<double>("in.x", "F64", "[2]", {1, 2}).Add<int64_t>("in.ids", "I64", "[1]", {-100});
  writer.Add<double>("param.w", "F64", "[1]", {3}).Add<double>("param.unused", "F64", "[1]", {3});
  writer.Add<double>("out.y", "F64", "[2]", {3, 6}).Add<double>("cot.y", "F64", "[2]", {1, -1});
  writer.Add<double>("grad.in.x", "F64", "[2]", {3, -3});
  writer.Add<double>("grad.param.w", "F64", "[1]", {-1});
  writer.Add<double>("grad.param.unused", "F64", "[1]", {0});
  return writer;
}

std::string ErrorOf(const SafetensorsWriter& writer) {
  const StatusOr<GoldenCase> read = ReadGoldenCase(WriteFile("case", writer.Bytes()));
  return read.ok() ? "" : Message(read.status());
}

#define EXPECT_ERROR(writer, text) \
  EXPECT_NE(ErrorOf(writer).find(text), std::string::npos) << ErrorOf(writer)

TEST(GoldenCase, Whole) {
  const StatusOr<GoldenCase> read = ReadGoldenCase(WriteFile("case", Whole().Bytes()));
  ASSERT_TRUE(read.ok()) << Message(read.status());
  EXPECT_EQ(read->name, "scale.by.7.f64");
  EXPECT_EQ(read->kind, "scale.by");
  EXPECT_EQ(read->dtype, DType::kF64);
  EXPECT_EQ(read->module, "a product");
  EXPECT_EQ(read->grad_none, std::set<std::string>{"param.unused"});
  EXPECT_EQ(read->topk_margin, std::numeric_limits<double>::infinity());
  EXPECT_EQ(read->kink_margin, 1.5e-3);
  EXPECT_EQ(read->fd_rel_error, 2e-12);
  EXPECT_EQ(read->tensors.size(), 9u);
  EXPECT_EQ(read->Find("out.y")->values, (Values{3, 6}));
  EXPECT_TRUE(read->Find("in.ids")->integer);
  EXPECT_FALSE(read->Find("in.x")->integer);
  EXPECT_EQ(read->Find("in.ids")->values, (Values{-100}));
  EXPECT_EQ(read->Find("out.z"), nullptr);
}

TEST(GoldenCase, Configuration) {
  const StatusOr<GoldenCase> read = ReadGoldenCase(WriteFile("case", Whole().Bytes()));
  ASSERT_TRUE(read.ok()) << Message(read.status());
  EXPECT_EQ(*read->Integer("heads"), 4);
  EXPECT_EQ(*read->Number("heads"), 4);
  EXPECT_EQ(*read->Number("eps"), 1e-6);
  EXPECT_EQ(*read->Text("act"), "silu");
  EXPECT_EQ(*read->Texts("kinds"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*read->Number("rope.main.theta"), 10000);
  EXPECT_NE(Message(read->Integer("eps").status()).find("'eps' of the configuration is no integer"),
            std::string::npos);
  EXPECT_FALSE(read->Integer("tails").ok());
  EXPECT_FALSE(read->Integer("rope.main.theta.x").ok());
  EXPECT_FALSE(read->Integer("heads.x").ok());
  EXPECT_FALSE(read->Texts("mixed").ok());
  EXPECT_FALSE(read->Text("kinds").ok());
}

TEST(GoldenCase, Metadata) {
  EXPECT_EQ(ErrorOf(Whole().Drop("fd_rel_error")), "");
  EXPECT_EQ(ErrorOf(Whole().Meta("plain_double_deviation", "1e-7")), "");
  EXPECT_ERROR(Whole().Meta("colour", "red"), "unknown metadata \"colour\"");
  for (const char* key : {"case", "module", "source", "torch", "seed", "config", "convention",
                          "notes", "dtype_mode", "grad_none", "topk_margin", "kink_margin"}) {
    EXPECT_ERROR(Whole().Drop(key), fmt::format("no metadata '{}'", key));
  }
  EXPECT_ERROR(Whole().Meta("convention", "official"), "convention \"official\"");
  EXPECT_ERROR(Whole().Meta("topk_margin", "wide"), "no number");
  EXPECT_ERROR(Whole().Meta("kink_margin", "1 "), "no number");
  EXPECT_ERROR(Whole().Meta("config", "[1]"), "no JSON map");
  EXPECT_ERROR(Whole().Meta("config", R"({"a":NaN})"), "metadata 'config': byte 5");
  EXPECT_ERROR(Whole().Meta("grad_none", "{}"), "no JSON list");
  EXPECT_ERROR(Whole().Meta("grad_none", "[3]"), "grad_none names \"\"");
  for (const char* name : {"", "scale", "scale.7.f64", ".f64", "scale.by.x.f64", "scale.by..f64"}) {
    EXPECT_ERROR(Whole().Meta("case", name), "is no name of a case");
  }
  EXPECT_ERROR(Whole().Meta("case", "scale.by.7"), "is F64 in a case of F32");
}

TEST(GoldenCase, TensorsThatDoNotBelongTogether) {
  EXPECT_ERROR(Whole().Add<double>("weight", "F64", "[1]", {1}), "none of in, param, out, cot");
  EXPECT_ERROR(Whole().Add<double>("grad.out.y", "F64", "[1]", {1}), "none of in, param, out, cot");
  EXPECT_ERROR(Whole().Add<double>("cot.z", "F64", "[1]", {1}), "\"cot.z\" without \"out.z\"");
  EXPECT_ERROR(Whole().Add<double>("grad.in.z", "F64", "[1]", {1}), "without \"in.z\"");
  EXPECT_ERROR(Whole().Add<double>("grad.in.ids", "F64", "[1]", {1}), "of integers");
  EXPECT_ERROR(Whole()
                   .Add<double>("out.z", "F64", "[2,1]", {1, 2})
                   .Add<double>("cot.z", "F64", "[1,2]", {1, 2}),
               "\"cot.z\" and \"out.z\" differ in shape");
  EXPECT_ERROR(Whole().Add<float>("in.z", "F32", "[1]", {1}), "\"in.z\" is F32 in a case of F64");
  EXPECT_ERROR(Whole().Meta("grad_none", R"(["param.w"])"), "whose gradient is not zero");
  EXPECT_ERROR(Whole().Meta("grad_none", R"(["in.ids"])"), "which has no gradient");
}

}  // namespace
}  // namespace shardwise
