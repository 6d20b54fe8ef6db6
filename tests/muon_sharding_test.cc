// The Muon update of sharded parameters equals that of whole ones, whatever the sharding splits:
// matrices of a batch, rows, columns, or the dimensions that make them up.
#include <gtest/gtest.h>

#include <string>

#include "model/ir/verify.h"
#include "model/stacks/muon.h"
#include "tests/numerics.h"
#include "tests/random_graph.h"

namespace shardwise {
namespace {

constexpr double kTolerance = 1e-9;

struct Shape {
  Dims dims;
  MatrixLayout layout;
};

// Stacked experts, a query projection with heads, a matrix that stands and one that lies.
const std::vector<Shape>& Shapes() {
  static const std::vector<Shape> shapes = {{{4, 2, 8, 4}, {{0, 1}, {2}, {3}}},
                                            {{8, 2, 4, 2}, {{1}, {0}, {2, 3}}},
                                            {{8, 4}, {{}, {0}, {1}}},
                                            {{4, 8}, {{}, {0}, {1}}}};
  return shapes;
}

struct Step {
  Program program;
  std::vector<Tensor> inputs;
};

Step DrawStep(Draw& draw) {
  Step step;
  BlockBuilder b("step");
  std::vector<BlockOutput> outputs;
  const ValueId clip = b.Input("clip", {{}, DType::kF64});
  step.inputs.push_back(Tensor::FromValues({{}, DType::kF64}, {0.5}));
  for (const Shape& shape : Shapes()) {
    const TensorType type = {shape.dims, DType::kF64};
    const std::vector<std::string> names = DrawNames(draw, type.rank());
    std::vector<ValueId> in;
    for (const char* name : {"param", "grad", "mu"}) {
      BlockInput input;
      input.name = name;
      input.role = Role::kOptimizerState;
      input.logical_axes = names;
      in.push_back(b.Input(std::move(input), type));
      step.inputs.push_back(draw.Values(type));
    }
    const MuonResults r = MuonUpdate(b, step.program.blocks, in[0], in[1], in[2], clip,
                                     {0.95, 0.1, 0.1, 0.18}, shape.layout);
    outputs.push_back(NamedOutput(r.param, "param", names));
    outputs.push_back(NamedOutput(r.mu, "mu", names));
  }
  step.program.blocks.push_back(std::move(b).Finish(std::move(outputs)));
  CheckVerified(step.program, "building a test");
  return step;
}

TEST(MuonSharding, EqualsUnsharded) {
  for (uint64_t seed = 0; seed < 40 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Draw draw(seed);
    const Mesh mesh = DrawMesh(draw);
    const Step step = DrawStep(draw);
    ExpectShardedEquals(step.program, mesh, DrawRules(draw, mesh), step.inputs,
                        RunProgram(step.program, step.inputs), kTolerance);
  }
}

}  // namespace
}  // namespace shardwise
