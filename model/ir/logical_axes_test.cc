#include "model/ir/logical_axes.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

namespace shardwise {
namespace {

using Names = std::vector<std::string>;

const Mesh kMesh{{{"data", 2}, {"fsdp", 4}, {"tensor", 2}, {"expert", 1}}};

TEST(PartitionSpecText, IsPythons) {
  EXPECT_EQ(SpecText({}), "P()");
  EXPECT_EQ(SpecText({{}}), "P(None,)");
  EXPECT_EQ(SpecText({{"fsdp"}}), "P('fsdp',)");
  EXPECT_EQ(SpecText({{"fsdp"}, {}, {"tensor", "expert"}}),
            "P('fsdp', None, ('tensor', 'expert'))");
}

TEST(ResolveNames, ARuleWithoutAxesEndsTheSearch) {
  const LogicalAxisRules rules = {{"kv", {}}, {"kv", {"tensor"}}};
  const LogicalResolution resolved = ResolveNames(Names{"kv"}, rules);
  EXPECT_EQ(resolved.spec, PartitionSpec(1));
  EXPECT_EQ(resolved.rule, std::vector<int>{0});
}

// Axes that split nothing still exclude each other: they go when the spec is done.
TEST(ResolveNames, AxesOfSizeOneAndForeignOnesAreUsedOnceToo) {
  const LogicalAxisRules rules = {{"exp", {"expert"}},
                                  {"embed", {"fsdp", "expert"}},
                                  {"mlp", {"stage"}},
                                  {"vocab", {"stage", "tensor"}},
                                  {"vocab", {"data"}}};
  const LogicalResolution resolved = ResolveNames(Names{"embed", "exp", "vocab", "mlp"}, rules);
  EXPECT_EQ(SpecText(resolved.spec), "P(None, 'expert', 'data', 'stage')");
  EXPECT_EQ(resolved.rule, (std::vector<int>{-1, 0, 4, 2}));
  EXPECT_EQ(SpecText(OnMesh(resolved.spec, kMesh)), "P(None, 'expert', 'data', None)");
  EXPECT_EQ(SpecText(WithoutSizeOneAxes(resolved.spec, kMesh)), "P(None, None, 'data', None)");
}

// Each dimension has the first rule of its name whose axes no earlier rule of the tensor took.
TEST(ResolveNames, EveryRuleAppliesWhereItCan) {
  const bool passed = rc::check("rules", [] {
    const Names axes = {"data", "fsdp", "tensor", "expert", "stage"};
    const Names logical = {"a", "b", "c", "d"};
    LogicalAxisRules rules;
    for (int r = *rc::gen::inRange(0, 12); r > 0; --r) {
      const auto chosen = *rc::gen::container<std::set<int>>(rc::gen::inRange(0, 5));
      Names named;
      for (int axis : chosen) named.push_back(axes[static_cast<size_t>(axis)]);
      rules.emplace_back(*rc::gen::elementOf(logical), named);
    }
    Names names = logical;
    names.resize(static_cast<size_t>(*rc::gen::inRange(0, 5)));
    const LogicalResolution resolved = ResolveNames(names, rules);
    std::set<std::string> used;
    for (size_t r = 0; r < rules.size(); ++r) {
      const auto& [name, rule_axes] = rules[r];
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) continue;
      const size_t dim = static_cast<size_t>(found - names.begin());
      const bool free = std::none_of(rule_axes.begin(), rule_axes.end(),
                                     [&](const auto& axis) { return used.count(axis) > 0; });
      const int applied = resolved.rule[dim];
      const bool earlier = applied >= 0 && applied < static_cast<int>(r);
      RC_ASSERT((applied == static_cast<int>(r)) == (free && !earlier));
      if (applied != static_cast<int>(r)) continue;
      RC_ASSERT(resolved.spec[dim] == rule_axes);
      used.insert(rule_axes.begin(), rule_axes.end());
    }
    for (size_t dim = 0; dim < names.size(); ++dim) {
      RC_ASSERT(resolved.rule[dim] >= 0 || resolved.spec[dim].empty());
    }
  });
  EXPECT_TRUE(passed);
}

}  // namespace
}  // namespace shardwise
