// sqrt(log(1 + e^z)), the score of DeepSeek-V4's router, without overflow, cancellation or
// underflow of e^z: a form of its own on each side of zero.
#pragma once

#include "kernels/base/scalars.h"

namespace shardwise::ref {

// With t = e^-|z|, half = e^(-|z|/2) and g = log(1 + t) / t, which tends to 1 with t:
//   softplus(z) = t g for z < 0, so its root is half sqrt(g), and its slope half / (2 (1+t)
//   sqrt(g)); softplus(z) = z + t g else, with slope 1 / (2 (1+t) sqrt(z + t g)).
// Both are factor * root and factor / (2 (1+t) root) with factor = half or 1, root = sqrt(g) or
// sqrt(z + t g). What the other side needs is computed too, so that the count does not depend on z.
template <class S>
struct SqrtSoftplusParts {
  explicit SqrtSoftplusParts(S z) {
    const bool negative = RealPart(z) < 0;
    const S half = Exp(z * S(negative ? 0.5 : -0.5));
    const S t = half * half;
    one_plus_t = S(1) + t;
    // log(u) / (u - 1) is smooth in u, so that the rounding of u = 1 + t does no harm.
    const S quotient = Log(one_plus_t) / (one_plus_t - S(1));
    const S g = RealPart(one_plus_t) == 1 ? S(1) : quotient;
    const S sum = z + t * g;
    root = Sqrt(negative ? g : sum);
    factor = negative ? half : S(1);
  }
  S one_plus_t, root, factor;
};

template <class S>
S SqrtSoftplus(S z) {
  const SqrtSoftplusParts<S> parts(z);
  return parts.factor * parts.root;
}

// dz = ds logistic(z) / (2 sqrt(softplus(z))); tends to ds e^(z/2) / 2 as z falls.
template <class S>
S SqrtSoftplusVjp(S z, S ds) {
  const SqrtSoftplusParts<S> parts(z);
  return ds * (parts.factor / (S(2) * (parts.one_plus_t * parts.root)));
}

}  // namespace shardwise::ref
