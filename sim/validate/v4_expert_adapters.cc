// Adapters of DeepSeek-V4's router, routed experts, shared expert and their sum.
#include "model/ops/deepseek_builders.h"
#include "sim/validate/adapters.h"
#include "sim/validate/v4_golden.h"

namespace shardwise {
namespace {

// A case of a module of the feed-forward part: its input x [b,s,D], its tokens, the table of a hash
// router, which a tensor `table_name` shows, and the layer.
struct FeedForward {
  static StatusOr<FeedForward> Of(const V4GoldenModel& model, BuiltCase& built,
                                  const std::string& x_name, const std::string& module,
                                  const std::string& table_name) {
    V4LayerKind kind = model.layers[0];
    kind.hash = built.golden_case->Find(table_name) != nullptr;
    SW_ASSIGN_OR_RETURN(const ValueId x, built.Input(x_name));
    const Dims dims = built.builder.type(x).dims;
    SW_ASSIGN_OR_RETURN(auto parameters,
                        V4ParameterInputs(built, model.config, kind, {.module = module}));
    SW_ASSIGN_OR_RETURN(const V4Tokens tokens, V4TokenInputs(built, {dims[0], dims[1]}));
    ValueId table = kNoValue;
    if (kind.hash) {
      SW_ASSIGN_OR_RETURN(table, built.Input(table_name));
    }
    return FeedForward{
        kind, x, table,
        V4Layer(built.builder, built.blocks, model.config, std::move(parameters), tokens)};
  }

  V4LayerKind kind;
  ValueId x, table;
  V4Layer layer;
};

}  // namespace

// Rows [T,...] of the module are our [b,s,...]; the order of a token's experts is fixed by the
// table of a hash router, and free without.
StatusOr<BuiltCase> BuildV4Router(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(FeedForward f, FeedForward::Of(model, built, "in.hidden_states", "mlp.gate.",
                                                     "param.tid2eid"));
  BlockBuilder& b = built.builder;
  const V4Routing routing = f.layer.Route(f.kind, f.x, f.table);
  const int64_t experts = model.config.v4.num_experts;
  const ReshapeTo dense{b.type(routing.logits).dims};
  built.Output(routing.logits, "out.router_logits", {dense});
  if (f.kind.hash) {
    built.Output(routing.indices, "out.top_k_index", {ReshapeTo{b.type(routing.indices).dims}});
  } else {
    built.Output(IndexMask(b, routing.indices, experts), "out.top_k_index",
                 {MarkIndices{experts}, dense});
  }
  built.Output(ScatterAddAlong(b, routing.weights, routing.indices, experts), "out.top_k_weights",
               {PlaceByIndex{"out.top_k_index", experts}, dense});
  return built;
}

// The module has rows [T,...]; ours are of one sequence.
StatusOr<BuiltCase> BuildV4Experts(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  const auto input = [&](const std::string& name) -> StatusOr<ValueId> {
    SW_ASSIGN_OR_RETURN(const Array rows, GoldenArray(golden, name));
    Dims dims = rows.dims;
    dims.insert(dims.begin(), 1);
    return built.Input(name, {ReshapeTo{dims}});
  };
  SW_ASSIGN_OR_RETURN(const ValueId x, input("in.hidden_states"));
  V4Routing routing;
  SW_ASSIGN_OR_RETURN(routing.indices, input("in.top_k_index"));
  SW_ASSIGN_OR_RETURN(routing.weights, input("in.top_k_weights"));
  SW_ASSIGN_OR_RETURN(auto parameters, V4ParameterInputs(built, model.config, model.layers[0],
                                                         {.module = "mlp.experts."}));
  V4Layer layer(built.builder, built.blocks, model.config, std::move(parameters), {});
  built.Output(layer.RoutedExperts(x, routing), "out.y", {ReshapeTo{built.builder.type(x).dims}});
  return built;
}

StatusOr<BuiltCase> BuildV4SharedExpert(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(FeedForward f,
                      FeedForward::Of(model, built, "in.x", "mlp.shared_experts.", ""));
  built.Output(f.layer.SharedExpert(f.x), "out.y");
  return built;
}

StatusOr<BuiltCase> BuildV4Moe(const GoldenCase& golden) {
  BuiltCase built(golden);
  SW_ASSIGN_OR_RETURN(const V4GoldenModel model, ReadV4Model(golden));
  SW_ASSIGN_OR_RETURN(FeedForward f, FeedForward::Of(model, built, "in.hidden_states", "mlp.",
                                                     "param.gate.tid2eid"));
  V4RouterLoss loss;
  built.Output(f.layer.Moe(f.kind, f.x, f.table, loss), "out.y");
  return built;
}

}  // namespace shardwise
