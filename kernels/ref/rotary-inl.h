// Rotary position embedding (Su et al., arXiv:2104.09864) in the half-split layout: element i of
// the first half of a head and element i of the second half are the coordinates of one plane.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// x [b,s,h,d], positions [b,s] -> y [b,s,h,d]. Plane i of d/2 turns by position /
// max_timescale^(2i/d), backwards if `inverse`. Angles are f64 also for float: 2^17 radians leave 7
// digits too few in f32.
template <class S>
void Rotary(double max_timescale, bool inverse, View<const S> x, View<const int32_t> positions,
            View<S> y) {
  using Angle = std::conditional_t<std::is_same_v<S, float>, double, S>;
  const int64_t batch = x.dim(0), length = x.dim(1), heads = x.dim(2), half = x.dim(3) / 2;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t s = 0; s < length; ++s) {
      for (int64_t i = 0; i < half; ++i) {
        const double timescale =
            std::pow(max_timescale, static_cast<double>(i) / static_cast<double>(half));
        const Angle angle = Angle(static_cast<double>(positions(b, s))) / Angle(timescale);
        const S cos = static_cast<S>(Cos(angle));
        const S sin = static_cast<S>(inverse ? -Sin(angle) : Sin(angle));
        for (int64_t h = 0; h < heads; ++h) {
          const S first = x(b, s, h, i), second = x(b, s, h, half + i);
          y(b, s, h, i) = first * cos - second * sin;
          y(b, s, h, half + i) = second * cos + first * sin;
        }
      }
    }
  }
}

}  // namespace shardwise::ref
