#include "kernels/ref/block_visibility-inl.h"
#include "model/ops/all_ops.h"
#include "model/ops/deepseek_builders.h"
#include "model/ops/fused_util.h"
#include "model/ops/op_util.h"
#include "model/ops/packed_samples.h"

namespace shardwise {
namespace {

struct BlockVisibilityAttrs {
  int64_t ratio = 1;
  void VisitFields(auto&& v) { v("ratio", ratio); }
};

struct BlockVisibilityKernel {
  template <class S>
  static void Run(const Attrs& attrs, const KernelContext<S>& c) {
    ref::BlockVisibility(attrs.As<BlockVisibilityAttrs>().ratio, c.InI32(0), c.InI32(1), c.InI32(2),
                         c.InI32(3), c.OutBool(0));
  }
};

int64_t Blocks(const Attrs& attrs, Types in) {
  return in[2].dims[1] / attrs.As<BlockVisibilityAttrs>().ratio;
}

StatusOr<std::vector<TensorType>> BlockVisibilityInfer(const Attrs& attrs, Types in) {
  const int64_t ratio = attrs.As<BlockVisibilityAttrs>().ratio;
  SW_RETURN_IF_ERROR(MatchDims("bs,bs,bt,bt", in));
  for (size_t k = 0; k < in.size(); ++k) SW_RETURN_IF_ERROR(ExpectDType(in, k, DType::kI32));
  if (ratio < 1) return InvalidArgument("blocks of {} tokens", ratio);
  const Dims& queries = in[0].dims;
  return std::vector<TensorType>{{{queries[0], queries[1], Blocks(attrs, in)}, DType::kBool}};
}

IndexRule BlockVisibilityRule(const Attrs& attrs, Types in) {
  const std::pair<char, int64_t> sizes[] = {{'c', Blocks(attrs, in)}};
  constexpr std::pair<char, FactorRole> kRoles[] = {{'t', FactorRole::kReplicate},
                                                    {'c', FactorRole::kReplicate}};
  return MakeRule("bs,bs,bt,bt->bsc", in, sizes, kRoles);
}

// Two comparisons and their joining for each query and block, one for each token.
KernelWork BlockVisibilityWork(const Attrs&, Types in, Types out) {
  KernelWork work;
  work.vector_ops =
      3 * static_cast<double>(out[0].elements()) + static_cast<double>(in[3].elements());
  return work;
}

void BlockVisibilitySamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int64_t ratio : {1, 2, 3}) {
    const int64_t b = random.Extent(), t = 2 * random.Extent(), s = random.Int(1, t);
    const TensorType queries = {{b, s}, DType::kI32}, tokens = {{b, t}, DType::kI32};
    const std::vector<double> positions = PackedPositions(random, b, t);
    const std::vector<double> segments = PackedSegments(positions, t);
    // The last tokens of each row ask.
    std::vector<double> q_positions, q_segments;
    for (int64_t row = 0; row < b; ++row) {
      for (int64_t i = t - s; i < t; ++i) {
        q_positions.push_back(positions[row * t + i]);
        q_segments.push_back(segments[row * t + i]);
      }
    }
    samples.push_back({Attrs(BlockVisibilityAttrs{ratio}),
                       {queries, queries, tokens, tokens},
                       {},
                       {q_positions, q_segments, positions, segments}});
  }
}

}  // namespace

OpDef BlockVisibilityOp() {
  OpDef op;
  op.name = "block_visibility";
  op.doc =
      "Positions and segments s32 of queries [b,s] and of tokens [b,t] -> pred [b,s,t/ratio]: "
      "whether a query may see a block of tokens: position of its first token + ratio <= position "
      "of the query + 1, and all its tokens have the query's segment. Tokens behind the last whole "
      "block are in none.";
  op.op_class = OpClass::kIndexing;
  op.parse_attrs = ParseAttrs<BlockVisibilityAttrs>;
  op.infer = BlockVisibilityInfer;
  op.rule = BlockVisibilityRule;
  op.work = BlockVisibilityWork;
  op.kernels = KernelsOf<BlockVisibilityKernel>();
  op.samples = BlockVisibilitySamples;
  return op;
}

ValueId BlockVisibility(BlockBuilder& b, ValueId q_positions, ValueId q_segments, ValueId positions,
                        ValueId segments, int64_t ratio) {
  return b.Add1("block_visibility", BlockVisibilityAttrs{ratio},
                {q_positions, q_segments, positions, segments});
}

}  // namespace shardwise
