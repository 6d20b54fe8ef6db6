#include "model/ops/op_util.h"

#include <limits>

#include "kernels/base/check.h"

namespace shardwise {

StatusOr<Attrs> ParseNoAttrs(std::string_view text) {
  SW_ASSIGN_OR_RETURN(AttrParser parser, AttrParser::Parse(text));
  SW_RETURN_IF_ERROR(parser.Finish());
  return Attrs();
}

std::string Letters(int n, int first) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  SW_CHECK(first + n <= static_cast<int>(kLetters.size()), "{} factors", first + n);
  return std::string(kLetters.substr(first, n));
}

Status ExpectOperands(Types in, size_t count) {
  if (in.size() == count) return absl::OkStatus();
  return InvalidArgument("{} operands where {} are expected", in.size(), count);
}

Status ExpectFloat(Types in, size_t operand) {
  if (IsFloat(in[operand].dtype)) return absl::OkStatus();
  return InvalidArgument("operand {} is {}, not a float", operand, in[operand].ToText());
}

Status ExpectDType(Types in, size_t operand, DType dtype) {
  if (in[operand].dtype == dtype) return absl::OkStatus();
  return InvalidArgument("operand {} is {}, not of {}", operand, in[operand].ToText(), Name(dtype));
}

Status ExpectSameType(Types in, size_t operand, size_t as) {
  if (in[operand] == in[as]) return absl::OkStatus();
  return InvalidArgument("operand {} is {}, operand {} is {}", operand, in[operand].ToText(), as,
                         in[as].ToText());
}

Status ExpectSameDims(Types in, size_t operand, size_t as) {
  if (in[operand].dims == in[as].dims) return absl::OkStatus();
  return InvalidArgument("operand {} is {}, operand {} is {}: extents differ", operand,
                         in[operand].ToText(), as, in[as].ToText());
}

Status ExpectAxis(int64_t axis, int rank) {
  if (axis >= 0 && axis < rank) return absl::OkStatus();
  return InvalidArgument("axis {} of rank {}", axis, rank);
}

StatusOr<std::vector<TensorType>> InferIdentity(const Attrs&, Types in) {
  return std::vector<TensorType>(in.begin(), in.end());
}

StatusOr<std::vector<TensorType>> JoinedAndCut(const TensorType& in, int64_t group, int64_t joined,
                                               int64_t cut) {
  if (group < 1) return InvalidArgument("group of {}", group);
  TensorType result = in;
  if (joined != kNoDim) {
    SW_RETURN_IF_ERROR(ExpectAxis(joined, in.rank()));
    if (in.dims[joined] > std::numeric_limits<int64_t>::max() / group) {
      return InvalidArgument("{} devices' dimension {} of {} cannot be counted", group, joined,
                             in.ToText());
    }
    result.dims[joined] *= group;
  }
  if (cut != kNoDim) {
    SW_RETURN_IF_ERROR(ExpectAxis(cut, in.rank()));
    if (result.dims[cut] % group != 0) {
      return InvalidArgument("dimension {} of {} does not divide by {}", cut, in.ToText(), group);
    }
    result.dims[cut] /= group;
  }
  return std::vector<TensorType>{result};
}

IndexRule SelfRule(const Dims& dims, bool is_operand, std::span<const FactorRole> roles) {
  IndexRule rule;
  FactorTensor tensor;
  const std::string letters = Letters(static_cast<int>(dims.size()));
  for (size_t d = 0; d < dims.size(); ++d) {
    rule.factors.push_back({letters[d], dims[d], roles[d]});
    tensor.push_back({static_cast<int>(d)});
  }
  if (is_operand) rule.operands.push_back(tensor);
  rule.results.push_back(tensor);
  return rule;
}

IndexRule PointwiseRule(const Attrs&, Types in) {
  const std::vector<FactorRole> roles(in[0].dims.size(), FactorRole::kParallel);
  IndexRule rule = SelfRule(in[0].dims, /*is_operand=*/false, roles);
  rule.operands.assign(in.size(), rule.results[0]);
  return rule;
}

void PositiveSamples(uint64_t seed, std::vector<OpSample>& samples) {
  SampleRandom random(seed);
  for (int rank = 0; rank <= 3; ++rank) {
    const TensorType type = random.F64(rank);
    samples.push_back({Attrs(), {type}, {}, {UniformValues(random, type.elements(), 0.5, 2)}});
  }
}

std::vector<double> UniformValues(SampleRandom& random, int64_t count, double low, double high) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(random.Uniform(low, high));
  return values;
}

}  // namespace shardwise
