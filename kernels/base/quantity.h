// Quantities with units, so that per-chip bytes cannot be divided by per-device FLOP/s unnoticed.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>

namespace shardwise {

template <class Tag>
struct Quantity {
  double value = 0;

  auto operator<=>(const Quantity&) const = default;
  Quantity& operator+=(Quantity other) {
    value += other.value;
    return *this;
  }
  friend Quantity operator+(Quantity a, Quantity b) { return {a.value + b.value}; }
  friend Quantity operator-(Quantity a, Quantity b) { return {a.value - b.value}; }
  friend Quantity operator*(Quantity a, double s) { return {a.value * s}; }
  friend Quantity operator*(double s, Quantity a) { return {a.value * s}; }
  friend Quantity operator/(Quantity a, double s) { return {a.value / s}; }
  friend double operator/(Quantity a, Quantity b) { return a.value / b.value; }
};

using Bytes = Quantity<struct BytesTag>;
using Flops = Quantity<struct FlopsTag>;
using ByteRate = Quantity<struct ByteRateTag>;  // bytes per second
using FlopRate = Quantity<struct FlopRateTag>;  // floating point operations per second

// Time in integer picoseconds: sums are exact and event order is the same everywhere. 2^63 ps is
// 106 days.
struct Duration {
  int64_t ps = 0;

  auto operator<=>(const Duration&) const = default;
  Duration& operator+=(Duration other) {
    ps += other.ps;
    return *this;
  }
  Duration& operator-=(Duration other) {
    ps -= other.ps;
    return *this;
  }
  friend Duration operator+(Duration a, Duration b) { return {a.ps + b.ps}; }
  friend Duration operator-(Duration a, Duration b) { return {a.ps - b.ps}; }
  friend Duration operator*(Duration a, int64_t n) { return {a.ps * n}; }
  double seconds() const { return static_cast<double>(ps) * 1e-12; }
};

// Rounds up: no work is free.
inline Duration FromSeconds(double s) { return {static_cast<int64_t>(std::ceil(s * 1e12))}; }

inline Duration operator/(Bytes bytes, ByteRate rate) {
  return FromSeconds(bytes.value / rate.value);
}
inline Duration operator/(Flops flops, FlopRate rate) {
  return FromSeconds(flops.value / rate.value);
}

inline constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

}  // namespace shardwise
