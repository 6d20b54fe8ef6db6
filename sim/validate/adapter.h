// What connects a golden case with a graph of ours: an adapter builds the graph of one kind of case
// and says, for every input and output, which golden tensors it is and how they are laid out. The
// generic part (run_case.h) runs it and compares.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/status.h"
#include "model/ir/autodiff.h"
#include "model/ir/builder.h"
#include "sim/validate/golden_case.h"
#include "sim/validate/layout.h"

namespace shardwise {

struct BuiltCase {
  struct Bound {
    ValueId value;
    Source source;  // of golden tensors "in.*", "param.*" (inputs) or "out.*" (outputs)
    std::vector<double> constant = {};  // an input without a source has these values
  };
  struct Ignored {
    std::string tensor;
    std::string why;
  };

  explicit BuiltCase(const GoldenCase& golden) : golden_case(&golden), builder(golden.name) {}

  // An input of the entry block of the shape that the source has, and of dtype pred if the source
  // makes predicates, s32 for integers, else the case's.
  StatusOr<ValueId> Input(Source source);
  StatusOr<ValueId> Input(std::string tensor, std::vector<LayoutStep> steps = {}) {
    return Input(Source{.parts = {{std::move(tensor), std::move(steps)}}});
  }
  // An input with values of the adapter's own: positions, shifted targets.
  ValueId Constant(std::string name, TensorType type, std::vector<double> values);
  // `value` must equal the source; compared exactly if it is s32 or pred.
  void Output(ValueId value, Source source) { outputs.push_back({value, std::move(source)}); }
  void Output(ValueId value, std::string tensor, std::vector<LayoutStep> steps = {}) {
    Output(value, Source{.parts = {{std::move(tensor), std::move(steps)}}});
  }
  // A golden tensor that the graph does not have, and why.
  void Ignore(std::string tensor, std::string why) {
    ignored.push_back({std::move(tensor), std::move(why)});
  }

  const GoldenCase* golden_case;  // outlives this
  BlockBuilder builder;           // of the entry block; all its inputs are made by Input
  std::vector<Block> blocks;      // that it calls
  std::map<std::string, RematPolicy> policies;
  std::vector<Bound> inputs, outputs;
  std::vector<Ignored> ignored;
};

struct GoldenModule {
  std::string_view kind;  // of GoldenCase, or all before the dot: "layer" of "layer.csa_hash"
  StatusOr<BuiltCase> (*build)(const GoldenCase& golden);
};

// All adapters, by kind in alphabetical order.
std::span<const GoldenModule> GoldenModules();
// Null if no adapter builds this kind.
const GoldenModule* FindGoldenModule(std::string_view kind);

// The golden tensor as an array; an error if the case has none of that name.
StatusOr<Array> GoldenArray(const GoldenCase& golden, const std::string& tensor);

}  // namespace shardwise
