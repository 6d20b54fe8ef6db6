#include "kernels/base/dtype.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/base/check.h"

namespace shardwise {
namespace {

struct DTypeInfo {
  std::string_view name;
  int64_t bytes;
};

constexpr std::array<DTypeInfo, kAllDTypes.size()> kInfo = {
    {{"f64", 8}, {"f32", 4}, {"bf16", 2}, {"f8e4m3fn", 1}, {"f8e5m2", 1}, {"s32", 4}, {"pred", 1}}};

// A binary float with fewer than 24 significand bits.
struct MiniFloat {
  int mantissa_bits;
  int bias;
  double max_finite;
  bool has_infinity;
  uint8_t infinity_or_nan;  // code of +inf, or of NaN where the format has no infinity
  uint8_t nan;
};

constexpr MiniFloat kE4M3FN = {3, 7, 448.0, false, 0x7f, 0x7f};
constexpr MiniFloat kE5M2 = {2, 15, 57344.0, true, 0x7c, 0x7e};

const MiniFloat& FormatOf(DType dtype) {
  SW_CHECK(IsFloat8(dtype), "{} is not a float8 type", Name(dtype));
  return dtype == DType::kF8E4M3FN ? kE4M3FN : kE5M2;
}

}  // namespace

int64_t ByteSize(DType dtype) { return kInfo[static_cast<size_t>(dtype)].bytes; }

std::string_view Name(DType dtype) { return kInfo[static_cast<size_t>(dtype)].name; }

std::optional<DType> ParseDType(std::string_view name) {
  for (DType dtype : kAllDTypes) {
    if (Name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

uint16_t EncodeBF16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return static_cast<uint16_t>((bits >> 16) | 0x40);
  bits += 0x7fff + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}

uint16_t EncodeBF16(double x) {
  // Round to odd in f32 first, so that the second rounding sees on which side of a tie x lies.
  float nearest = static_cast<float>(x);
  uint32_t bits = std::bit_cast<uint32_t>(nearest);
  double back = nearest;
  if (back != x && std::isfinite(nearest)) {
    if (std::abs(back) > std::abs(x)) --bits;
    bits |= 1;
  }
  return EncodeBF16(std::bit_cast<float>(bits));
}

float DecodeBF16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint8_t EncodeF8(DType dtype, double x, Overflow overflow) {
  const MiniFloat& f = FormatOf(dtype);
  const uint8_t sign = std::signbit(x) ? 0x80 : 0;
  if (std::isnan(x)) return sign | f.nan;
  const double magnitude = std::abs(x);
  if (magnitude == 0) return sign;
  int exponent = 0;
  if (std::isfinite(magnitude)) {
    exponent = std::max(std::ilogb(magnitude), 1 - f.bias);
    // Steps of the last place at this exponent; nearbyint rounds ties to even.
    const double steps = std::nearbyint(std::ldexp(magnitude, f.mantissa_bits - exponent));
    const double rounded = std::ldexp(steps, exponent - f.mantissa_bits);
    if (rounded <= f.max_finite) {
      // A carry to the next binade, and the subnormals, both fall out of plain addition here.
      const int biased = exponent + f.bias - 1;
      return sign | static_cast<uint8_t>((biased << f.mantissa_bits) + static_cast<int>(steps));
    }
  }
  if (overflow == Overflow::kNonFinite) return sign | f.infinity_or_nan;
  const uint8_t max_code = f.has_infinity ? f.infinity_or_nan - 1 : f.nan - 1;
  return sign | max_code;
}

float DecodeF8(DType dtype, uint8_t bits) {
  const MiniFloat& f = FormatOf(dtype);
  const double sign = (bits & 0x80) != 0 ? -1.0 : 1.0;
  const int code = bits & 0x7f;
  const int mantissa = code & ((1 << f.mantissa_bits) - 1);
  const int biased = code >> f.mantissa_bits;
  if (f.has_infinity && code >= f.infinity_or_nan) {
    return mantissa == 0 ? static_cast<float>(sign * std::numeric_limits<double>::infinity())
                         : std::numeric_limits<float>::quiet_NaN();
  }
  if (!f.has_infinity && code == f.nan) return std::numeric_limits<float>::quiet_NaN();
  const int implicit = biased == 0 ? 0 : 1 << f.mantissa_bits;
  const int exponent = (biased == 0 ? 1 : biased) - f.bias - f.mantissa_bits;
  return static_cast<float>(sign * std::ldexp(mantissa + implicit, exponent));
}

double RoundTo(DType dtype, double x) {
  switch (dtype) {
    case DType::kF64:
      return x;
    case DType::kF32:
      return static_cast<float>(x);
    case DType::kBF16:
      return DecodeBF16(EncodeBF16(x));
    case DType::kF8E4M3FN:
    case DType::kF8E5M2:
      return DecodeF8(dtype, EncodeF8(dtype, x));
    case DType::kI32:
      return std::trunc(x);
    case DType::kBool:
      return x != 0;
  }
  SW_CHECK(false, "unknown dtype");
  return 0;
}

}  // namespace shardwise
