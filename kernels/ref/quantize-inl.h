// Quantisation to float8 and back, the recipe of Qwix 0.1.8: codes = round(clip(x / scale)).
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/base/dtype.h"
#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// Largest finite value of a float8.
inline double MaxFinite(DType dtype) { return dtype == DType::kF8E5M2 ? 57344.0 : 448.0; }

// x / scale, clipped to the finite range of `code` and rounded to it; the value of the code. The
// quotient is rounded to `operand` first, the dtype in which the division is made.
template <class S>
S QuantizeValue(S x, S scale, DType operand, DType code) {
  const double limit = MaxFinite(code);
  S quotient = S(RoundTo(operand, RealPart(x / scale)));
  if (Less(S(limit), quotient)) quotient = S(limit);
  if (Less(quotient, S(-limit))) quotient = S(-limit);
  return S(RoundTo(code, RealPart(quotient)));
}

}  // namespace shardwise::ref
