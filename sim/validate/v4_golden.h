// DeepSeek-V4 golden cases in terms of our model: what configuration of ours a case was made with,
// and which golden tensors our parameters are.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/ir/model_config.h"
#include "model/stacks/deepseek_v4_layer.h"
#include "model/stacks/deepseek_v4_parameters.h"
#include "sim/validate/adapter.h"

namespace shardwise {

struct V4GoldenModel {
  ModelConfig config;  // no balance loss
  std::vector<V4LayerKind> layers;
};
// Unimplemented where the case was made with an option that our model does not have.
StatusOr<V4GoldenModel> ReadV4Model(const GoldenCase& golden);

// Where the parameters of a layer are found: those in the module whose names in the layer start
// with `module` ("self_attn.compressor.", or "" for the whole layer) are the golden tensors
// `prefix` and the rest of the name.
struct V4Place {
  std::string module = {}, prefix = "param.";
};
// Makes inputs of these parameters, by our names in the layer.
StatusOr<std::map<std::string, ValueId>> V4ParameterInputs(BuiltCase& built, const ModelConfig& c,
                                                           V4LayerKind kind, const V4Place& place);

// Positions and ids as the case has them (positions for one sequence, else 0, 1, ...; ids perhaps
// none), one document per sequence. `dims` is [b,s].
StatusOr<V4Tokens> V4TokenInputs(BuiltCase& built, const Dims& dims);

// Ignores what the modules are given, or give, that our graphs make themselves or do not have.
void IgnoreV4AttentionExtras(BuiltCase& built);

}  // namespace shardwise
