// The switch form of the balance loss is pooled over all tokens of all layers, so it must not
// depend on how layers are cut into blocks, nor tokens over devices. (Its values are those of the
// golden file model.lm_aux.)
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "model/ops/builders.h"
#include "model/stacks/train_step.h"
#include "sim/exec/execute.h"
#include "tests/appendix_v4.h"
#include "tests/numerics.h"

namespace shardwise::appendix {
namespace {

constexpr int64_t kBatch = 2, kPattern = 2, kTrips = 2;
constexpr char kScanned[] = "scanned_blocks";

// A hash layer, then CSA and HCA twice.
ModelConfig Config(bool scan, double weight) {
  ModelConfig c = MiniConfig();
  c.scan_layers = scan;
  c.global_batch_size = kBatch;
  c.v4.compress_ratios = {0, 4, 6, 4, 6};
  c.v4.first_num_hash_layers = 1;
  c.v4.balance_loss = BalanceLoss::kSwitch;
  c.v4.load_balance_loss_weight = weight;
  return c;
}

std::vector<double> TokenIds(int64_t by) {
  std::vector<double> ids;
  for (int64_t i = 0; i < kBatch * kLength; ++i) {
    ids.push_back(static_cast<double>((7 * (i + by) + i / kLength) % 11));
  }
  return ids;
}

// Inputs of the entry block by name; parameters are drawn.
Results Values(const Block& entry) {
  std::vector<double> positions;
  for (int64_t i = 0; i < kBatch * kLength; ++i)
    positions.push_back(static_cast<double>(i % kLength));
  Results values;
  for (const BlockInput& input : entry.inputs) {
    const TensorType& type = entry.type(input.value);
    std::vector<double> v;
    if (input.name.ends_with("tid2eid")) {
      v = HashTable();
    } else if (input.name == "inputs" || input.name == "targets") {
      v = TokenIds(input.name == "inputs" ? 0 : 1);
    } else if (input.name == "inputs_position") {
      v = positions;
    } else if (type.dtype == DType::kI32) {
      v.assign(kBatch * kLength, 1);  // segments
    } else {
      uint64_t seed = 1;
      for (char c : input.name) seed = 31 * seed + static_cast<uint64_t>(c);
      const bool gain = input.name.ends_with("scale") || input.name == "targets_weights";
      v = AppendixRandom(type.dims, seed % 100000, 1, gain ? 1 : 0);
    }
    values.emplace(input.name, TensorOf(type, v));
  }
  return values;
}

Results Named(const Block& entry, const std::vector<Tensor>& outputs) {
  Results named;
  for (size_t o = 0; o < outputs.size(); ++o) named.emplace(entry.outputs[o].name, outputs[o]);
  return named;
}

std::vector<Tensor> InOrder(const Block& entry, const Results& values) {
  std::vector<Tensor> inputs;
  for (const BlockInput& input : entry.inputs) inputs.push_back(values.at(input.name));
  return inputs;
}

TrainStep Step(const ModelConfig& config) {
  StatusOr<TrainStep> step = BuildLossAndGradients(config);
  SW_CHECK(step.ok(), "{}", Message(step.status()));
  return *std::move(step);
}

Results RunStep(const TrainStep& step, const Results& values) {
  const Block& entry = step.program.entry();
  return Named(entry, RunProgram(Inlined(step.program), InOrder(entry, values)));
}

Tensor StackSliceOf(const Tensor& stacked, int64_t axis, int64_t index) {
  BlockBuilder b("slice");
  BlockOutput slice;
  slice.value = StackSlice(b, b.Input("x", stacked.type()), axis, index);
  Program program;
  program.blocks.push_back(std::move(b).Finish({slice}));
  return RunProgram(program, {stacked})[0];
}

// Values of the scanned model as those of the unrolled one: `prefix` + name of each parameter.
Results Unrolled(const TrainStep& scanned, const Results& values, const std::string& prefix) {
  Results unrolled = values;
  const std::string path = std::string("decoder.") + kScanned + ".layers_";
  for (const Parameter& p : scanned.parameters) {
    if (!p.name.starts_with(path)) continue;
    const auto axis = std::find(p.logical_axes.begin(), p.logical_axes.end(), kScanned);
    const int64_t place = p.name[path.size()] - '0';
    for (int64_t trip = 0; trip < kTrips; ++trip) {
      const std::string name = prefix + "decoder.layers_" +
                               std::to_string(1 + kPattern * trip + place) +
                               p.name.substr(path.size() + 1);
      unrolled.emplace(
          name, StackSliceOf(values.at(prefix + p.name), axis - p.logical_axes.begin(), trip));
    }
    unrolled.erase(prefix + p.name);
  }
  return unrolled;
}

TEST(SwitchBalance, ScannedLayersAreUnrolledOnes) {
  const TrainStep scanned = Step(Config(true, 0.5)), unrolled = Step(Config(false, 0.5));
  ASSERT_LT(scanned.parameters.size(), unrolled.parameters.size());
  const Results values = Values(scanned.program.entry());
  const Results one = Unrolled(scanned, RunStep(scanned, values), "grad.");
  const Results other = RunStep(unrolled, Unrolled(scanned, values, ""));
  ASSERT_EQ(one.size(), other.size());
  for (const auto& [name, expected] : other) {
    EXPECT_LT(RelativeError(one.at(name), expected), 1e-11) << name;
  }
  // The loss is in it, and is nothing like 0 where loads are uneven.
  const double without = RunStep(Step(Config(true, 0)), values).at("loss").Get(0);
  EXPECT_GT(one.at("loss").Get(0) - without, 0.5);
}

TEST(SwitchBalance, TokensOnTwoDevices) {
  ModelConfig config = Config(true, 0.5);
  const TrainStep whole = Step(config);
  config.mesh = {{{"data", 2, 1}}};
  config.region_axes.batch = {"data"};
  const TrainStep step = Step(config);
  const LogicalAxisRules rules = {{"activation_embed_and_logits_batch", {"data"}},
                                  {"activation_batch", {"data"}}};
  const StatusOr<SpmdProgram> spmd = Partition(step.program, config.mesh, rules);
  ASSERT_TRUE(spmd.ok()) << Message(spmd.status());
  const Block& entry = step.program.entry();
  const Results values = Values(entry);
  const Block& local = spmd->program.entry();
  EXPECT_EQ(local.type(local.inputs.back().value).dims, (Dims{kBatch / 2, kLength}));
  const Results sharded = Named(entry, RunSharded(*spmd, InOrder(entry, values)));
  for (const auto& [name, expected] : RunStep(whole, values)) {
    EXPECT_LT(RelativeError(sharded.at(name), expected), 1e-11) << name;
  }
}

}  // namespace
}  // namespace shardwise::appendix
