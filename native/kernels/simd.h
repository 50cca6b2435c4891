// Eight float or integer lanes: the only place that knows vector instructions, besides the integer dot products.
//
// Every kernel is written once over these types and compiled once per instruction set. The portable version does lane
// by lane exactly what the vector version does (fused multiply-add included), so their results are equal to the bit.
// Everything is in an unnamed namespace: each instruction set's translation unit has its own copy.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "formats/half.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define GADFLY_AVX2 1
#include <immintrin.h>
#endif

namespace gadfly {
namespace {

constexpr size_t kLanes = 8;

struct LowNibble {};  // tags that select a part of a byte
struct HighNibble {};

#ifdef GADFLY_AVX2

using f32x8 = __m256;
using i32x8 = __m256i;

inline f32x8 splat(float x) { return _mm256_set1_ps(x); }
inline f32x8 load(const float* p) { return _mm256_loadu_ps(p); }
inline f32x8 load(const uint16_t* p, Half) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline f32x8 load(const uint16_t* p, BFloat) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(raw), 16));
}
inline f32x8 load(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline i32x8 load_bytes(const uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
inline f32x8 load(const uint8_t* p) { return _mm256_cvtepi32_ps(load_bytes(p)); }
inline f32x8 load(const uint8_t* p, LowNibble) {
    return _mm256_cvtepi32_ps(_mm256_and_si256(load_bytes(p), _mm256_set1_epi32(15)));
}
inline f32x8 load(const uint8_t* p, HighNibble) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(load_bytes(p), 4)); }
inline void store(float* p, f32x8 x) { _mm256_storeu_ps(p, x); }
inline void store_half(uint16_t* p, f32x8 x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
inline f32x8 add(f32x8 a, f32x8 b) { return _mm256_add_ps(a, b); }
inline f32x8 sub(f32x8 a, f32x8 b) { return _mm256_sub_ps(a, b); }
inline f32x8 mul(f32x8 a, f32x8 b) { return _mm256_mul_ps(a, b); }
inline f32x8 div(f32x8 a, f32x8 b) { return _mm256_div_ps(a, b); }
inline f32x8 max(f32x8 a, f32x8 b) { return _mm256_max_ps(a, b); }
inline f32x8 min(f32x8 a, f32x8 b) { return _mm256_min_ps(a, b); }
inline f32x8 fma(f32x8 a, f32x8 b, f32x8 c) { return _mm256_fmadd_ps(a, b, c); }
inline f32x8 abs(f32x8 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
inline f32x8 to_float(i32x8 a) { return _mm256_cvtepi32_ps(a); }
inline i32x8 round_to_int(f32x8 a) { return _mm256_cvtps_epi32(a); }
inline i32x8 truncate_to_int(f32x8 a) { return _mm256_cvttps_epi32(a); }
// a < b ? x : y, lane by lane; no number is less than NaN.
inline f32x8 where_less(f32x8 a, f32x8 b, f32x8 x, f32x8 y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
inline f32x8 look_up(const float* table, i32x8 index) { return _mm256_i32gather_ps(table, index, 4); }
inline void transpose(f32x8 (&rows)[kLanes]) {
    f32x8 pairs[kLanes], fours[kLanes];
    for (size_t i = 0; i < kLanes; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (size_t i = 0; i < kLanes; i += 4) {
        fours[i] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0x44);
        fours[i + 1] = _mm256_shuffle_ps(pairs[i], pairs[i + 2], 0xEE);
        fours[i + 2] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0x44);
        fours[i + 3] = _mm256_shuffle_ps(pairs[i + 1], pairs[i + 3], 0xEE);
    }
    for (size_t i = 0; i < 4; i++) {
        rows[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
        rows[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
}
inline f32x8 exp2_of(i32x8 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
inline void store_int8(int8_t* p, i32x8 a) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
struct PairSums {  // of lanes 0, 1, 4, 5 and of lanes 2, 3, 6, 7
    int32_t even, odd;
};
inline PairSums pair_sums(i32x8 a) {  // exact, hence in any order
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1));
    return {_mm_cvtsi128_si32(four), _mm_extract_epi32(four, 2)};
}
inline i32x8 add(i32x8 a, i32x8 b) { return _mm256_add_epi32(a, b); }
inline bool any_nan(f32x8 a) { return _mm256_movemask_ps(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)) != 0; }

#else

struct f32x8 {
    float lane[kLanes];
};
struct i32x8 {
    int32_t lane[kLanes];
};

template <class F>
inline f32x8 each(F f) {
    f32x8 r;
    for (size_t i = 0; i < kLanes; i++) r.lane[i] = f(i);
    return r;
}
inline f32x8 splat(float x) {
    return each([&](size_t) { return x; });
}
inline f32x8 load(const float* p) {
    return each([&](size_t i) { return p[i]; });
}
inline f32x8 load(const uint16_t* p, Half) {
    return each([&](size_t i) { return half_to_float(p[i]); });
}
inline f32x8 load(const uint16_t* p, BFloat) {
    return each([&](size_t i) { return std::bit_cast<float>(uint32_t{p[i]} << 16); });
}
inline f32x8 load(const int8_t* p) {
    return each([&](size_t i) { return static_cast<float>(p[i]); });
}
inline f32x8 load(const uint8_t* p) {
    return each([&](size_t i) { return static_cast<float>(p[i]); });
}
inline f32x8 load(const uint8_t* p, LowNibble) {
    return each([&](size_t i) { return static_cast<float>(p[i] & 15); });
}
inline f32x8 load(const uint8_t* p, HighNibble) {
    return each([&](size_t i) { return static_cast<float>(p[i] >> 4); });
}
inline void store(float* p, f32x8 x) { std::memcpy(p, x.lane, sizeof x.lane); }
inline void store_half(uint16_t* p, f32x8 x) {
    for (size_t i = 0; i < kLanes; i++) p[i] = float_to_half(x.lane[i]);
}
inline f32x8 add(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] + b.lane[i]; });
}
inline f32x8 sub(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] - b.lane[i]; });
}
inline f32x8 mul(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] * b.lane[i]; });
}
inline f32x8 div(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] / b.lane[i]; });
}
inline f32x8 max(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline f32x8 min(f32x8 a, f32x8 b) {
    return each([&](size_t i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline f32x8 fma(f32x8 a, f32x8 b, f32x8 c) {
    return each([&](size_t i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
inline f32x8 abs(f32x8 a) {
    return each([&](size_t i) { return std::fabs(a.lane[i]); });
}
inline f32x8 to_float(i32x8 a) {
    return each([&](size_t i) { return static_cast<float>(a.lane[i]); });
}
inline i32x8 round_to_int(f32x8 a) {  // what does not fit becomes INT32_MIN, as in hardware
    i32x8 r;
    for (size_t i = 0; i < kLanes; i++) {
        const float x = std::nearbyintf(a.lane[i]);
        r.lane[i] = x >= -2147483648.0F && x < 2147483648.0F ? static_cast<int32_t>(x) : INT32_MIN;
    }
    return r;
}
inline i32x8 truncate_to_int(f32x8 a) {
    i32x8 r;
    for (size_t i = 0; i < kLanes; i++) {
        const float x = a.lane[i];
        r.lane[i] = x >= -2147483648.0F && x < 2147483648.0F ? static_cast<int32_t>(x) : INT32_MIN;
    }
    return r;
}
inline f32x8 where_less(f32x8 a, f32x8 b, f32x8 x, f32x8 y) {
    return each([&](size_t i) { return a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i]; });
}
inline f32x8 look_up(const float* table, i32x8 index) {
    return each([&](size_t i) { return table[index.lane[i]]; });
}
inline void transpose(f32x8 (&rows)[kLanes]) {
    for (size_t i = 0; i < kLanes; i++) {
        for (size_t j = 0; j < i; j++) std::swap(rows[i].lane[j], rows[j].lane[i]);
    }
}
inline f32x8 exp2_of(i32x8 n) {
    return each([&](size_t i) { return std::bit_cast<float>((static_cast<uint32_t>(n.lane[i]) + 127U) << 23); });
}
inline void store_int8(int8_t* p, i32x8 a) {
    for (size_t i = 0; i < kLanes; i++) {
        const int32_t x = a.lane[i];
        p[i] = static_cast<int8_t>(x < -128 ? -128 : x > 127 ? 127 : x);
    }
}
inline i32x8 add(i32x8 a, i32x8 b) {
    i32x8 r;
    for (size_t i = 0; i < kLanes; i++) r.lane[i] = a.lane[i] + b.lane[i];
    return r;
}
struct PairSums {
    int32_t even, odd;
};
inline PairSums pair_sums(i32x8 a) {
    return {a.lane[0] + a.lane[1] + a.lane[4] + a.lane[5], a.lane[2] + a.lane[3] + a.lane[6] + a.lane[7]};
}
inline bool any_nan(f32x8 a) {
    bool any = false;
    for (const float lane : a.lane) any |= std::isnan(lane);
    return any;
}

#endif

// Lanes are summed as ((0+4)+(2+6)) + ((1+5)+(3+7)), on every instruction set.
inline float sum(f32x8 x) {
    float a[kLanes];
    store(a, x);
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

inline float max_lane(f32x8 x) {
    float a[kLanes];
    store(a, x);
    float m = a[0];
    for (size_t i = 1; i < kLanes; i++) m = a[i] > m ? a[i] : m;
    return m;
}

// e^x to about 2 ulp for x in [-87, 88], and the value at the nearer end outside: Cody-Waite reduction and a degree-6
// polynomial (Cephes' coefficients). What is no number stays so: of such pairs, min and max take the second.
inline f32x8 exp(f32x8 x) {
    const f32x8 clamped = min(splat(88.0F), max(splat(-87.0F), x));
    const i32x8 n = round_to_int(mul(clamped, splat(1.44269504088896341F)));
    const f32x8 k = to_float(n);
    f32x8 r = fma(k, splat(-0.693359375F), clamped);
    r = fma(k, splat(2.12194440e-4F), r);
    f32x8 p = splat(1.9875691500e-4F);
    p = fma(p, r, splat(1.3981999507e-3F));
    p = fma(p, r, splat(8.3334519073e-3F));
    p = fma(p, r, splat(4.1665795894e-2F));
    p = fma(p, r, splat(1.6666665459e-1F));
    p = fma(p, r, splat(5.0000001201e-1F));
    p = add(fma(mul(p, r), r, r), splat(1.0F));
    return mul(p, exp2_of(n));
}

// tanh x, to about 1e-7 absolute.
inline f32x8 tanh(f32x8 x) { return sub(splat(1.0F), div(splat(2.0F), add(splat(1.0F), exp(mul(splat(2.0F), x))))); }

inline f32x8 softcapped(f32x8 x, float cap) { return mul(splat(cap), tanh(div(x, splat(cap)))); }

// ½ erfc(x / √2), the chance of more than x under a normal distribution, for x ≥ 0 and to 2e-7 absolute: e^(-x²/2)
// times a polynomial in t = 1 / (1 + 0.34 x), fitted to the least relative error up to x = 13.
inline f32x8 normal_tail(f32x8 x) {
    const f32x8 t = div(splat(1.0F), fma(x, splat(0.34F), splat(1.0F)));
    f32x8 p = splat(-0.026523441F);
    p = fma(p, t, splat(0.14139266F));
    p = fma(p, t, splat(-0.27689746F));
    p = fma(p, t, splat(0.2063087F));
    p = fma(p, t, splat(-0.047435544F));
    p = fma(p, t, splat(0.1164565F));
    p = fma(p, t, splat(0.11493304F));
    p = fma(p, t, splat(0.13614693F));
    p = fma(p, t, splat(0.13561861F));
    return mul(mul(p, t), exp(mul(mul(x, x), splat(-0.5F))));
}

}  // namespace
}  // namespace gadfly
