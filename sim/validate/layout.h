// How a tensor of a program is made of the tensors of a golden case: a list of small steps per
// tensor, and a join. The steps only lay values out anew, so the same source that makes an input
// from its parameters makes the expected gradient of that input from theirs, and the one that makes
// an expected output makes its cotangent.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/base/status.h"
#include "kernels/base/tensor.h"

namespace shardwise {

// Row-major; integers and predicates (0 or 1) are doubles too.
struct Array {
  Dims dims;
  std::vector<double> values;
};

// Dimension i of the result is dimension order[i] of the operand: {1, 0} turns [out,in] to
// [in,out].
struct PermuteDims {
  std::vector<int64_t> order;
};
struct ReshapeTo {
  Dims dims;
};
// Elements [start, limit) of a dimension: rows 0..F-1 of a fused gate_up projection.
struct TakeRange {
  int64_t dim, start, limit;
};
// A dimension of extent 1, `count` times: positions [1,s] for a batch. Never for gradients.
struct RepeatDim {
  int64_t dim, count;
};
// 1 where an entry is equal to the value, else 0: an additive mask of 0 and -inf as a predicate.
struct EqualTo {
  double value;
};
// Indices [...,k] to [...,extent]: 1 at the places that a row names, else 0. Negative ones name
// none.
struct MarkIndices {
  int64_t extent;
};
// Values [...,k] to [...,extent]: value j of a row at the place that index j of the row in the
// golden tensor `indices` names, 0 elsewhere. So that the order within a row does not matter.
struct PlaceByIndex {
  std::string indices;
  int64_t extent;
};
using LayoutStep =
    std::variant<PermuteDims, ReshapeTo, TakeRange, RepeatDim, EqualTo, MarkIndices, PlaceByIndex>;

// The linear weight [out,in] of the modules as [in,out].
inline LayoutStep TransposeMatrix() { return PermuteDims{{1, 0}}; }

struct Part {
  std::string tensor;  // "param.q_a_proj.weight"
  std::vector<LayoutStep> steps = {};
};

struct Source {
  enum class Join : uint8_t {
    kNone,         // one part
    kStack,        // along a new dimension: layers of a scanned block
    kConcatenate,  // along a dimension
  };
  std::vector<Part> parts;
  Join join = Join::kNone;
  int64_t axis = 0;

  // Says which golden tensor it is, for messages: "param.a", "param.a and 3 more".
  std::string Name() const;
};

// The golden tensor of a name.
using Lookup = std::function<StatusOr<Array>(const std::string& tensor)>;

// `lookup` supplies the tensors of parts, `indices` those of PlaceByIndex. A step that does not fit
// its operand is an error that names the tensor.
StatusOr<Array> Evaluate(const Source& source, const Lookup& lookup, const Lookup& indices);

// Every element of the result is an element of a part, and none twice: what the source of a value
// with a gradient must be.
bool IsRelayout(const Source& source);
// Every element of the result is an element of a part, none twice, or 0: what the source of a value
// with a cotangent must be.
bool KeepsValues(const Source& source);
// The result is 0 or 1, whatever the parts are.
bool MakesPredicate(const Source& source);

}  // namespace shardwise
