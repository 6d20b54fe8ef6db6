// Scalar types beyond float and double that reference kernels are run with in tests: a counting
// scalar (exact operation counts) and std::complex<double> (complex-step derivatives).
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>

namespace shardwise {

// What one run of a kernel did. A sum that starts from zero counts its first addition.
struct OpCounts {
  int64_t mul_add = 0;         // +, -, *
  int64_t compare = 0;         // <, >, max, min, select conditions on floats
  int64_t divide_root = 0;     // /, sqrt, rsqrt
  int64_t transcendental = 0;  // exp, log, tanh, sin, cos, logistic

  bool operator==(const OpCounts&) const = default;
  OpCounts& operator+=(const OpCounts& o) {
    mul_add += o.mul_add;
    compare += o.compare;
    divide_root += o.divide_root;
    transcendental += o.transcendental;
    return *this;
  }
  friend OpCounts operator*(OpCounts a, int64_t n) {
    return {a.mul_add * n, a.compare * n, a.divide_root * n, a.transcendental * n};
  }
  int64_t total() const { return mul_add + compare + divide_root + transcendental; }
};

// A double that counts the arithmetic done on it. Negation, copies and conversions are free.
class Counting {
 public:
  Counting() = default;
  Counting(double v) : v_(v) {}  // NOLINT(google-explicit-constructor): literals in kernels
  double value() const { return v_; }

  static inline thread_local OpCounts counts;

  Counting operator-() const { return {-v_}; }
  friend Counting operator+(Counting a, Counting b) { return Added(a.v_ + b.v_); }
  friend Counting operator-(Counting a, Counting b) { return Added(a.v_ - b.v_); }
  friend Counting operator*(Counting a, Counting b) { return Added(a.v_ * b.v_); }
  friend Counting operator/(Counting a, Counting b) { return Rooted(a.v_ / b.v_); }
  Counting& operator+=(Counting b) { return *this = *this + b; }
  Counting& operator-=(Counting b) { return *this = *this - b; }
  Counting& operator*=(Counting b) { return *this = *this * b; }
  Counting& operator/=(Counting b) { return *this = *this / b; }

  friend Counting Sqrt(Counting a) { return Rooted(std::sqrt(a.v_)); }
  friend Counting Rsqrt(Counting a) { return Rooted(1.0 / std::sqrt(a.v_)); }
  friend Counting Exp(Counting a) { return Transcended(std::exp(a.v_)); }
  friend Counting Log(Counting a) { return Transcended(std::log(a.v_)); }
  friend Counting Tanh(Counting a) { return Transcended(std::tanh(a.v_)); }
  friend Counting Sin(Counting a) { return Transcended(std::sin(a.v_)); }
  friend Counting Cos(Counting a) { return Transcended(std::cos(a.v_)); }
  friend bool Less(Counting a, Counting b) {
    ++counts.compare;
    return a.v_ < b.v_;
  }
  friend bool Equal(Counting a, Counting b) {
    ++counts.compare;
    return a.v_ == b.v_;
  }

 private:
  static Counting Added(double v) {
    ++counts.mul_add;
    return {v};
  }
  static Counting Rooted(double v) {
    ++counts.divide_root;
    return {v};
  }
  static Counting Transcended(double v) {
    ++counts.transcendental;
    return {v};
  }
  double v_ = 0;
};

using Complex = std::complex<double>;

// The functions kernels call, for every scalar. Order is by real part, so that a complex step of
// 1e-30 never changes a branch.
inline float Sqrt(float x) { return std::sqrt(x); }
inline float Rsqrt(float x) { return 1.0f / std::sqrt(x); }
inline float Exp(float x) { return std::exp(x); }
inline float Log(float x) { return std::log(x); }
inline float Tanh(float x) { return std::tanh(x); }
inline float Sin(float x) { return std::sin(x); }
inline float Cos(float x) { return std::cos(x); }
inline bool Less(float a, float b) { return a < b; }
inline bool Equal(float a, float b) { return a == b; }
inline double Sqrt(double x) { return std::sqrt(x); }
inline double Rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline double Exp(double x) { return std::exp(x); }
inline double Log(double x) { return std::log(x); }
inline double Tanh(double x) { return std::tanh(x); }
inline double Sin(double x) { return std::sin(x); }
inline double Cos(double x) { return std::cos(x); }
inline bool Less(double a, double b) { return a < b; }
inline bool Equal(double a, double b) { return a == b; }
inline Complex Sqrt(Complex x) { return std::sqrt(x); }
inline Complex Rsqrt(Complex x) { return 1.0 / std::sqrt(x); }
inline Complex Exp(Complex x) { return std::exp(x); }
inline Complex Log(Complex x) { return std::log(x); }
inline Complex Tanh(Complex x) { return std::tanh(x); }
inline Complex Sin(Complex x) { return std::sin(x); }
inline Complex Cos(Complex x) { return std::cos(x); }
inline bool Less(Complex a, Complex b) { return a.real() < b.real(); }
inline bool Equal(Complex a, Complex b) { return a.real() == b.real(); }

// The real number a scalar stands for: data-dependent decisions (indices, masks) look at this.
inline double RealPart(float x) { return x; }
inline double RealPart(double x) { return x; }
inline double RealPart(Complex x) { return x.real(); }
inline double RealPart(Counting x) { return x.value(); }

template <class S>
S Max(S a, S b) {
  return Less(a, b) ? b : a;
}

}  // namespace shardwise
