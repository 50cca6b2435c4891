// 16-bit floats in plain C++, rounding to nearest even: the twin of the F16C instructions, bit for bit.
#pragma once

#include <bit>
#include <cstdint>

namespace gadfly {

struct Half {};  // tags that select a 16-bit format
struct BFloat {};

inline float half_to_float(uint16_t h) {
    const uint32_t sign = uint32_t{h & 0x8000U} << 16;
    const uint32_t exponent = (h >> 10) & 31U;
    const uint32_t mantissa = h & 1023U;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | mantissa << 13 | (mantissa ? 0x400000U : 0U));
    if (exponent == 0) {  // zero or subnormal: mantissa · 2^-24
        const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
        return sign ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | (exponent + 112U) << 23 | mantissa << 13);
}

inline uint16_t float_to_half(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000U);
    const uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U | (magnitude >> 13 & 0x1FFU));  // NaN
    if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // rounds to inf
    if (magnitude < 0x38800000U) {  // subnormal in half: let the float adder round at 2^-24
        const float rounded = std::bit_cast<float>(magnitude) + 0.5F;
        return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(rounded) - 0x3F000000U));
    }
    const uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + (magnitude >> 13 & 1U);
    return static_cast<uint16_t>(sign | rounded >> 13);
}

}  // namespace gadfly
