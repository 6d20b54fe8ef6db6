#include "model/stacks/deepseek_v4_parameters.h"

#include <gtest/gtest.h>

#include <map>

namespace shardwise {
namespace {

using Axes = std::vector<std::string>;

std::map<std::string, Axes> LayerAxes(bool as_maxtext) {
  ModelConfig c;
  c.as_maxtext = as_maxtext;
  std::map<std::string, Axes> axes;
  for (const V4LayerParameter& p : V4LayerParameters(c, {4, false})) axes[p.name] = p.axes;
  return axes;
}

TEST(V4Parameters, OnlyMaxTextsOwnAreWholeUnderFsdp) {
  const std::map<std::string, Axes> own = LayerAxes(false), maxtext = LayerAxes(true);
  const std::map<std::string, std::pair<Axes, Axes>> differ = {
      {"self_attention.o_a_proj.kernel",
       {{"o_groups", "q_heads", "embed"}, {"o_groups", "q_heads", "o_lora_up_proj"}}},
      {"self_attention.csa_compressor.position_bias", {{"", "embed"}, {"", ""}}},
      {"self_attention.csa_compressor.indexer.position_bias", {{"", "embed"}, {"", ""}}},
      {"mhc_attention.pre_alpha", {{"embed", ""}, {"activation_embed", ""}}},
      {"mhc_attention.post_alpha", {{"embed", ""}, {"activation_embed", ""}}},
      {"mhc_attention.res_alpha", {{"embed", ""}, {"activation_embed", ""}}},
      {"mhc_mlp.pre_alpha", {{"embed", ""}, {"activation_embed", ""}}},
      {"mhc_mlp.post_alpha", {{"embed", ""}, {"activation_embed", ""}}},
      {"mhc_mlp.res_alpha", {{"embed", ""}, {"activation_embed", ""}}}};
  ASSERT_EQ(own.size(), maxtext.size());
  for (const auto& [name, axes] : own) {
    const auto expected = differ.find(name);
    const bool differs = expected != differ.end();
    EXPECT_EQ(axes, differs ? expected->second.first : maxtext.at(name)) << name;
    EXPECT_EQ(maxtext.at(name), differs ? expected->second.second : axes) << name;
  }
}

}  // namespace
}  // namespace shardwise
