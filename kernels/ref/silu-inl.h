// x / (1 + exp(-x)) (Elfwing et al., arXiv:1702.03118).
#pragma once

#include "kernels/base/scalars.h"

namespace shardwise::ref {

template <class S>
S Silu(S x) {
  return x / (S(1) + Exp(-x));
}

}  // namespace shardwise::ref
