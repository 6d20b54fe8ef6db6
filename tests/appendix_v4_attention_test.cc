// v4-spec A.2 and A.3: attention layers of every kind, values and gradients.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/appendix_v4.h"

namespace shardwise::appendix {
namespace {

struct AttentionCase {
  int64_t ratio = 0;
  bool packed = false;
  int64_t length = kLength, window = 4;
  bool yarn = false;
};

Results RunAttention(const AttentionCase& a) {
  ModelConfig config = MiniConfig();
  config.sliding_window_size = a.window;
  config.v4.yarn = a.yarn;
  config.v4.original_max_position_embeddings = 16;
  config.v4.rope_factor = 4;
  Module m(config);
  const V4LayerKind kind{a.ratio, false};
  const uint64_t base = a.ratio == 0 ? 100 : a.ratio == 6 ? 200 : 300;
  auto parameters = m.Parameters(AttentionSources(base, kind), kind);
  const Tensor whole = DrawTensor({50}, {1, kLength, kWidth});
  std::vector<double> rows;
  for (int64_t i = 0; i < a.length * kWidth; ++i) rows.push_back(whole.Get(i));
  const ValueId h = m.run.Input("h", TensorOf({{1, a.length, kWidth}, DType::kF64}, rows));
  V4Layer layer = m.Layer(parameters, m.Tokens(a.length, a.packed));
  return m.Finish(layer.Attention(kind, h));
}

struct Row {
  const char *sum, *magnitude;
};

TEST(AppendixA2, AttentionValuesAndLosses) {
  struct Expected {
    int64_t ratio;
    bool packed;
    Row y;
    std::vector<const char*> first;
    const char* loss;
  };
  const std::vector<const char*> first0 = {"-0.265851500064", "1.31099790908", "0.562151803802",
                                           "-0.156871992456"};
  const std::vector<const char*> first6 = {"-0.687402165409", "0.281777369109", "0.328298960948",
                                           "-0.254315092743"};
  const std::vector<const char*> first4 = {"0.456276551076", "-0.398961418431", "0.163401458194",
                                           "0.598072227958"};
  const Expected cases[] = {
      {0, false, {"-0.538564016097", "45.7036344635"}, first0, "2.18088850888"},
      {0, true, {"-0.647475245831", "43.1026102697"}, first0, "4.08316169823"},
      {6, false, {"-9.3799383656", "30.6884743029"}, first6, "1.11148578798"},
      {6, true, {"-7.19068925959", "31.0217867466"}, first6, "0.37579494175"},
      {4, false, {"4.84784724599", "36.2009907316"}, first4, "-0.768218526688"},
      {4, true, {"6.14573414827", "34.3868331037"}, first4, "-1.22714006371"},
  };
  for (const Expected& e : cases) {
    SCOPED_TRACE(std::to_string(e.ratio) + (e.packed ? " packed" : ""));
    const Results results = RunAttention({e.ratio, e.packed});
    ExpectSums(results, "y", e.y.sum, e.y.magnitude);
    ExpectFirst(results, "y", e.first);
    ExpectScalar(results, "loss", e.loss);
  }
}

TEST(AppendixA2, AttentionVariants) {
  struct Expected {
    AttentionCase attention;
    Row y;
  };
  const Expected cases[] = {
      {{.ratio = 6, .window = 1}, {"-3.485336556", "37.7923261718"}},
      {{.ratio = 6, .window = 12}, {"-10.7090289814", "30.384693445"}},
      {{.ratio = 6, .length = 11}, {"-8.24251194054", "27.7041528328"}},
      {{.ratio = 6, .yarn = true}, {"-9.39245195415", "30.6832463969"}},
      {{.ratio = 4, .window = 1}, {"3.03919491469", "35.0434746075"}},
      {{.ratio = 4, .window = 12}, {"5.68899754711", "35.5821258355"}},
      {{.ratio = 4, .length = 11}, {"4.6999465316", "34.0770213035"}},
      {{.ratio = 4, .length = 5}, {"1.96893050534", "17.1525270193"}},
      {{.ratio = 4, .yarn = true}, {"4.84500604298", "36.1952283566"}},
  };
  for (const Expected& e : cases) {
    SCOPED_TRACE(std::string(e.y.sum));
    ExpectSums(RunAttention(e.attention), "y", e.y.sum, e.y.magnitude);
  }
}

// The leak between packed documents of the public port (opening list, 12).
TEST(AppendixA2, WithoutIsolationBlocksLeak) {
  ModelConfig config = MiniConfig();
  config.v4.doc_isolation = false;
  Module m(config);
  const V4LayerKind kind{4, false};
  auto parameters = m.Parameters(AttentionSources(300, kind), kind);
  const ValueId h = m.run.Input("h", DrawTensor({50}, {1, kLength, kWidth}));
  V4Layer layer = m.Layer(parameters, m.Tokens(kLength, true));
  const Results results = m.Finish(layer.Attention(kind, h));
  ExpectSums(results, "y", "6.259169095917", "35.348663561554");
  ExpectScalar(results, "loss", "-1.375712960537");
}

// Names: of the layer's attention; "@" stands for its compressor.
TEST(AppendixA3, AttentionGradients) {
  struct Expected {
    AttentionCase attention;
    std::vector<std::pair<std::string, Row>> gradients;
  };
  const Expected cases[] = {
      {{0, false},
       {{"h", {"-3.431306138", "50.23949656"}},
        {"wq_a.kernel", {"-0.3095619434", "17.53829936"}},
        {"q_norm.scale", {"-0.04558592064", "1.120677288"}},
        {"wq_b.kernel", {"1.637979168", "33.52199337"}},
        {"wkv.kernel", {"1.826649053", "34.83213545"}},
        {"kv_norm.scale", {"3.168105674", "3.524202107"}},
        {"sinks", {"-0.7280595344", "0.7280595344"}},
        {"o_a_proj.kernel", {"0.5981366331", "38.11908939"}},
        {"o_b_proj.kernel", {"2.333971938", "29.02599757"}}}},
      {{0, true},
       {{"h", {"-5.747061598", "52.95487766"}},
        {"wq_a.kernel", {"-0.3762267976", "20.96763027"}},
        {"q_norm.scale", {"-0.06551583373", "1.440062362"}},
        {"wq_b.kernel", {"-0.03626605651", "33.12127871"}},
        {"wkv.kernel", {"4.331473955", "32.71479019"}},
        {"kv_norm.scale", {"5.610578306", "5.854048396"}},
        {"sinks", {"-1.231554946", "1.231554946"}},
        {"o_a_proj.kernel", {"-1.646413055", "43.03274152"}},
        {"o_b_proj.kernel", {"4.151680598", "31.87804233"}}}},
      {{6, false},
       {{"h", {"0.5018213209", "41.01360888"}},
        {"wq_a.kernel", {"-0.06840524272", "17.29790523"}},
        {"q_norm.scale", {"0.1403661977", "1.206026622"}},
        {"wq_b.kernel", {"0.05886220929", "25.93003683"}},
        {"wkv.kernel", {"-2.947232956", "24.1722225"}},
        {"kv_norm.scale", {"0.6974513062", "3.122138603"}},
        {"sinks", {"-0.06731710266", "0.4365790472"}},
        {"o_a_proj.kernel", {"-8.147654317", "29.19596733"}},
        {"o_b_proj.kernel", {"-2.16322455", "23.70996879"}},
        {"@kv_proj.kernel", {"-0.6329660485", "8.709746693"}},
        {"@gate_proj.kernel", {"0.03188286198", "2.757632393"}},
        {"@position_bias", {"0", "2.439933685"}},
        {"@kv_norm.scale", {"0.6164614144", "0.7657368071"}}}},
      {{6, true},
       {{"h", {"-3.172742938", "42.01426072"}},
        {"wq_a.kernel", {"1.128858053", "18.55895692"}},
        {"q_norm.scale", {"0.1911079472", "1.427498273"}},
        {"wq_b.kernel", {"-0.2797038562", "25.13130767"}},
        {"wkv.kernel", {"-5.121815476", "25.286332"}},
        {"kv_norm.scale", {"0.239650982", "3.055742465"}},
        {"sinks", {"0.06061264206", "0.3808419814"}},
        {"o_a_proj.kernel", {"-13.21039857", "34.6515323"}},
        {"o_b_proj.kernel", {"-6.733964417", "23.36707307"}},
        {"@kv_proj.kernel", {"-0.3406930855", "3.165776998"}},
        {"@gate_proj.kernel", {"-0.02551191774", "1.112384998"}},
        {"@position_bias", {"0", "0.9502346343"}},
        {"@kv_norm.scale", {"0.0001179412747", "0.2540868114"}}}},
      {{4, false},
       {{"h", {"-14.00562483", "46.47888708"}},
        {"wq_a.kernel", {"-0.8578621926", "18.97755936"}},
        {"q_norm.scale", {"-0.06849900994", "0.9925414257"}},
        {"wq_b.kernel", {"-1.90820596", "44.61875496"}},
        {"wkv.kernel", {"3.201904186", "33.03888076"}},
        {"kv_norm.scale", {"-0.226812502", "2.78086795"}},
        {"sinks", {"0.1775539424", "0.1817874231"}},
        {"o_a_proj.kernel", {"3.993611365", "34.26355316"}},
        {"o_b_proj.kernel", {"-4.841418588", "27.85368247"}},
        {"@kv_proj.kernel", {"0.8727394063", "13.23461916"}},
        {"@gate_proj.kernel", {"-0.1020706177", "3.501429405"}},
        {"@position_bias", {"0", "2.81187362"}},
        {"@kv_norm.scale", {"-0.2274839682", "1.627435716"}}}},
      {{4, true},
       {{"h", {"-5.610258876", "53.29770309"}},
        {"wq_a.kernel", {"-1.185014291", "18.39993433"}},
        {"q_norm.scale", {"-0.05590884695", "1.397141371"}},
        {"wq_b.kernel", {"-0.7515590614", "45.28324396"}},
        {"wkv.kernel", {"4.250596266", "34.65335757"}},
        {"kv_norm.scale", {"-0.6223386809", "3.395040476"}},
        {"sinks", {"0.343160646", "0.3907022068"}},
        {"o_a_proj.kernel", {"3.182785903", "35.9940784"}},
        {"o_b_proj.kernel", {"-7.838016625", "28.39880598"}},
        {"@kv_proj.kernel", {"0.09724801653", "8.898183999"}},
        {"@gate_proj.kernel", {"-0.07754682804", "2.623980009"}},
        {"@position_bias", {"0", "2.03675005"}},
        {"@kv_norm.scale", {"-0.6257419856", "1.147520764"}}}},
  };
  for (const Expected& e : cases) {
    SCOPED_TRACE(std::to_string(e.attention.ratio) + (e.attention.packed ? " packed" : ""));
    const Results results = RunAttention(e.attention);
    const std::string compressor = e.attention.ratio == 4 ? "csa_compressor." : "hca_compressor.";
    for (const auto& [name, row] : e.gradients) {
      std::string path = name == "h" ? name : "self_attention.";
      if (name[0] == '@') {
        path += compressor + name.substr(1);
      } else if (name != "h") {
        path += name;
      }
      ExpectSums(results, "grad." + path, row.sum, row.magnitude);
    }
    for (const auto& [name, value] : results) {
      if (name.find("indexer") == std::string::npos) continue;
      EXPECT_EQ(Magnitude(value), 0) << name;
    }
  }
}

}  // namespace
}  // namespace shardwise::appendix
