// Adapters of DeepSeek-V4's residual streams: hyper-connections and the hyper-head.
#include "sim/validate/adapters.h"
#include "sim/validate/v4_golden.h"

namespace shardwise {
namespace {

// The maps alone, or with the output of a sublayer mixed into the streams.
StatusOr<BuiltCase> BuildHyperConnection(const GoldenCase& golden, bool mix) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(const ValueId streams, built.Input("in.hidden_streams"));
  SW_ASSIGN_OR_RETURN(auto parameters, V4ParameterInputs(built, model.config, model.layers[0],
                                                         {.module = "attn_hc."}));
  V4Layer layer(built.builder, built.blocks, model.config, std::move(parameters), {});
  const V4Maps maps = layer.HyperMaps("mhc_attention", streams);
  built.Output(maps.post, "out.post");
  built.Output(maps.comb, "out.comb");
  built.Output(layer.Collapse(streams, maps.pre), "out.collapsed");
  if (mix) {
    SW_ASSIGN_OR_RETURN(const ValueId sublayer, built.Input("in.block_output"));
    built.Output(layer.Mix(streams, maps, sublayer), "out.mixed");
  } else {
    built.Output(maps.pre, "out.pre");
  }
  return built;
}

}  // namespace

StatusOr<BuiltCase> BuildV4HyperMaps(const GoldenCase& golden) {
  return BuildHyperConnection(golden, false);
}

StatusOr<BuiltCase> BuildV4HyperMix(const GoldenCase& golden) {
  return BuildHyperConnection(golden, true);
}

StatusOr<BuiltCase> BuildV4HyperHead(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(const ValueId streams, built.Input("in.x"));
  SW_ASSIGN_OR_RETURN(const ValueId fn, built.Input("param.hc_fn", {TransposeMatrix()}));
  SW_ASSIGN_OR_RETURN(const ValueId base, built.Input("param.hc_base"));
  SW_ASSIGN_OR_RETURN(const ValueId scale, built.Input("param.hc_scale"));
  built.Output(V4HyperHead(built.builder, model.config, streams, fn, base, scale), "out.y");
  return built;
}

}  // namespace shardwise
