#include "model/stacks/flops_deepseek_v4.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <vector>

#include "model/stacks/parameter_count_deepseek_v4.h"

namespace shardwise {
namespace {

// `first` twice, then {4, 128} repeated, `layers` in all.
std::vector<int64_t> Ratios(int64_t first, int64_t layers) {
  std::vector<int64_t> ratios = {first, first};
  for (int64_t l = 2; l < layers; ++l) ratios.push_back(l % 2 == 0 ? 4 : 128);
  return ratios;
}

ModelConfig Flash() {
  ModelConfig c;
  c.decoder_block = "deepseek4";
  c.emb_dim = 4096;
  c.num_decoder_layers = 43;
  c.num_query_heads = 64;
  c.num_kv_heads = 1;
  c.head_dim = 512;
  c.mlp_dim = 2048;
  c.vocab_size = 129280;
  c.sliding_window_size = 128;
  c.global_batch_size = 1;
  c.max_target_length = 4096;
  DeepSeekV4Config& v = c.v4;
  v.compress_ratios = Ratios(0, 43);
  v.q_lora_rank = 1024;
  v.o_groups = 8;
  v.o_lora_rank = 1024;
  v.indexer_n_heads = 64;
  v.indexer_head_dim = 128;
  v.indexer_topk = 512;
  v.num_experts = 256;
  v.num_experts_per_tok = 6;
  v.moe_mlp_dim = 2048;
  v.first_num_hash_layers = 3;
  return c;
}

ModelConfig Pro() {
  ModelConfig c = Flash();
  c.emb_dim = 7168;
  c.num_decoder_layers = 61;
  c.num_query_heads = 128;
  c.mlp_dim = c.v4.moe_mlp_dim = 3072;
  c.v4.compress_ratios = Ratios(128, 61);
  c.v4.q_lora_rank = 1536;
  c.v4.o_groups = 16;
  c.v4.indexer_topk = 1024;
  c.v4.num_experts = 384;
  return c;
}

ModelConfig Tiny() {
  ModelConfig c = Flash();
  c.emb_dim = 64;
  c.num_query_heads = 4;
  c.head_dim = 32;
  c.mlp_dim = c.v4.moe_mlp_dim = 64;
  c.sliding_window_size = 32;
  c.v4.q_lora_rank = 16;
  c.v4.o_groups = 4;
  c.v4.o_lora_rank = 16;
  c.v4.indexer_n_heads = 4;
  c.v4.indexer_head_dim = 32;
  c.v4.indexer_topk = 16;
  c.v4.num_experts = 16;
  c.v4.num_experts_per_tok = 4;
  return c;
}

ModelConfig At(ModelConfig c, int64_t length, int64_t batch = 1) {
  c.max_target_length = length;
  c.global_batch_size = batch;
  return c;
}

struct PartCase {
  ModelConfig config;
  int64_t attention, csa, hca, hyper_connections, layer, csa_layer, hca_layer, embedding,
      hyper_head, routed, total, with_mtp, maxtext, active;
};

// v4-spec 3.5; the totals agree with the element counts of the published checkpoints.
TEST(V4ParametersTest, PartsAndTotalsAreExact) {
  const std::vector<PartCase> cases = {
      {Flash(), 106'956'352, 126'098'624, 111'216'704, 786'486, 6'576'416'630, 6'595'558'902,
       6'580'676'982, 529'530'880, 65'541, 277'025'390'592, 284'332'240'471, 290'942'289'362,
       284'333'649'495, 13'799'632'471},
      {Pro(), 299'894'912, 331'292'416, 307'300'992, 1'376'310, 25'737'249'334, 25'768'646'838,
       25'744'655'414, 926'679'040, 114'693, 1'547'396'186'112, 1'572'997'201'763,
       1'598'837'347'742, 1'573'000'699'747, 49'779'081'059},
      {Tiny(), 11'316, 30'580, 19'540, 12'342, 233'722, 252'986, 241'946, 8'273'920, 1'029,
       8'454'144, 27'167'955, 27'411'090, 27'189'971, 20'827'347}};
  for (const PartCase& test : cases) {
    const ModelConfig& c = test.config;
    const V4ParameterParts parts = CountV4Parts(c);
    EXPECT_EQ(CountV4Attention(c, 0), test.attention);
    EXPECT_EQ(CountV4Attention(c, 4), test.csa);
    EXPECT_EQ(CountV4Attention(c, 128), test.hca);
    EXPECT_EQ(parts.hyper_connections, test.hyper_connections);
    EXPECT_EQ(CountV4Layer(c, 0, false), test.layer);
    EXPECT_EQ(CountV4Layer(c, 4, false), test.csa_layer);
    EXPECT_EQ(CountV4Layer(c, 128, false), test.hca_layer);
    EXPECT_EQ(CountV4Layer(c, 4, true), test.csa_layer - c.v4.num_experts);
    EXPECT_EQ(parts.embedding, test.embedding);
    EXPECT_EQ(parts.hyper_head, test.hyper_head);
    EXPECT_EQ(parts.routed_experts * c.num_decoder_layers, test.routed);
    EXPECT_EQ(CountV4Parameters(c), test.total);
    EXPECT_EQ(CountV4ActiveParameters(c), test.active);
    ModelConfig other = c;
    other.v4.mtp_num_layers = 1;
    EXPECT_EQ(CountV4Parameters(other), test.with_mtp);
    EXPECT_EQ(CountV4Mtp(c), test.with_mtp - test.total);
    other = c;
    other.v4.mhc_norm_scale = true;
    EXPECT_EQ(CountV4Parameters(other), test.maxtext);
  }
  EXPECT_EQ(CountV4Mtp(Flash()), 6'610'048'891);
  EXPECT_EQ(CountV4Mtp(Pro()), 25'840'145'979);
}

// v4-spec 4.1.
TEST(V4FlopsTest, EveryProductOfAToken) {
  const auto list = [](const ModelConfig& c) {
    const V4TokenFlops t = CountV4TokenFlops(c);
    return std::vector<double>{t.wq_a,
                               t.wq_b,
                               t.wkv,
                               t.wo_a,
                               t.wo_b,
                               t.hca_compressor,
                               t.csa_compressor,
                               t.indexer_projections,
                               t.hyper_connection,
                               t.router,
                               t.routed_experts,
                               t.shared_expert,
                               t.logits,
                               t.hyper_head};
  };
  EXPECT_EQ(list(Flash()),
            (std::vector<double>{8'388'608, 67'108'864, 4'194'304, 67'108'864, 67'108'864,
                                 8'388'608, 16'777'216, 21'495'808, 983'040, 2'097'152, 301'989'888,
                                 50'331'648, 1'059'061'760, 163'840}));
  EXPECT_EQ(list(Pro()),
            (std::vector<double>{22'020'096, 201'326'592, 7'340'032, 134'217'728, 234'881'024,
                                 14'680'064, 29'360'128, 33'423'360, 1'720'320, 5'505'024,
                                 792'723'456, 132'120'576, 1'853'358'080, 286'720}));
}

// The sums over tokens that the closed forms stand for.
TEST(V4FlopsTest, PairsAreSumsOverTokens) {
  EXPECT_EQ(V4BlockPairs(12, 4), 15);
  EXPECT_EQ(V4SelectedPairs(12, 4, 2), 14);
  EXPECT_TRUE(rc::check([] {
    const int64_t length = *rc::gen::inRange<int64_t>(1, 200);
    const int64_t window = *rc::gen::inRange<int64_t>(1, 250);
    const int64_t ratio = *rc::gen::inRange<int64_t>(1, 40);
    const int64_t picks = *rc::gen::inRange<int64_t>(0, 40);
    int64_t near = 0, blocks = 0, selected = 0;
    for (int64_t t = 0; t < length; ++t) {
      near += std::min(t + 1, window);
      blocks += (t + 1) / ratio;
      selected += std::min(picks, (t + 1) / ratio);
    }
    RC_ASSERT(V4WindowPairs(length, window) == static_cast<double>(near));
    RC_ASSERT(V4BlockPairs(length, ratio) == static_cast<double>(blocks));
    RC_ASSERT(V4SelectedPairs(length, ratio, picks) == static_cast<double>(selected));
  }));
}

struct TotalCase {
  ModelConfig config;
  double window, csa, hca;  // a layer of one sequence
  double visible, all;      // the whole forward
};

// v4-spec 4.3, times the length: its averages over tokens are of these integers.
TEST(V4FlopsTest, LayersAndTotalsToTheLastFlop) {
  const std::vector<TotalCase> cases = {
      {At(Flash(), 4096), 2'403'579'461'632, 2'801'048'354'816, 2'446'264'893'440,
       116'893'060'300'800, 216'663'517'560'832},
      {At(Flash(), 65536), 38'473'251'684'352, 54'175'314'477'056, 41'217'802'895'360,
       2'108'401'574'215'680, 4.4804109107e11 * 65536},
      {At(Pro(), 4096), 6'416'832'135'168, 7'258'091'945'984, 6'493'613'064'192,
       426'637'292'470'272, 704'753'365'417'984},
      {At(Pro(), 65536), 102'701'274'759'168, 132'722'557'190'144, 108'052'938'227'712,
       7'452'798'266'376'192, 1.286838083584e12 * 65536},
      {At(Tiny(), 128), 192'576 * 128, 240'190 * 128, 25'698'816, 25'994'982.0 * 128,
       28'510'464.0 * 128},
      {At(Tiny(), 1024), 194'312 * 1024, 273'342 * 1024, 204'300 * 1024, 26'765'206.0 * 1024,
       51'958'784.0 * 1024}};
  for (const TotalCase& test : cases) {
    const auto layer = [&](int64_t ratio) {
      return CountV4LayerFlops(test.config, ratio, V4Pairs::kVisible).total().value;
    };
    EXPECT_EQ(layer(0), test.window);
    EXPECT_EQ(layer(4), test.csa);
    EXPECT_EQ(layer(128), test.hca);
    EXPECT_EQ(CountV4SequenceFlops(test.config, V4Pairs::kVisible).total().value, test.visible);
    const double all = CountV4SequenceFlops(test.config, V4Pairs::kAll).total().value;
    EXPECT_NEAR(all / test.all, 1, all < 9e15 ? 0 : 1e-9);
  }
}

// The rows of v4-spec 4.3 as printed there.
TEST(V4FlopsTest, TrainingTotalsAsPrinted) {
  const auto tflop = [](const ModelConfig& c) {
    return 3 * CountV4SequenceFlops(c, V4Pairs::kVisible).total().value * 1e-12;
  };
  EXPECT_NEAR(tflop(At(Flash(), 4096)), 350.679, 5e-4);
  EXPECT_NEAR(tflop(At(Flash(), 65536)), 6325.205, 5e-4);
  EXPECT_NEAR(tflop(At(Pro(), 4096)), 1279.912, 5e-4);
  EXPECT_NEAR(tflop(At(Pro(), 65536)), 22358.395, 5e-4);
  EXPECT_NEAR(tflop(At(Tiny(), 128)), 0.009982, 5e-7);
  EXPECT_NEAR(tflop(At(Tiny(), 1024)), 0.082223, 5e-7);
}

struct MaxTextCase {
  ModelConfig config;
  double total, weights = 0, attention = 0;  // TFLOP; 0: not printed
};

// v4-spec 4.6: values of MaxText's own function, to 6 decimals.
TEST(V4FlopsTest, MaxTextsFormula) {
  const std::vector<MaxTextCase> cases = {
      {At(Flash(), 4096, 4), 1402.719676, 1282.886867, 119.832809},
      {At(Flash(), 1024), 84.895750},
      {At(Flash(), 4096), 350.679919, 320.721717, 29.958202},
      {At(Flash(), 8192), 711.221620},
      {At(Flash(), 32768), 2987.744607},
      {At(Flash(), 65536), 6325.169346, 5131.547468, 1193.621877},
      {At(Flash(), 1048576), 266971.626993},
      {At(Pro(), 4096), 1279.937131, 1188.665317, 91.271813},
      {At(Pro(), 65536), 22358.482515},
      {At(Pro(), 1048576), 648128.133530},
      {At(Tiny(), 128), 0.009975},
      {At(Tiny(), 1024), 0.082166}};
  constexpr double kDigits = 5.1e-7;
  for (const MaxTextCase& test : cases) {
    const auto flops = CountModelFlops(test.config, FlopsConvention::kCausal, 0);
    ASSERT_TRUE(flops.ok());
    EXPECT_NEAR(flops->total().value * 1e-12, test.total, kDigits);
    if (test.weights == 0) continue;
    EXPECT_NEAR(flops->weights.value * 1e-12, test.weights, kDigits);
    EXPECT_NEAR(flops->attention.value * 1e-12, test.attention, kDigits);
  }
}

// Sequences at which MaxText's formula turns negative or divides by zero.
TEST(V4FlopsTest, ShortSequences) {
  ModelConfig c = At(Flash(), 32);
  c.v4.compress_ratios.assign(43, 0);
  EXPECT_GT(CountV4MaxTextFlops(c).attention.value, 0);
  c.v4.maxtext_flop_count = true;
  EXPECT_LT(CountV4MaxTextFlops(c).attention.value, 0);
  for (int64_t length : {1, 2, 3, 4, 127, 128, 129}) {
    const ModelFlops flops = CountV4MaxTextFlops(At(Flash(), length));
    EXPECT_GT(flops.weights.value, 0) << length;
    EXPECT_GT(flops.attention.value, 0) << length;  // false for NaN
  }
}

TEST(V4FlopsTest, OtherConventionsAndTheModule) {
  const ModelConfig c = At(Flash(), 4096, 2);
  const auto full = CountModelFlops(c, FlopsConvention::kFull, 0);
  EXPECT_EQ(full->total().value, 6 * 216'663'517'560'832.0);
  EXPECT_EQ(full->weights.value, 6 * CountV4SequenceFlops(c, V4Pairs::kVisible).weights.value);
  const auto parameters = CountModelFlops(c, FlopsConvention::kParamsOnly, 0);
  EXPECT_EQ(parameters->total().value, 6 * 13'799'632'471.0 * 2 * 4096);

  ModelConfig with_module = c;
  with_module.v4.mtp_num_layers = 1;
  const double module = CountV4SequenceFlops(with_module, V4Pairs::kVisible).total().value -
                        CountV4SequenceFlops(c, V4Pairs::kVisible).total().value;
  // A layer, both projections (one of them of four streams), hyper-head and logits.
  const double beside = 2.0 * 4096 * 4096 * 5 + 163'840 + 1'059'061'760;
  EXPECT_EQ(module, 2'403'579'461'632 + beside * 4096);
  const double in_maxtext =
      CountV4MaxTextFlops(with_module).total().value - CountV4MaxTextFlops(c).total().value;
  EXPECT_NEAR(in_maxtext / (3 * 2 * module), 1, 1e-3);
}

}  // namespace
}  // namespace shardwise
