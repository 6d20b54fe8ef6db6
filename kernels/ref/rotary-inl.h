// Rotary position embedding (Su et al., arXiv:2104.09864), with the frequencies of YaRN (Peng et
// al., arXiv:2309.00071) for contexts longer than those first trained on.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <type_traits>
#include <vector>

#include "kernels/base/scalars.h"
#include "kernels/base/tensor.h"

namespace shardwise::ref {

// The planes that the trailing `dims` elements of a head make, two elements each, and how fast each
// turns.
struct RotaryPlanes {
  int64_t dims = 0;          // even
  bool interleaved = false;  // plane i has elements 2i and 2i + 1; else i and dims/2 + i
  double max_timescale = 10000;
  // Factor 1: off. Planes that turn less than beta_slow times over the original length turn slower
  // by the factor, those that turn more than beta_fast times do not, a ramp joins the two.
  double yarn_factor = 1, yarn_original_length = 0, yarn_beta_fast = 32, yarn_beta_slow = 1;

  int64_t count() const { return dims / 2; }
  int64_t First(int64_t plane) const { return interleaved ? 2 * plane : plane; }
  int64_t Second(int64_t plane) const { return First(plane) + (interleaved ? 1 : count()); }

  // Positions per radian, the inverse of the frequency: max_timescale^(2i/dims) without YaRN.
  double Timescale(int64_t plane) const {
    const double timescale =
        std::pow(max_timescale, static_cast<double>(plane) / static_cast<double>(count()));
    if (yarn_factor == 1) return timescale;
    const double low = std::max(std::floor(PlaneOfTurns(yarn_beta_fast)), 0.0);
    const double high =
        std::min(std::ceil(PlaneOfTurns(yarn_beta_slow)), static_cast<double>(dims - 1));
    const double width = high > low ? high - low : 0.001;
    const double ramp = std::clamp((static_cast<double>(plane) - low) / width, 0.0, 1.0);
    return timescale / (ramp / yarn_factor + (1 - ramp));
  }

 private:
  // The plane, between integers, that turns this often over the original length.
  double PlaneOfTurns(double turns) const {
    return static_cast<double>(dims) *
           std::log(yarn_original_length / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(max_timescale));
  }
};

// x [b,s,h,d], positions [b,s] -> y [b,s,h,d]. Every plane turns by position / timescale, backwards
// if `inverse`; elements before the last planes.dims stay. Angles are f64 also for float: 2^17
// radians leave 7 digits too few in f32.
template <class S>
void Rotary(const RotaryPlanes& planes, bool inverse, View<const S> x,
            View<const int32_t> positions, View<S> y) {
  using Angle = std::conditional_t<std::is_same_v<S, float>, double, S>;
  const int64_t batch = x.dim(0), length = x.dim(1), heads = x.dim(2);
  const int64_t still = x.dim(3) - planes.dims;
  std::vector<double> timescales;
  for (int64_t i = 0; i < planes.count(); ++i) timescales.push_back(planes.Timescale(i));
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t s = 0; s < length; ++s) {
      for (int64_t i = 0; i < planes.count(); ++i) {
        const int64_t at_first = still + planes.First(i), at_second = still + planes.Second(i);
        const Angle angle = Angle(static_cast<double>(positions(b, s))) / Angle(timescales[i]);
        const S cos = static_cast<S>(Cos(angle));
        const S sin = static_cast<S>(inverse ? -Sin(angle) : Sin(angle));
        for (int64_t h = 0; h < heads; ++h) {
          const S first = x(b, s, h, at_first), second = x(b, s, h, at_second);
          y(b, s, h, at_first) = first * cos - second * sin;
          y(b, s, h, at_second) = second * cos + first * sin;
        }
      }
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t i = 0; i < still; ++i) y(b, s, h, i) = x(b, s, h, i);
      }
    }
  }
}

}  // namespace shardwise::ref
