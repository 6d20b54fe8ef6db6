// What the tests of v4-spec appendix A share: its mini configuration, parameters filled from its
// own pseudo-random numbers, and comparison with printed numbers, within 1e-10 of the sum of
// magnitudes or half a unit of the last printed digit.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "model/stacks/deepseek_v4.h"
#include "model/stacks/deepseek_v4_layer.h"
#include "tests/appendix_random.h"
#include "tests/module_run.h"

namespace shardwise::appendix {

using Results = std::map<std::string, Tensor>;

inline constexpr int64_t kLength = 12, kWidth = 8;

// How a tensor of the appendix is drawn: value = offset + scale (uniform - 1/2).
struct Drawn {
  uint64_t seed;
  double scale = 1, offset = 0;
};
inline Drawn Gain(uint64_t seed) { return {seed, 0.5, 1.0}; }
inline Drawn Scaled(uint64_t seed, double scale) { return {seed, scale, 0}; }

inline Tensor DrawTensor(const Drawn& drawn, const Dims& dims) {
  const TensorType type{dims, DType::kF64};
  return TensorOf(type, AppendixRandom(dims, drawn.seed, drawn.scale, drawn.offset));
}

inline Tensor Integers(const Dims& dims, const std::vector<double>& values) {
  return TensorOf({dims, DType::kI32}, values);
}

// A printed number with the unit of its last digit.
struct Printed {
  explicit Printed(const std::string& text) : value(std::stod(text)) {
    const size_t e = text.find_first_of("eE");
    const std::string mantissa = text.substr(0, e);
    const size_t point = mantissa.find('.');
    const auto decimals =
        point == std::string::npos ? 0 : static_cast<int>(mantissa.size() - point - 1);
    const int exponent = e == std::string::npos ? 0 : std::stoi(text.substr(e + 1));
    unit = std::pow(10.0, exponent - decimals);
  }
  double value, unit = 0;
};

inline void ExpectPrinted(double ours, const char* text, double magnitude,
                          const std::string& what) {
  const Printed printed(text);
  EXPECT_LE(std::abs(ours - printed.value), std::max(1e-10 * magnitude, 0.5 * printed.unit))
      << what << ": " << std::scientific << ours << " against " << text;
}

inline double Sum(const Tensor& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.elements(); ++i) sum += t.Get(i);
  return sum;
}
inline double Magnitude(const Tensor& t) {
  double sum = 0;
  for (int64_t i = 0; i < t.elements(); ++i) sum += std::abs(t.Get(i));
  return sum;
}

inline void ExpectSums(const Results& results, const std::string& name, const char* sum,
                       const char* magnitude) {
  const Tensor& t = results.at(name);
  ExpectPrinted(Sum(t), sum, Magnitude(t), name + " sum");
  ExpectPrinted(Magnitude(t), magnitude, Magnitude(t), name + " abs");
}
inline void ExpectFirst(const Results& results, const std::string& name,
                        const std::vector<const char*>& values) {
  const Tensor& t = results.at(name);
  for (size_t i = 0; i < values.size(); ++i) {
    ExpectPrinted(t.Get(static_cast<int64_t>(i)), values[i], std::abs(t.Get(i)),
                  name + "[" + std::to_string(i) + "]");
  }
}
inline void ExpectScalar(const Results& results, const std::string& name, const char* value) {
  const double ours = results.at(name).Get(0);
  ExpectPrinted(ours, value, std::abs(ours), name);
}

// A.2.
inline ModelConfig MiniConfig() {
  ModelConfig c;
  c.decoder_block = "deepseek4";
  c.dtype = c.weight_dtype = c.grad_dtype = c.mu_dtype = DType::kF64;
  c.emb_dim = kWidth;
  c.num_query_heads = 4;
  c.num_kv_heads = 1;
  c.head_dim = 8;
  c.mlp_dim = 5;
  c.vocab_size = 11;
  c.normalization_layer_epsilon = 1e-6;
  c.sliding_window_size = 4;
  c.max_target_length = kLength;
  c.global_batch_size = 1;
  c.num_decoder_layers = 5;
  DeepSeekV4Config& v = c.v4;
  v.compress_ratios = {0, 0, 4, 6, 4};
  v.q_lora_rank = 6;
  v.qk_rope_head_dim = 4;
  v.o_groups = 2;
  v.o_lora_rank = 3;
  v.indexer_n_heads = 2;
  v.indexer_head_dim = 8;
  v.indexer_topk = 2;
  v.num_experts = 6;
  v.num_experts_per_tok = 2;
  v.moe_mlp_dim = 5;
  v.first_num_hash_layers = 3;
  v.routed_scaling_factor = 1.5;
  v.load_balance_loss_weight = 1e-4;
  v.mlp_activations_limit = 0.3;
  v.yarn = false;
  v.shared_clamp = false;
  return c;
}

// Where each parameter of a layer comes from, by its name inside the layer.
using Sources = std::map<std::string, Drawn>;

inline Sources AttentionSources(uint64_t b, V4LayerKind kind) {
  const std::string p = "self_attention.";
  Sources s = {{p + "wq_a.kernel", {b + 1}},       {p + "q_norm.scale", Gain(b + 2)},
               {p + "wq_b.kernel", {b + 3}},       {p + "wkv.kernel", {b + 4}},
               {p + "kv_norm.scale", Gain(b + 5)}, {p + "sinks", {b + 6}},
               {p + "o_a_proj.kernel", {b + 7}},   {p + "o_b_proj.kernel", {b + 8}}};
  if (!kind.compressed()) return s;
  const std::string compressor = p + (kind.overlapping ? "csa_compressor." : "hca_compressor.");
  s.insert({{compressor + "kv_proj.kernel", {b + 9}},
            {compressor + "gate_proj.kernel", {b + 10}},
            {compressor + "position_bias", {b + 11}},
            {compressor + "kv_norm.scale", Gain(b + 12)}});
  if (!kind.overlapping) return s;
  const std::string indexer = compressor + "indexer.";
  s.insert({{indexer + "q_proj.kernel", {b + 13}},
            {indexer + "kv_proj.kernel", {b + 14}},
            {indexer + "gate_proj.kernel", {b + 15}},
            {indexer + "position_bias", {b + 16}},
            {indexer + "kv_norm.scale", Gain(b + 17)},
            {indexer + "weights_proj.kernel", {b + 18}}});
  return s;
}

inline Sources MoeSources(uint64_t b, bool hash) {
  const std::string m = "mlp.MoeBlock_0.", s = "mlp.shared_experts.";
  Sources sources = {{m + "gate.kernel", {b + 1}}, {m + "wi_0", {b + 2}},
                     {m + "wi_1", {b + 3}},        {m + "wo", {b + 4}},
                     {s + "wi_0.kernel", {b + 5}}, {s + "wi_1.kernel", {b + 6}},
                     {s + "wo.kernel", {b + 7}}};
  if (!hash) sources[m + "gate.bias"] = Scaled(b + 8, 0.2);
  return sources;
}

inline std::vector<double> HashTable() {
  std::vector<double> table;
  for (int64_t v = 0; v < 11; ++v) {
    table.push_back(static_cast<double>((3 * v + 1) % 6));
    table.push_back(static_cast<double>((3 * v + 2) % 6));
  }
  return table;
}

// The columns first ... first + n of a [rows, columns] tensor.
inline std::vector<double> Columns(const Tensor& t, int64_t first, int64_t n) {
  const int64_t rows = t.type().dims[0], columns = t.type().dims[1];
  std::vector<double> values;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = first; c < first + n; ++c) values.push_back(t.Get(r * columns + c));
  }
  return values;
}

class Module {
 public:
  explicit Module(ModelConfig config) : c(std::move(config)) {}

  std::map<std::string, ValueId> Parameters(const Sources& sources, V4LayerKind kind,
                                            const std::string& prefix = "") {
    std::map<std::string, ValueId> values;
    for (const V4LayerParameter& p : V4LayerParameters(c, kind)) {
      const auto source = sources.find(p.name);
      if (source == sources.end()) continue;
      values[p.name] = run.Input(prefix + p.name, DrawTensor(source->second, p.dims));
    }
    return values;
  }

  // fn, base and scale of a hyper-connection, cut into our parameters.
  void HyperConnection(const std::string& wrapper, uint64_t fn, uint64_t base, uint64_t scale,
                       std::map<std::string, ValueId>& values, const std::string& prefix = "") {
    const int64_t n = 4, flat = n * kWidth;
    const Tensor f = DrawTensor({fn}, {flat, 24}), b = DrawTensor({base}, {1, 24}),
                 s = DrawTensor({scale, 0.5, 0.75}, {1, 3});
    struct Part {
      const char* name;
      int64_t first, size, scale;
      Dims beta;
    };
    for (const Part& p :
         {Part{"pre", 0, 4, 0, {4}}, {"post", 4, 4, 1, {4}}, {"res", 8, 16, 2, {4, 4}}}) {
      const std::string path = wrapper + "." + p.name;
      auto add = [&](const std::string& name, const Dims& dims, const std::vector<double>& v) {
        values[name] = run.Input(prefix + name, TensorOf({dims, DType::kF64}, v));
      };
      add(path + "_alpha", {flat, p.size}, Columns(f, p.first, p.size));
      add(path + "_beta", p.beta, Columns(b, p.first, p.size));
      add(path + "_alpha_scale", {1}, Columns(s, p.scale, 1));
    }
  }

  V4Tokens Tokens(int64_t length, bool packed) {
    std::vector<double> ids, positions, rows, segments;
    for (int64_t t = 0; t < length; ++t) {
      ids.push_back(static_cast<double>((5 * t + 2) % 11));
      rows.push_back(static_cast<double>(t));
      positions.push_back(static_cast<double>(packed && t >= 7 ? t - 7 : t));
      segments.push_back(packed && t >= 7 ? 2 : 1);
    }
    const Dims dims = {1, length};
    return {
        run.Input("ids", Integers(dims, ids)), run.Input("positions", Integers(dims, positions)),
        run.Input("rows", Integers(dims, rows)), run.Input("segments", Integers(dims, segments))};
  }

  V4Layer Layer(std::map<std::string, ValueId> values, const V4Tokens& tokens) {
    return V4Layer(run.builder(), run.blocks(), c, std::move(values), tokens);
  }

  // Adds sum(y * cot) and runs.
  Results Finish(ValueId y) {
    run.Output("y", y);
    run.Cotangent(y, DrawTensor({999}, run.builder().type(y).dims));
    return std::move(run).Run();
  }

  ModelConfig c;
  ModuleRun run;
};

}  // namespace shardwise::appendix
