// Element types and the conversions between them. Names follow XLA's shape syntax.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace shardwise {

enum class DType : uint8_t { kF64, kF32, kBF16, kF8E4M3FN, kF8E5M2, kI32, kBool };

inline constexpr std::array<DType, 7> kAllDTypes = {DType::kF64,      DType::kF32,    DType::kBF16,
                                                    DType::kF8E4M3FN, DType::kF8E5M2, DType::kI32,
                                                    DType::kBool};

int64_t ByteSize(DType dtype);
// "f64", "f32", "bf16", "f8e4m3fn", "f8e5m2", "s32", "pred".
std::string_view Name(DType dtype);
std::optional<DType> ParseDType(std::string_view name);

inline bool IsFloat(DType d) { return d <= DType::kF8E5M2; }
inline bool IsFloat8(DType d) { return d == DType::kF8E4M3FN || d == DType::kF8E5M2; }

// What a value beyond the largest finite float8 becomes. XLA and ml_dtypes do not saturate;
// quantisation recipes clamp first.
enum class Overflow : uint8_t { kNonFinite, kSaturate };

// Round to nearest, ties to even. The f64 forms round once, from double.
uint16_t EncodeBF16(float x);
uint16_t EncodeBF16(double x);
float DecodeBF16(uint16_t bits);
uint8_t EncodeF8(DType dtype, double x, Overflow overflow = Overflow::kNonFinite);
float DecodeF8(DType dtype, uint8_t bits);

// The value of x after a round trip through `dtype` (identity for f64). Integers truncate toward
// zero, bool is x != 0.
double RoundTo(DType dtype, double x);

}  // namespace shardwise
