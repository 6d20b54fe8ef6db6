// Adapters of modules that are one op or two.
#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "sim/validate/adapters.h"

namespace shardwise {

StatusOr<BuiltCase> BuildRmsNorm(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const double epsilon, golden.Number("rms_norm_eps"));
  SW_ASSIGN_OR_RETURN(const ValueId x, built.Input("in.hidden_states"));
  SW_ASSIGN_OR_RETURN(const ValueId weight, built.Input("param.weight"));
  built.Output(RmsNorm(built.builder, x, weight, epsilon), "out.y");
  return built;
}

// A norm without weight is one whose weights are 1.
StatusOr<BuiltCase> BuildUnweightedRmsNorm(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const double epsilon, golden.Number("rms_norm_eps"));
  SW_ASSIGN_OR_RETURN(const ValueId x, built.Input("in.x"));
  const TensorType& type = built.builder.type(x);
  const ValueId ones = Full(built.builder, {{type.dims.back()}, type.dtype}, 1);
  built.Output(RmsNorm(built.builder, x, ones, epsilon), "out.y");
  return built;
}

// x [b,s,g,i], weight [g o,i]: row g o + j is column j of the matrix [i,o] of group g.
StatusOr<BuiltCase> BuildGroupedLinear(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const int64_t groups, golden.Integer("o_groups"));
  SW_ASSIGN_OR_RETURN(const int64_t columns, golden.Integer("o_lora_rank"));
  SW_ASSIGN_OR_RETURN(const ValueId x, built.Input("in.x"));
  const int64_t rows = built.builder.type(x).dims.back();
  SW_ASSIGN_OR_RETURN(
      const ValueId weight,
      built.Input("param.weight", {ReshapeTo{{groups, columns, rows}}, PermuteDims{{0, 2, 1}}}));
  built.Output(Einsum(built.builder, "bsgi,gio->bsgo", x, weight), "out.y");
  return built;
}

}  // namespace shardwise
