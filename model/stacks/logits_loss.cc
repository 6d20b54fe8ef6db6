#include "model/stacks/logits_loss.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "model/ops/builders.h"
#include "model/ops/fused_builders.h"
#include "model/ops/fused_util.h"

namespace shardwise {
namespace {

const std::vector<std::string> kLogitsAxes = {"activation_embed_and_logits_batch",
                                              "activation_length", "activation_vocab"};

LogitsLossResults LossOf(BlockBuilder& b, const ModelConfig& c, ValueId hidden, ValueId kernel,
                         ValueId targets, ValueId weights) {
  const ScopedName scope(b, "logits_dense");
  const char* equation = c.logits_via_embedding ? "bse,ve->bsv" : "bse,ev->bsv";
  std::optional<DType> out;
  if (c.logits_dot_in_fp32 && c.dtype != DType::kF64) out = DType::kF32;
  LogitsLossResults results;
  ValueId logits = Einsum(b, equation, hidden, Convert(b, kernel, c.dtype), out);
  logits = Constrain(b, logits, kLogitsAxes);
  if (c.cast_logits_to_fp32) logits = Convert(b, logits, WideType(c.dtype));
  results.logits = logits;
  const ValueId loss = CrossEntropy(b, logits, targets, weights, c.z_loss_multiplier).loss;
  results.loss = ReduceSum(b, loss, {0, 1});
  return results;
}

// The loss of one tile of the tokens. Tiles take every T-th position, so that a length split over
// devices stays where it is.
Block VocabTile(const ModelConfig& c, std::string name, int64_t rows, const Parameter& kernel) {
  BlockBuilder b(std::move(name));
  const int64_t length = c.max_target_length / c.num_vocab_tiling;
  BlockInput kernel_input;
  kernel_input.name = kernel.name;
  kernel_input.role = Role::kParameter;
  kernel_input.logical_axes = kernel.logical_axes;
  const ValueId sum = b.Input("loss", {{}, WideType(c.dtype)}, Binding::kCarry);
  const ValueId hidden =
      b.Input("hidden", {{rows, length, c.emb_dim}, c.dtype}, Binding::kSlice, 2);
  const ValueId weight = b.Input(kernel_input, kernel.type);
  const ValueId targets = b.Input("targets", {{rows, length}, DType::kI32}, Binding::kSlice, 2);
  const ValueId weights =
      b.Input("weights", {{rows, length}, WideType(c.dtype)}, Binding::kSlice, 2);
  const ValueId loss =
      LossOf(b, c, Constrain(b, hidden, EmbeddedAxes()), weight, targets, weights).loss;
  BlockOutput output;
  output.value = Add(b, sum, loss);
  output.name = "loss";
  return std::move(b).Finish({output});
}

}  // namespace

const std::vector<std::string>& EmbeddedAxes() {
  static const std::vector<std::string> axes = {"activation_embed_and_logits_batch",
                                                "activation_norm_length", "activation_embed"};
  return axes;
}

LogitsLossResults LogitsLoss(BlockBuilder& b, std::vector<Block>& blocks, const ModelConfig& c,
                             ValueId hidden, ValueId kernel, const Parameter& spec,
                             const BatchValues& batch) {
  if (c.num_vocab_tiling == 1) return LossOf(b, c, hidden, kernel, batch.targets, batch.weights);
  const int64_t tiles = c.num_vocab_tiling, rows = b.type(hidden).dims[0];
  const int64_t length = c.max_target_length / tiles;
  int found = 0;
  for (const Block& block : blocks) found += block.name.starts_with("vocab_tile") ? 1 : 0;
  blocks.push_back(
      VocabTile(c, found == 0 ? "vocab_tile" : fmt::format("vocab_tile_{}", found), rows, spec));
  // [b, s, e] -> [b, s/T, T, e]: a tile is slice t of dimension 2.
  const std::vector<ValueId> tiled = {Zeros(b, {{}, WideType(c.dtype)}),
                                      Reshape(b, hidden, {rows, length, tiles, c.emb_dim}), kernel,
                                      Reshape(b, batch.targets, {rows, length, tiles}),
                                      Reshape(b, batch.weights, {rows, length, tiles})};
  return {b.Call(blocks.back(), tiles, false, tiled)[0], kNoValue};
}

}  // namespace shardwise
