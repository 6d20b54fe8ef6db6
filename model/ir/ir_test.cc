#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "model/ir/builder.h"
#include "model/ir/index_rule.h"
#include "model/ir/mesh.h"
#include "model/ir/passes.h"
#include "model/ir/text.h"
#include "model/ir/verify.h"
#include "model/ops/builders.h"

namespace shardwise {
namespace {

struct AllFields {
  int64_t i = 0;
  double d = 0;
  bool b = false;
  std::string s;
  DType t = DType::kF32;
  std::vector<int64_t> is;
  std::vector<std::string> ss;
  void VisitFields(auto&& v) {
    v("i", i);
    v("d", d);
    v("b", b);
    v("s", s);
    v("t", t);
    v("is", is);
    v("ss", ss);
  }
};

TEST(AttrsTest, TextRoundTrips) {
  const bool passed =
      rc::check("attributes", [](int64_t i, double d, bool b, std::vector<int64_t> is) {
        RC_PRE(std::isfinite(d));
        auto word =
            rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab \"\\=,[]{}()")));
        AllFields fields{
            i,  d, b, *word, *rc::gen::elementOf(std::vector(kAllDTypes.begin(), kAllDTypes.end())),
            is, {}};
        for (int n = *rc::gen::inRange(0, 3); n > 0; --n) {
          fields.ss.push_back(*rc::gen::container<std::string>(rc::gen::inRange('a', 'z')));
        }
        const Attrs attrs(fields);
        const auto parsed = ParseAttrs<AllFields>(attrs.ToText());
        RC_ASSERT(parsed.ok());
        RC_ASSERT(*parsed == attrs);
        RC_ASSERT(parsed->As<AllFields>().s == fields.s);
      });
  EXPECT_TRUE(passed);
}

TEST(AttrsTest, BadTextIsAnError) {
  for (const char* text : {"x=1", "i=one", "i", "s=\"open", "is=[1", "b=yes", "t=f99"}) {
    EXPECT_FALSE(ParseAttrs<AllFields>(text).ok()) << text;
  }
}

TEST(IndexRuleTest, SizesAndRolesFollowFromTheSpec) {
  const std::vector<TensorType> in = {{{2, 3, 20}, DType::kF32}, {{20, 8}, DType::kF32}};
  const std::pair<char, int64_t> h[] = {{'h', 4}};
  const IndexRule rule = MakeRule("bsk,k(hd)->bs(hd)", in, h);
  EXPECT_EQ(rule.ResultDims(0), (Dims{2, 3, 8}));
  EXPECT_EQ(rule.Points(), 2 * 3 * 20 * 8);
  EXPECT_EQ(rule.factors[rule.FindFactor('k')].role, FactorRole::kSum);
  EXPECT_EQ(rule.factors[rule.FindFactor('d')].size, 2);
  EXPECT_EQ(rule.ToText(), "([b],[s],[k]),([k],[h d])->([b],[s],[h d]) b=2 s=3 k=20:sum h=4 d=2");
}

TEST(MeshTest, ShardsTileTheTensor) {
  const Mesh mesh{{{"data", 2}, {"fsdp", 3}, {"tensor", 2}}};
  const TensorType global{{12, 4}, DType::kF64};
  const Sharding sharding{{{1, 0}, {2}}};
  EXPECT_EQ(LocalType(global, sharding, mesh).dims, (Dims{2, 2}));
  EXPECT_EQ(Replication(sharding, mesh), 1);
  EXPECT_EQ(sharding.ToText(mesh), "P(('fsdp', 'data'), 'tensor')");
  Tensor covered(global);
  for (int64_t d = 0; d < mesh.devices(); ++d) {
    EXPECT_EQ(mesh.Device(mesh.Coordinates(d)), d);
    Tensor ones = Tensor::FromValues({{2, 2}, DType::kF64}, {1, 1, 1, 1});
    const Dims start = ShardStart(global, sharding, mesh, d);
    Tensor old({{2, 2}, DType::kF64});
    CopyBoxOut(covered, start, old);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(old.Get(i), 0);
    CopyBoxIn(ones, start, covered);
  }
  for (int64_t i = 0; i < covered.elements(); ++i) EXPECT_EQ(covered.Get(i), 1);
}

// x -> three times (x * w_i + x), stacking x * w_i; `again` makes the same product twice.
Program LoopProgram(bool again = false, int32_t region = 0) {
  BlockBuilder body("body");
  const ValueId x = body.Input("x", {{4}, DType::kF64}, Binding::kCarry);
  const ValueId w = body.Input("w", {{4}, DType::kF64}, Binding::kSlice, 1);
  const ValueId unused = body.Input("unused", {{2}, DType::kF64});
  const ValueId product = Mul(body, x, w);
  ValueId twin = product;
  if (again) {
    body.SetRegion(region);
    twin = Mul(body, x, w);
    body.SetRegion(0);
  }
  BlockOutput carry, stacked;
  carry.value = Add(body, product, twin);
  stacked.value = product;
  stacked.binding = Binding::kSlice;
  Program program;
  program.blocks.push_back(std::move(body).Finish({carry, stacked}));
  BlockBuilder entry("entry");
  const ValueId in = entry.Input("x", {{4}, DType::kF64});
  const ValueId stack = entry.Input("w", {{4, 3}, DType::kF64});
  const ValueId extra = entry.Input("extra", {{2}, DType::kF64});
  const auto out = entry.Call(program.blocks[0], 3, false, std::vector<ValueId>{in, stack, extra});
  Neg(entry, extra);
  BlockOutput result;
  result.value = out[0];
  program.blocks.push_back(std::move(entry).Finish({result}));
  (void)unused;
  return program;
}

size_t CountNodes(const Program& program, std::string_view op) {
  size_t count = 0;
  for (const Block& block : program.blocks) {
    for (const Node& node : block.nodes) count += node.op->name == op ? 1 : 0;
  }
  return count;
}

TEST(PassesTest, EqualNodesMergeButNeverAcrossRegions) {
  EXPECT_EQ(CountNodes(EliminateCommonSubexpressions(LoopProgram(true)), "mul"), 1u);
  EXPECT_EQ(CountNodes(EliminateCommonSubexpressions(LoopProgram(true, 1)), "mul"), 2u);
}

TEST(PassesTest, DeadCodeTrimsNodesAndCallInterfaces) {
  const Program clean = EliminateDeadCode(LoopProgram());
  EXPECT_EQ(CountNodes(clean, "neg"), 0u);
  EXPECT_EQ(clean.blocks[0].inputs.size(), 2u);   // the unused invariant is gone
  EXPECT_EQ(clean.blocks[0].outputs.size(), 1u);  // and the stack nobody reads
  EXPECT_EQ(clean.entry().inputs.size(), 3u);     // the entry keeps its interface
}

TEST(PassesTest, UnrollingKeepsOneCopyPerTrip) {
  const Program flat = Unroll(LoopProgram());
  EXPECT_EQ(flat.blocks.size(), 1u);
  EXPECT_EQ(CountNodes(flat, "mul"), 3u);
  EXPECT_EQ(CountNodes(flat, "loop_boundary"), 4u);
}

TEST(TextTest, RoundTripsAndRejects) {
  const std::string text = ToText(LoopProgram(true, 1));
  const auto parsed = ParseProgram(text);
  ASSERT_TRUE(parsed.ok()) << Message(parsed.status());
  EXPECT_EQ(ToText(*parsed), text);
  for (const char* bad :
       {"", "block", "block @a {", "block @a { out %0 carry \"x\" }",
        "block @a { %0: f32[2] = nothing{}() fwd }", "block @a { %0: f32[2] = neg{}(%1) fwd }",
        "block @a { in %0: f32[2] carry activation \"x\" %1: f32[3] = neg{}(%0) fwd }",
        "block @a { in %0: f32[-1] carry activation \"x\" }",
        "block @a { in %99999999999: f32[1] carry activation \"x\" }",
        "block @a { in %0: f32[4294967296,4294967296] carry activation \"x\" }",
        "block @a { in %0: f32[1] slice@2 activation \"x\" }",
        "block @a { in %0: f32[1] carry activation \"x\" out %0 slice@-1 \"y\" }",
        "block @a { in %0: f32[1] carry activation \"x\" donate 0->0 }",
        "block @a { in %0: f32[4611686018427387904,0] carry activation \"x\" %1: f32[0,0] = "
        "all_gather{axes=[\"x\"] group=4 dim=0}(%0) fwd }"}) {
    EXPECT_FALSE(ParseProgram(bad).ok()) << bad;
  }
  // Any prefix of a program is an error, never a crash.
  for (size_t n = 0; n + 2 < text.size(); n += 3) {
    EXPECT_FALSE(ParseProgram(std::string_view(text).substr(0, n)).ok());
  }
}

TEST(VerifyTest, NamesTheViolation) {
  Program program = LoopProgram();
  program.blocks[0].outputs[0].value = {99};
  EXPECT_NE(Message(Verify(program)).find("%99"), std::string::npos);
  program = LoopProgram();
  program.blocks[1].nodes[0].in.pop_back();
  EXPECT_NE(Message(Verify(program)).find("operands"), std::string::npos);
  program = LoopProgram();
  program.blocks[0].types[program.blocks[0].inputs[0].value.v].dims = {5};
  EXPECT_FALSE(Verify(program).ok());
}

}  // namespace
}  // namespace shardwise
