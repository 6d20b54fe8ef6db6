// Adapters of DeepSeek-V4's rotation, compressors, indexer and attention.
#include "model/ops/deepseek_builders.h"
#include "model/stacks/deepseek_v4_attention.h"
#include "sim/validate/adapters.h"
#include "sim/validate/v4_golden.h"

namespace shardwise {
namespace {

// [b,s] of h [b,s,D].
Dims TokensOf(const BuiltCase& built, ValueId h) {
  const Dims& dims = built.builder.type(h).dims;
  return {dims[0], dims[1]};
}

// The pooling of a case of one compressor: h and its tokens, the layer and its core.
struct Compressor {
  static StatusOr<Compressor> Of(const V4GoldenModel& model, BuiltCase& built,
                                 const std::string& module) {
    const V4LayerKind kind = model.layers[0];
    SW_ASSIGN_OR_RETURN(const ValueId h, built.Input("in.hidden_states"));
    SW_ASSIGN_OR_RETURN(auto parameters,
                        V4ParameterInputs(built, model.config, kind, {.module = module}));
    SW_ASSIGN_OR_RETURN(const V4Tokens tokens, V4TokenInputs(built, TokensOf(built, h)));
    return Compressor{
        h, tokens,
        V4Layer(built.builder, built.blocks, model.config, std::move(parameters), tokens),
        V4AttentionCore(built.builder, model.config, kind)};
  }

  ValueId Visible() { return core.Visible(tokens.positions, tokens.rows, tokens.segments); }
  V4Selection Select(ValueId latent) {
    return core.Select(layer.IndexInputs(h, latent), tokens.positions, tokens.rows, Visible());
  }

  ValueId h;
  V4Tokens tokens;
  V4Layer layer;
  V4AttentionCore core;
};

}  // namespace

// x [1,h,s,d]: the modules have heads before tokens.
StatusOr<BuiltCase> BuildV4Rope(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  if (golden.kind != "rope.main" && golden.kind != "rope.compress") {
    return Unimplemented("{}: no rotation '{}'", golden.path, golden.kind);
  }
  // All layers with compressed entries, of whatever ratio, have the one table, others the other.
  const V4LayerKind kind{golden.kind == "rope.main" ? 0 : 1};
  const std::vector<LayoutStep> swap = {PermuteDims{{0, 2, 1, 3}}};
  SW_ASSIGN_OR_RETURN(const ValueId x, built.Input("in.x", swap));
  SW_ASSIGN_OR_RETURN(const ValueId positions, built.Input("in.position_ids"));
  V4AttentionCore core(built.builder, model.config, kind);
  built.Output(core.Rotate(x, positions, false), "out.y", swap);
  built.Output(core.Rotate(x, positions, true), "out.y_inverse", swap);
  for (const char* name : {"out.inv_freq", "out.cos", "out.sin"}) {
    built.Ignore(name, "rotation is one op");
  }
  return built;
}

StatusOr<BuiltCase> BuildV4Compressor(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(Compressor c, Compressor::Of(model, built, "self_attn.compressor."));
  const bool csa = model.layers[0].overlapping;
  const std::string path =
      csa ? "self_attention.csa_compressor." : "self_attention.hca_compressor.";
  const ValueId entries =
      c.core.Pool(c.layer.PoolInputs(path, c.h), c.tokens.positions, c.tokens.rows);
  built.Output(entries, "out.compressed_kv", {ReshapeTo{built.builder.type(entries).dims}});
  ValueId seen = c.Visible();
  if (csa) {
    SW_ASSIGN_OR_RETURN(const ValueId latent, built.Input("in.q_residual"));
    const V4Selection selection = c.Select(latent);
    built.Output(selection.indices, "out.top_k_indices");
    seen = IndexMask(built.builder, selection.indices, built.builder.type(seen).dims[2]);
  } else {
    built.Ignore("in.q_residual", "there is no indexer");
  }
  // 0 where a query sees the entry, else -inf.
  built.Output(seen, "out.block_bias", {EqualTo{0}, ReshapeTo{built.builder.type(seen).dims}});
  return built;
}

StatusOr<BuiltCase> BuildV4Indexer(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(Compressor c, Compressor::Of(model, built, "self_attn.compressor.indexer."));
  SW_ASSIGN_OR_RETURN(const ValueId latent, built.Input("in.q_residual"));
  const V4Selection selection = c.Select(latent);
  built.Output(selection.scores, "out.index_scores");
  built.Output(selection.indices, "out.top_k_indices");
  return built;
}

StatusOr<BuiltCase> BuildV4Attention(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  const V4LayerKind kind = model.layers[0];
  SW_ASSIGN_OR_RETURN(Compressor c, Compressor::Of(model, built, "self_attn."));
  const V4AttentionInputs in = c.layer.AttentionInputs(kind, c.h);
  const ValueId o = V4Attend(built.builder, built.blocks, model.config, kind, in);
  built.Output(c.layer.OutputProjection(o), "out.attn_output");
  if (in.index) {
    const V4Selection selection =
        c.core.Select(*in.index, c.tokens.positions, c.tokens.rows, c.Visible());
    built.Output(selection.indices, "out.top_k_indices");
  }
  IgnoreV4AttentionExtras(built);
  return built;
}

}  // namespace shardwise
