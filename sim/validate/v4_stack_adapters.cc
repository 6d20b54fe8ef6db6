// Adapters of whole DeepSeek-V4 layers and models.
#include <fmt/format.h>

#include "model/ops/builders.h"
#include "model/stacks/deepseek_v4.h"
#include "sim/validate/adapters.h"
#include "sim/validate/v4_golden.h"

namespace shardwise {
namespace {

constexpr double kNoTarget = -100;

// Inputs of all parameters of the model, in the order of V4Parameters.
StatusOr<std::vector<ValueId>> ModelParameters(BuiltCase& built, const V4GoldenModel& model) {
  struct Row {
    const char *ours, *theirs;
    std::vector<LayoutStep> steps;
  };
  const std::vector<Row> rows = {{"token_embedder.embedding", "embed_tokens.weight", {}},
                                 {"decoder.hc_head.hc_fn", "hc_head.hc_fn", {TransposeMatrix()}},
                                 {"decoder.hc_head.hc_base", "hc_head.hc_base", {}},
                                 {"decoder.hc_head.hc_scale", "hc_head.hc_scale", {}},
                                 {"decoder.decoder_norm.scale", "norm.weight", {}}};
  std::map<std::string, ValueId> values;
  for (const Row& row : rows) {
    SW_ASSIGN_OR_RETURN(values[row.ours],
                        built.Input(std::string("param.model.") + row.theirs, row.steps));
  }
  SW_ASSIGN_OR_RETURN(values["decoder.logits_dense.kernel"],
                      built.Input("param.lm_head.weight", {TransposeMatrix()}));
  for (size_t l = 0; l < model.layers.size(); ++l) {
    const V4Place place{.prefix = fmt::format("param.model.layers.{}.", l)};
    SW_ASSIGN_OR_RETURN(const auto layer,
                        V4ParameterInputs(built, model.config, model.layers[l], place));
    for (const auto& [name, v] : layer) values[fmt::format("decoder.layers_{}.{}", l, name)] = v;
  }
  std::vector<ValueId> parameters;
  for (const Parameter& p : V4Parameters(model.config)) {
    const auto found = values.find(p.name);
    if (found == values.end()) {
      return Unimplemented("{}: nothing fills '{}'", built.golden_case->path, p.name);
    }
    parameters.push_back(found->second);
  }
  return parameters;
}

// Inputs of the hash layers' tables, in the order of V4Tables.
StatusOr<std::vector<ValueId>> ModelTables(BuiltCase& built, const V4GoldenModel& model) {
  std::vector<ValueId> tables;
  for (size_t l = 0; l < model.layers.size(); ++l) {
    if (!model.layers[l].hash) continue;
    SW_ASSIGN_OR_RETURN(const ValueId table,
                        built.Input(fmt::format("param.model.layers.{}.mlp.gate.tid2eid", l)));
    tables.push_back(table);
  }
  return tables;
}

// The model compares token t with label t + 1, and takes the mean over the labels there are.
StatusOr<BatchValues> BatchOf(BuiltCase& built) {
  const GoldenCase& golden = *built.golden_case;
  SW_ASSIGN_OR_RETURN(const Array labels, GoldenArray(golden, "in.labels"));
  const int64_t length = labels.dims.back();
  std::vector<double> targets(labels.values.size()), weights(labels.values.size());
  double count = 0;
  for (size_t i = 0; i < targets.size(); ++i) {
    const bool last = static_cast<int64_t>(i) % length == length - 1;
    if (last || labels.values[i + 1] == kNoTarget) continue;
    targets[i] = labels.values[i + 1];
    weights[i] = 1;
    ++count;
  }
  built.Ignore("in.labels", "the targets are made of it");
  SW_ASSIGN_OR_RETURN(const V4Tokens tokens, V4TokenInputs(built, labels.dims));
  BatchValues batch;
  batch.inputs = tokens.ids;
  batch.positions = tokens.positions;
  batch.segments = tokens.segments;
  batch.targets = built.Constant("targets", {labels.dims, DType::kI32}, std::move(targets));
  const ValueId counted =
      built.Constant("weights", {labels.dims, golden.dtype}, std::move(weights));
  batch.weights = Scale(built.builder, counted, 1 / count);
  return batch;
}

// A stack of our model tells the kinds of its layers by their ratios, and has hash layers first.
Status CheckStack(const GoldenCase& golden, const std::vector<V4LayerKind>& layers) {
  for (size_t l = 0; l < layers.size(); ++l) {
    const bool unordered = l > 0 && layers[l].hash && !layers[l - 1].hash;
    if (layers[l] == V4LayerKind{layers[l].ratio, layers[l].hash} && !unordered) continue;
    return Unimplemented("{}: layer {} is of a kind the stack has not there", golden.path, l);
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<BuiltCase> BuildV4Layer(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  const V4LayerKind kind = model.layers[0];
  SW_ASSIGN_OR_RETURN(const ValueId streams, built.Input("in.hidden_states"));
  const Dims dims = built.builder.type(streams).dims;
  SW_ASSIGN_OR_RETURN(auto parameters, V4ParameterInputs(built, model.config, kind, {}));
  SW_ASSIGN_OR_RETURN(const V4Tokens tokens, V4TokenInputs(built, {dims[0], dims[1]}));
  ValueId table = kNoValue;
  if (kind.hash) {
    SW_ASSIGN_OR_RETURN(table, built.Input("param.mlp.gate.tid2eid"));
  }
  V4RouterLoss loss;
  V4Layer layer(built.builder, built.blocks, model.config, std::move(parameters), tokens);
  built.Output(layer.Apply(kind, streams, table, loss), "out.y");
  IgnoreV4AttentionExtras(built);
  return built;
}

StatusOr<BuiltCase> BuildV4Model(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(V4GoldenModel model, ReadV4Model(golden));
  SW_RETURN_IF_ERROR(CheckStack(golden, model.layers));
  double& balance_weight = model.config.v4.load_balance_loss_weight;
  const bool balanced = golden.Find("out.aux_loss") != nullptr;
  if (balanced) {
    model.config.v4.balance_loss = BalanceLoss::kSwitch;
    SW_ASSIGN_OR_RETURN(balance_weight, golden.Number("router_aux_loss_coef"));
  }
  SW_ASSIGN_OR_RETURN(const std::vector<ValueId> parameters, ModelParameters(built, model));
  SW_ASSIGN_OR_RETURN(const std::vector<ValueId> tables, ModelTables(built, model));
  SW_ASSIGN_OR_RETURN(const BatchValues batch, BatchOf(built));
  const V4LossResults results =
      BuildV4Loss(built.builder, built.blocks, model.config, parameters, tables, batch);
  built.policies = V4RematPolicies(model.config);
  const std::vector<LayoutStep> scalar = {ReshapeTo{{}}};
  built.Output(results.loss, "out.loss", scalar);
  if (balanced) {
    built.Output(Scale(built.builder, results.balance, 1 / balance_weight), "out.aux_loss", scalar);
  }
  built.Output(results.logits, "out.logits");
  built.Output(results.hidden, "out.final_norm");
  built.Output(results.collapsed, "out.hyper_head");
  for (size_t l = 0; l < results.group_streams.size(); ++l) {
    built.Output(results.group_streams[l], fmt::format("out.layer{}", l));
  }
  return built;
}

}  // namespace shardwise
