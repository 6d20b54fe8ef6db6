#include "sim/validate/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace shardwise {
namespace {

Status BadStep(const Dims& dims, std::string_view what) {
  return InvalidArgument("{} of {}", what, TensorType{dims, DType::kF64}.ToText());
}

bool HasDim(const Array& x, int64_t dim) {
  return dim >= 0 && dim < static_cast<int64_t>(x.dims.size());
}

// out[i] = x[from(multi-index of i)], where the flat position is stepped by `strides` of x.
Array Gather(const Array& x, const Dims& dims, const Dims& strides, int64_t offset) {
  Array out{dims, std::vector<double>(Product(dims))};
  Dims index(dims.size());
  int64_t from = offset;
  for (double& value : out.values) {
    value = x.values[from];
    for (size_t d = dims.size(); d-- > 0;) {
      from += strides[d];
      if (++index[d] < dims[d]) break;
      from -= strides[d] * dims[d];
      index[d] = 0;
    }
  }
  return out;
}

StatusOr<Array> Apply(const PermuteDims& step, const Array& x, const Lookup&) {
  std::vector<int64_t> sorted = step.order;
  std::sort(sorted.begin(), sorted.end());
  bool whole = sorted.size() == x.dims.size();
  for (size_t d = 0; whole && d < sorted.size(); ++d) whole = sorted[d] == static_cast<int64_t>(d);
  if (!whole) return BadStep(x.dims, "a permutation that is none");
  const Dims strides = ContiguousStrides(x.dims);
  Dims dims, steps;
  for (int64_t d : step.order) {
    dims.push_back(x.dims[d]);
    steps.push_back(strides[d]);
  }
  return Gather(x, dims, steps, 0);
}

StatusOr<Array> Apply(const ReshapeTo& step, const Array& x, const Lookup&) {
  if (Product(step.dims) != Product(x.dims)) {
    return BadStep(x.dims, fmt::format("a reshape to {} elements", Product(step.dims)));
  }
  return Array{step.dims, x.values};
}

StatusOr<Array> Apply(const TakeRange& step, const Array& x, const Lookup&) {
  if (!HasDim(x, step.dim) || step.start < 0 || step.start > step.limit ||
      step.limit > x.dims[step.dim]) {
    return BadStep(x.dims,
                   fmt::format("range [{}, {}) of dimension {}", step.start, step.limit, step.dim));
  }
  Dims dims = x.dims;
  dims[step.dim] = step.limit - step.start;
  const Dims strides = ContiguousStrides(x.dims);
  return Gather(x, dims, strides, step.start * strides[step.dim]);
}

StatusOr<Array> Apply(const RepeatDim& step, const Array& x, const Lookup&) {
  if (!HasDim(x, step.dim) || x.dims[step.dim] != 1 || step.count < 0) {
    return BadStep(x.dims, fmt::format("{} times dimension {}", step.count, step.dim));
  }
  Dims dims = x.dims, strides = ContiguousStrides(x.dims);
  dims[step.dim] = step.count;
  strides[step.dim] = 0;
  return Gather(x, dims, strides, 0);
}

StatusOr<Array> Apply(const EqualTo& step, const Array& x, const Lookup&) {
  Array out = x;
  for (double& value : out.values) value = value == step.value ? 1 : 0;
  return out;
}

// `values` at the places of `indices` (same shape, [...,k]); a place is named twice only if
// `shared`.
StatusOr<Array> Place(const Array& values, const Array& indices, int64_t extent, bool shared) {
  if (values.dims.empty() || values.dims != indices.dims || extent < 0) {
    return BadStep(values.dims, fmt::format("{} places by indices", extent));
  }
  Array out{values.dims, {}};
  out.dims.back() = extent;
  out.values.resize(Product(out.dims));
  std::vector<bool> taken(out.values.size());
  const int64_t k = values.dims.back();
  for (size_t i = 0; i < values.values.size(); ++i) {
    const double index = indices.values[i];
    if (index < 0) continue;
    if (index >= static_cast<double>(extent)) {
      return BadStep(values.dims, fmt::format("index {} among {} places", index, extent));
    }
    const int64_t place = static_cast<int64_t>(i) / k * extent + static_cast<int64_t>(index);
    if (taken[place] && !shared) {
      return BadStep(values.dims, fmt::format("index {} twice in a row", index));
    }
    taken[place] = true;
    out.values[place] = values.values[i];
  }
  return out;
}

StatusOr<Array> Apply(const MarkIndices& step, const Array& x, const Lookup&) {
  return Place({x.dims, std::vector<double>(x.values.size(), 1)}, x, step.extent, /*shared=*/true);
}

StatusOr<Array> Apply(const PlaceByIndex& step, const Array& x, const Lookup& indices) {
  SW_ASSIGN_OR_RETURN(const Array places, indices(step.indices));
  return Place(x, places, step.extent, /*shared=*/false);
}

StatusOr<Array> EvaluatePart(const Part& part, const Lookup& lookup, const Lookup& indices) {
  SW_ASSIGN_OR_RETURN(Array x, lookup(part.tensor));
  for (const LayoutStep& step : part.steps) {
    StatusOr<Array> next = std::visit([&](const auto& s) { return Apply(s, x, indices); }, step);
    if (!next.ok()) return InvalidArgument("{}: {}", part.tensor, Message(next.status()));
    x = *std::move(next);
  }
  return x;
}

// Arrays of equal shape, but for the extent of `axis`, one after the other along it.
StatusOr<Array> Concatenated(const std::vector<Array>& arrays, int64_t axis) {
  Array out{arrays[0].dims, {}};
  if (!HasDim(out, axis)) return BadStep(out.dims, fmt::format("dimension {}", axis));
  out.dims[axis] = 0;
  int64_t outer = 1, inner = 1;
  for (int64_t d = 0; d < static_cast<int64_t>(out.dims.size()); ++d) {
    if (d < axis) outer *= out.dims[d];
    if (d > axis) inner *= out.dims[d];
  }
  for (const Array& array : arrays) {
    Dims dims = array.dims;
    if (HasDim(array, axis)) dims[axis] = out.dims[axis];
    if (dims != out.dims) return BadStep(array.dims, "a join with other extents");
    out.dims[axis] += array.dims[axis];
  }
  for (int64_t o = 0; o < outer; ++o) {
    for (const Array& array : arrays) {
      const int64_t run = array.dims[axis] * inner;
      out.values.insert(out.values.end(), array.values.begin() + o * run,
                        array.values.begin() + (o + 1) * run);
    }
  }
  return out;
}

template <class Step>
bool HasStep(const Source& source) {
  for (const Part& part : source.parts) {
    for (const LayoutStep& step : part.steps) {
      if (std::holds_alternative<Step>(step)) return true;
    }
  }
  return false;
}

}  // namespace

std::string Source::Name() const {
  if (parts.empty()) return "nothing";
  if (parts.size() == 1) return parts[0].tensor;
  return fmt::format("{} and {} more", parts[0].tensor, parts.size() - 1);
}

StatusOr<Array> Evaluate(const Source& source, const Lookup& lookup, const Lookup& indices) {
  const bool joined = source.join != Source::Join::kNone;
  if (source.parts.empty() || (!joined && source.parts.size() > 1)) {
    return InvalidArgument("a source of {} parts without a join", source.parts.size());
  }
  std::vector<Array> arrays;
  for (const Part& part : source.parts) {
    SW_ASSIGN_OR_RETURN(Array array, EvaluatePart(part, lookup, indices));
    arrays.push_back(std::move(array));
  }
  if (!joined) return std::move(arrays[0]);
  if (source.join == Source::Join::kStack) {
    for (Array& array : arrays) {
      const auto rank = static_cast<int64_t>(array.dims.size());
      if (source.axis < 0 || source.axis > rank) {
        return InvalidArgument("{}: no place {} for a dimension", source.Name(), source.axis);
      }
      array.dims.insert(array.dims.begin() + source.axis, 1);
    }
  }
  StatusOr<Array> out = Concatenated(arrays, source.axis);
  if (!out.ok()) return InvalidArgument("{}: {}", source.Name(), Message(out.status()));
  return out;
}

bool KeepsValues(const Source& source) {
  return !HasStep<RepeatDim>(source) && !MakesPredicate(source);
}

bool IsRelayout(const Source& source) {
  return KeepsValues(source) && !HasStep<PlaceByIndex>(source);
}

bool MakesPredicate(const Source& source) {
  return HasStep<EqualTo>(source) || HasStep<MarkIndices>(source);
}

}  // namespace shardwise
