// What a DeepSeek-V4 model consists of: which layers stand alone, which repeat, and their
// parameters. Names, shapes, stacking and logical axes are MaxText's (v4-spec 3.1, 3.2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/ir/model_config.h"
#include "model/stacks/train_step.h"

namespace shardwise {

struct V4LayerKind {
  int64_t ratio = 0;  // tokens per compressed entry; 0: sliding window only
  bool hash = false;  // experts by token id
  // Compressed sparse attention: entries pool two blocks, an indexer chooses among them. Else, with
  // entries, heavily compressed: one block each, all are seen. MaxText tells the two by the ratio.
  bool overlapping = ratio == 4;
  bool operator==(const V4LayerKind&) const = default;

  bool compressed() const { return ratio > 0; }
};

// A block of one or more layers that runs `trips` times.
struct V4Group {
  std::string block;                // "layers_0", "scanned_blocks"
  std::string path;                 // of its parameters: "decoder.layers_0"
  std::vector<std::string> places;  // of each layer below `path`: "", or "layers_0.", "layers_1."
  std::vector<V4LayerKind> layers;
  int64_t trips = 1;
  bool scanned = false;  // parameters are stacked, even for one trip
};

// The prefix layers one by one, then the rest as the shortest repeating pattern of at most eight
// layers, as MaxText scans them; layers that repeat no pattern stand alone.
std::vector<V4Group> V4Groups(const ModelConfig& config);

// The routing bias of a layer, which an update of its own moves by the experts' counts.
inline constexpr char kV4GateBias[] = "mlp.MoeBlock_0.gate.bias";

// A parameter of one layer, without the stacking dimension.
struct V4LayerParameter {
  std::string name;  // inside the layer: "self_attention.wq_a.kernel"
  Dims dims;
  std::vector<std::string> axes;  // logical; "" is unnamed
  Update update = Update::kAdamW;
  MatrixLayout matrix = {};  // of the unstacked dimensions, for Muon
  int64_t stack_axis = 1;
};
std::vector<V4LayerParameter> V4LayerParameters(const ModelConfig& config, V4LayerKind kind);

// All parameters, in the order the entry block takes them, and the tables of hash layers
// (s32 [vocab, experts per token]), which no optimizer updates.
std::vector<Parameter> V4Parameters(const ModelConfig& config);
std::vector<Parameter> V4Tables(const ModelConfig& config);

// Parameters of the multi-token-prediction module, below "mtp_block." (v4-spec 2.14).
std::vector<V4LayerParameter> V4MtpParameters(const ModelConfig& config);

}  // namespace shardwise
