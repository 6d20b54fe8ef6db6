// v4-spec A.4 to A.7: hyper-connections, experts, the whole stack and the prediction module.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "model/ops/builders.h"
#include "tests/appendix_v4.h"

namespace shardwise::appendix {
namespace {

void ExpectSumOf(const Results& results, const std::vector<std::string>& names, const char* sum,
                 const char* magnitude) {
  double total = 0, size = 0;
  for (const std::string& name : names) {
    total += Sum(results.at(name));
    size += Magnitude(results.at(name));
  }
  ExpectPrinted(total, sum, size, names[0] + " ... sum");
  ExpectPrinted(size, magnitude, size, names[0] + " ... abs");
}

// Gradients of the three parts of a hyper-connection's `kind` ("_alpha", "_beta", ...).
std::vector<std::string> Parts(const std::string& wrapper, const std::string& kind) {
  std::vector<std::string> names;
  for (const char* part : {"pre", "post", "res"}) {
    names.push_back("grad." + wrapper + "." + part + kind);
  }
  return names;
}

TEST(AppendixA4, HyperConnection) {
  Module m(MiniConfig());
  std::map<std::string, ValueId> parameters;
  m.HyperConnection("mhc_attention", 601, 602, 603, parameters);
  const ValueId x = m.run.Input("X", DrawTensor({52}, {1, 3, 4, kWidth}));
  V4Layer layer = m.Layer(parameters, {});
  const V4Maps maps = layer.HyperMaps("mhc_attention", x);
  const ValueId u = layer.Collapse(x, maps.pre);
  const ValueId y = layer.Mix(x, maps, Square(m.run.builder(), u));
  m.run.Output("pre", maps.pre);
  m.run.Output("post", maps.post);
  m.run.Output("comb", maps.comb);
  const Results r = m.Finish(y);
  ExpectFirst(r, "pre", {"0.277685914992", "0.242164822514", "0.229480659092", "0.317037731697"});
  ExpectFirst(r, "post", {"0.35540650363", "0.365735653241", "1.77887363326", "1.8073333768"});
  ExpectFirst(r, "comb",
              {"0.0847858924772", "0.380422361316", "0.272490677377", "0.262300068843",
               "0.0983052733311", "0.0438505590958", "0.2514608227", "0.606382344936",
               "0.201704419843", "0.397175919102", "0.361244926573", "0.0398737344592",
               "0.615203414348", "0.178550160487", "0.11480257335", "0.0914428517622"});
  ExpectSums(r, "y", "4.92813405162", "14.2205356953");
  ExpectFirst(r, "y", {"-0.214770310122", "0.341446748253", "-0.185071650764", "0.0209167362436"});
  ExpectScalar(r, "loss", "0.524028672236");
  ExpectSums(r, "grad.X", "-0.165081719858", "20.8285942669");
  ExpectSumOf(r, Parts("mhc_attention", "_alpha"), "-0.049166363861", "28.312118912");
  ExpectSumOf(r, Parts("mhc_attention", "_beta"), "-0.09394743979", "1.00944441209");
  ExpectSumOf(r, Parts("mhc_attention", "_alpha_scale"), "-0.0626652724106", "0.353440240086");
}

TEST(AppendixA4, HyperHead) {
  Module m(MiniConfig());
  const ValueId x = m.run.Input("X", DrawTensor({53}, {1, 3, 4, kWidth}));
  const ValueId fn = m.run.Input("hfn", DrawTensor({701}, {32, 4}));
  const ValueId base = m.run.Input("base", DrawTensor({702}, {4}));
  const ValueId scale = m.run.Input("scale", DrawTensor({703, 0.5, 0.75}, {1}));
  const Results r = m.Finish(V4HyperHead(m.run.builder(), m.c, x, fn, base, scale));
  ExpectSums(r, "y", "1.39814729426", "8.24523514215");
  ExpectFirst(r, "y", {"-0.227418261396", "-0.156278143876", "0.149649602023", "-0.241857411334"});
  ExpectScalar(r, "loss", "-0.507851905705");
  ExpectSums(r, "grad.X", "-3.24630768429", "11.7828011015");
  ExpectSums(r, "grad.hfn", "-0.995007735289", "6.0932177884");
  ExpectSums(r, "grad.base", "-0.175502954679", "0.214365307825");
  ExpectSums(r, "grad.scale", "-0.0571868370603", "0.0571868370603");
}

struct MoeCase {
  bool hash = false, shared_clamp = false;
  double limit = 0.3;
  BalanceLoss balance = BalanceLoss::kMaxText;
};

Results RunMoe(const MoeCase& moe) {
  ModelConfig config = MiniConfig();
  config.v4.shared_clamp = moe.shared_clamp;
  config.v4.mlp_activations_limit = moe.limit;
  config.v4.balance_loss = moe.balance;
  Module m(config);
  const V4LayerKind kind{0, moe.hash};
  auto parameters = m.Parameters(MoeSources(moe.hash ? 500 : 400, moe.hash), kind);
  const ValueId x = m.run.Input("h", DrawTensor(Scaled(51, 2), {1, kLength, kWidth}));
  const ValueId table = m.run.Input("table", Integers({11, 2}, HashTable()));
  V4Layer layer = m.Layer(parameters, m.Tokens(kLength, false));
  const V4Routing routing = layer.Route(kind, x, table);
  const V4RouterLoss loss = layer.RouterLoss(kind, routing);
  m.run.Output("indices", routing.indices);
  m.run.Output("weights", routing.weights);
  if (loss.balance.valid()) m.run.Output("balance", loss.balance);
  if (loss.counts.valid()) m.run.Output("counts", loss.counts);
  const ValueId y = Add(m.run.builder(), layer.RoutedExperts(x, routing), layer.SharedExpert(x));
  return m.Finish(y);
}

void ExpectIntegers(const Tensor& t, const std::vector<int64_t>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(t.Get(static_cast<int64_t>(i)), static_cast<double>(values[i])) << i;
  }
}

using Gradients = std::vector<std::pair<std::string, std::pair<const char*, const char*>>>;

void ExpectGradients(const Results& r, const Gradients& gradients) {
  for (const auto& [name, row] : gradients) ExpectSums(r, "grad." + name, row.first, row.second);
}

TEST(AppendixA5, TopKExperts) {
  const Results r = RunMoe({});
  ExpectIntegers(r.at("indices"),
                 {5, 2, 5, 2, 2, 3, 5, 2, 0, 3, 0, 2, 2, 0, 2, 0, 4, 3, 5, 2, 2, 5, 2, 5});
  ExpectIntegers(r.at("counts"), {4, 0, 10, 3, 1, 6});
  ExpectFirst(r, "weights", {"0.827443919299", "0.672556080701"});
  ExpectSums(r, "y", "0.166792288482", "3.43497888726");
  ExpectFirst(r, "y",
              {"0.0284078949337", "-0.0402784325515", "-0.0133729113209", "-0.03135983696"});
  ExpectScalar(r, "loss", "0.23990358912");
  ExpectScalar(r, "balance", "2.115992940314956e-4");
  ExpectScalar(RunMoe({.balance = BalanceLoss::kV3}), "balance", "1.0108642980235e-4");
  ExpectSums(RunMoe({.shared_clamp = true}), "y", "-0.172431148953", "2.43447136523");
  ExpectSums(RunMoe({.limit = 0}), "y", "0.0421400134594", "6.49037681452");
  ExpectGradients(r, {{"h", {"-0.318116942", "3.753947102"}},
                      {"mlp.MoeBlock_0.gate.kernel", {"0.001190973046", "0.1658975988"}},
                      {"mlp.MoeBlock_0.wi_0", {"-0.2313339402", "2.980419681"}},
                      {"mlp.MoeBlock_0.wi_1", {"0.1171969629", "2.792487653"}},
                      {"mlp.MoeBlock_0.wo", {"0.387919274", "2.633605905"}},
                      {"mlp.shared_experts.wi_0.kernel", {"0.1263204031", "2.840692649"}},
                      {"mlp.shared_experts.wi_1.kernel", {"-0.07743819364", "3.086071112"}},
                      {"mlp.shared_experts.wo.kernel", {"-1.190353644", "3.187866098"}}});
}

TEST(AppendixA5, HashExperts) {
  const Results r = RunMoe({.hash = true});
  ExpectIntegers(r.at("indices"), {1, 2, 4, 5, 4, 5, 1, 2});
  ExpectFirst(r, "weights", {"0.688928443484", "0.811071556516"});
  ExpectSums(r, "y", "-0.783459151511", "3.61247726967");
  ExpectFirst(r, "y",
              {"0.0112214228031", "0.014988374653", "-0.00271104599618", "-0.00584064312928"});
  ExpectScalar(r, "loss", "0.165094846832");
  ExpectGradients(r, {{"h", {"-0.5518037259", "4.010551286"}},
                      {"mlp.MoeBlock_0.gate.kernel", {"-0.003960912106", "0.1222965172"}},
                      {"mlp.MoeBlock_0.wi_0", {"0.01240158787", "2.23531537"}},
                      {"mlp.MoeBlock_0.wi_1", {"-0.004586128251", "2.444186539"}},
                      {"mlp.MoeBlock_0.wo", {"0.2535879311", "2.716527466"}},
                      {"mlp.shared_experts.wi_0.kernel", {"0.5917075466", "4.19896464"}},
                      {"mlp.shared_experts.wi_1.kernel", {"-0.159388507", "3.497912177"}},
                      {"mlp.shared_experts.wo.kernel", {"-0.01119905544", "2.935434387"}}});
}

// The stack of A.6 by the names of its parameters; layer i has base 1000 (i + 1).
class Stack : public Module {
 public:
  explicit Stack(const ModelConfig& config) : Module(config) {
    for (const V4Group& group : V4Groups(c)) {
      SW_CHECK(!group.scanned, "layers of the stack stand alone");
      const uint64_t base = 1000 * (groups_++ + 1);
      Layer(base, group.path, group.layers[0]);
    }
    Add("token_embedder.embedding", Scaled(800, 2), {11, kWidth});
    Head("decoder.hc_head.", 801, 802, 803);
    Add("decoder.decoder_norm.scale", Gain(804), {kWidth});
    Add("decoder.logits_dense.kernel", Scaled(805, 2), {kWidth, 11});
    if (c.v4.mtp_num_layers > 0) Mtp();
  }

  V4LossResults Build() {
    BlockBuilder& b = run.builder();
    const ValueId table = run.Input("table", Integers({11, 2}, HashTable()));
    const std::vector<ValueId> tables(V4Tables(c).size(), table);
    return BuildV4Loss(b, run.blocks(), c, ParameterList(), tables, batch);
  }

  std::vector<ValueId> ParameterList() const {
    std::vector<ValueId> parameters;
    for (const Parameter& p : V4Parameters(c)) {
      SW_CHECK(values_.count(p.name) == 1, "nothing fills {}", p.name);
      parameters.push_back(values_.at(p.name));
    }
    return parameters;
  }

  void Add(const std::string& name, const Drawn& drawn, const Dims& dims) {
    values_[name] = run.Input(name, DrawTensor(drawn, dims));
  }

  BatchValues batch;

 private:
  void Layer(uint64_t base, const std::string& path, V4LayerKind kind) {
    Sources sources = AttentionSources(base + 100, kind);
    sources.merge(MoeSources(base + 400, kind.hash));
    sources["pre_self_attention_layer_norm.scale"] = Gain(base + 1);
    sources["post_self_attention_layer_norm.scale"] = Gain(base + 2);
    std::map<std::string, ValueId> local = Parameters(sources, kind, path);
    HyperConnection("mhc_attention", base + 601, base + 602, base + 603, local, path);
    HyperConnection("mhc_mlp", base + 651, base + 652, base + 653, local, path);
    for (const auto& [name, v] : local) values_[path + name] = v;
  }

  void Head(const std::string& path, uint64_t fn, uint64_t base, uint64_t scale) {
    Add(path + "hc_fn", {fn}, {32, 4});
    Add(path + "hc_base", {base}, {4});
    Add(path + "hc_scale", {scale, 0.5, 0.75}, {1});
  }

  void Mtp() {
    const std::string path = "mtp_block.";
    Layer(7000, path + "transformer_layer.", {});
    Add(path + "enorm.scale", Gain(7003), {kWidth});
    Add(path + "hnorm.scale", Gain(7004), {kWidth});
    Add(path + "e_proj.kernel", {7005}, {kWidth, kWidth});
    Add(path + "h_proj.kernel", {7006}, {kWidth, kWidth});
    Add(path + "norm.scale", Gain(7007), {kWidth});
    Head(path + "hc_head.", 7008, 7009, 7010);
  }

  uint64_t groups_ = 0;
  std::map<std::string, ValueId> values_;
};

ModelConfig StackConfig() {
  ModelConfig c = MiniConfig();
  c.scan_layers = false;
  return c;
}

std::vector<double> Shifted(int64_t by) {
  std::vector<double> ids;
  for (int64_t t = 0; t < kLength; ++t) ids.push_back(static_cast<double>((5 * (t + by) + 2) % 11));
  return ids;
}

TEST(AppendixA6, WholeStack) {
  Stack s(StackConfig());
  const V4Tokens tokens = s.Tokens(kLength, false);
  s.batch.inputs = tokens.ids;
  s.batch.positions = tokens.positions;
  s.batch.segments = tokens.segments;
  s.batch.targets = s.run.Input("targets", Integers({1, kLength}, Shifted(1)));
  s.batch.weights = Full(s.run.builder(), {{1, kLength}, DType::kF64}, 1 / (kLength + 1e-8));
  const V4LossResults built = s.Build();
  s.run.Output("logits", built.logits);
  s.run.Output("streams", built.streams);
  s.run.AddLoss(built.loss);
  const Results r = std::move(s.run).Run();
  ExpectSums(r, "logits", "4.3725572067031", "175.1011235571587");
  ExpectFirst(r, "logits",
              {"-2.98143836094", "1.20074458853", "-1.69323474156", "-0.200625242851"});
  ExpectSums(r, "streams", "-44.945542898", "452.185207298");
  ExpectScalar(r, "loss", "2.9923467363559673");
  ExpectGradients(
      r,
      {{"token_embedder.embedding", {"-3.13794184527", "17.1639365467"}},
       {"decoder.logits_dense.kernel", {"0", "6.47369213174"}},
       {"decoder.decoder_norm.scale", {"1.31446443657", "1.58937033478"}},
       {"decoder.hc_head.hc_fn", {"-0.00705761160688", "0.581032946866"}},
       {"decoder.hc_head.hc_base", {"-0.00112697167669", "0.0279042232997"}},
       {"decoder.layers_0.self_attention.wq_a.kernel", {"0.277806157918", "10.109500263"}},
       {"decoder.layers_0.self_attention.sinks", {"-0.0265347004811", "0.293512036203"}},
       {"decoder.layers_0.mlp.MoeBlock_0.gate.kernel", {"0.00783913661933", "0.0841510518501"}},
       {"decoder.layers_2.self_attention.csa_compressor.gate_proj.kernel",
        {"0.0656015671897", "0.412980429346"}},
       {"decoder.layers_2.self_attention.csa_compressor.position_bias", {"0", "0.103096216664"}},
       {"decoder.layers_3.self_attention.hca_compressor.kv_proj.kernel",
        {"0.0798564123776", "0.897154882601"}},
       {"decoder.layers_3.self_attention.hca_compressor.position_bias", {"0", "0.0714443178238"}},
       {"decoder.layers_3.mlp.MoeBlock_0.gate.kernel", {"0.000402443694563", "0.0442859432749"}},
       {"decoder.layers_4.mlp.MoeBlock_0.wo", {"0.0254774165093", "0.460998901646"}}});
  ExpectScalar(r, "grad.decoder.hc_head.hc_scale", "0.0102039160792");
  EXPECT_EQ(
      Magnitude(r.at("grad.decoder.layers_2.self_attention.csa_compressor.indexer.q_proj.kernel")),
      0);
  ExpectSumOf(r, Parts("decoder.layers_0.mhc_attention", "_alpha"), "-3.69899317608",
              "7.00802714766");
  ExpectSumOf(r, Parts("decoder.layers_4.mhc_mlp", "_alpha_scale"), "0.00981824018136",
              "0.0195631814515");
}

TEST(AppendixA7, PredictionModule) {
  ModelConfig config = StackConfig();
  config.v4.mtp_num_layers = 1;
  Stack s(config);
  const V4Tokens tokens = s.Tokens(kLength, false);
  const ValueId x = s.run.Input("X", DrawTensor(Scaled(54, 2), {1, kLength, 4, kWidth}));
  s.batch.inputs = s.run.Input("next_ids", Integers({1, kLength}, Shifted(1)));
  s.batch.positions = tokens.positions;
  s.batch.segments = tokens.segments;
  s.batch.targets = s.run.Input("targets", Integers({1, kLength}, Shifted(2)));
  std::vector<double> weights(kLength, 1);
  weights[kLength - 1] = weights[kLength - 2] = 0;
  s.batch.weights = s.run.Input("weights", TensorOf({{1, kLength}, DType::kF64}, weights));
  const LogitsLossResults built =
      BuildV4Mtp(s.run.builder(), s.run.blocks(), s.c, s.ParameterList(), x, s.batch);
  s.run.Output("logits", built.logits);
  s.run.AddLoss(built.loss);
  const Results r = std::move(s.run).Run();
  ExpectSums(r, "logits", "2.67179459178", "146.061682586");
  ExpectScalar(r, "loss", "3.52502162107639");
  ExpectGradients(r, {{"X", {"0.00635821089198", "6.80482917206"}},
                      {"mtp_block.e_proj.kernel", {"-0.809840245624", "11.3515883771"}},
                      {"mtp_block.h_proj.kernel", {"0.752093621415", "7.13260999679"}},
                      {"mtp_block.enorm.scale", {"-0.321973370704", "1.49127002622"}},
                      {"mtp_block.hnorm.scale", {"0.264898035026", "0.792267213567"}},
                      {"token_embedder.embedding", {"-0.463641285764", "7.24318463835"}},
                      {"decoder.logits_dense.kernel", {"0", "7.56215796629"}},
                      {"mtp_block.hc_head.hc_fn", {"-0.0198168282944", "0.53742772484"}}});
}

}  // namespace
}  // namespace shardwise::appendix
